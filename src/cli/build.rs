//! Builds what the verbs use, from their arguments, a configuration or an emulator.

#[cfg(feature = "gateway")]
use std::io;
#[cfg(feature = "gateway")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "client")]
use clap::ValueEnum;
#[cfg(feature = "gateway")]
use tokio::net::TcpListener;

use super::exit;
use super::failure::Failure;
#[cfg(feature = "client")]
use super::person::Terminal;
#[cfg(feature = "client")]
use super::target::AwsArgs;
use crate::aws::{Aws, AwsConfig};
use crate::client::state;
#[cfg(feature = "gateway")]
use crate::config;
use crate::connect::{self, Connector, HostKeyMode};
#[cfg(feature = "gateway")]
use crate::docker::engine::Engine;
use crate::ssh::host_keys::{FileHostKeys, MemoryHostKeys};
use crate::ssh::{self, HostKeySource};
#[cfg(feature = "client")]
use crate::tunnel::ProxyConfig;
use crate::tunnel::{self, Dialer};
#[cfg(feature = "gateway")]
use crate::workspace::{Directory, FileDirectory, PlatformVersion, postgres::PostgresDirectory};

/// What to do with a host key that is not known.
#[cfg(feature = "client")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostKeyArg {
    /// Only keys that are known already
    Strict,
    /// Only keys that are known already, or that the instance's console shows (GetConsoleOutput)
    Console,
    /// Trust on first use: keep it, and refuse another one from then on; the console is heard where it answers
    Tofu,
}

#[cfg(feature = "client")]
impl From<HostKeyArg> for HostKeyMode {
    fn from(arg: HostKeyArg) -> Self {
        match arg {
            HostKeyArg::Strict => Self::Strict,
            HostKeyArg::Console => Self::Console,
            HostKeyArg::Tofu => Self::TrustOnFirstUse,
        }
    }
}

/// The directory that the configuration names; the second is the same where it is a file's, which can be read again.
#[cfg(feature = "gateway")]
pub(crate) fn directory(config: config::Directory) -> (Arc<dyn Directory>, Option<Arc<FileDirectory>>) {
    match config {
        config::Directory::File(directory) => {
            let directory = Arc::new(directory);
            (Arc::clone(&directory) as Arc<dyn Directory>, Some(directory))
        }
        config::Directory::Database(config) => {
            tracing::info!(url = ?config.url, "the workspaces are in a database");
            (Arc::new(PostgresDirectory::new(*config)), None)
        }
    }
}

/// How host keys are checked.
pub(crate) struct HostKeyOptions {
    mode: HostKeyMode,
    store: Arc<dyn HostKeySource>,
}

impl HostKeyOptions {
    /// Keys in a file: `file`, else the user's own.
    pub(crate) fn in_file(mode: HostKeyMode, file: Option<PathBuf>) -> Result<Self, Failure> {
        Ok(Self { mode, store: Arc::new(host_key_file(file)?) })
    }

    /// Keys that are kept as long as the process runs.
    pub(crate) fn in_memory() -> Self {
        Self { mode: HostKeyMode::TrustOnFirstUse, store: Arc::new(MemoryHostKeys::new()) }
    }
}

/// The store of host keys in `file`, else in the user's own.
pub(crate) fn host_key_file(file: Option<PathBuf>) -> Result<FileHostKeys, Failure> {
    let file = file.or_else(state::host_keys_file);
    file.map(FileHostKeys::new).ok_or_else(|| {
        Failure::new(exit::CONFIG, "there is no place for host keys: HOME is not set")
            .with_hint("--host-keys names a file")
    })
}

/// A connector for the client verbs, with SSH tuned by `ssh`.
#[cfg(feature = "client")]
pub(crate) fn client_connector(
    args: &AwsArgs,
    keys: &HostKeyOptions,
    ssh: ssh::Config,
) -> Result<Arc<Connector>, Failure> {
    // Region, profile and role are the target's.
    let aws = AwsConfig {
        endpoint_url: args.endpoint_url.clone(),
        ca_bundle: args.ca_bundle.clone(),
        ..AwsConfig::default()
    };
    connector(aws, args.ca_bundle.clone(), keys, ssh)
}

/// A connector of a client whose AWS calls are set up by `aws`; its tunnels go through the environment's proxy and
/// trust `ca_bundle`, else the environment's.
#[cfg(feature = "client")]
pub(crate) fn connector(
    aws: AwsConfig,
    ca_bundle: Option<PathBuf>,
    keys: &HostKeyOptions,
    ssh: ssh::Config,
) -> Result<Arc<Connector>, Failure> {
    let aws = AwsConfig { prompt: Some(Arc::new(Terminal)), ..aws };
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let proxy = ProxyConfig::from_lookup(var)
        .map_err(|error| Failure::because(exit::CONFIG, "the proxy cannot be used", &error))?;
    let tunnel = tunnel::Config {
        ca_bundle: ca_bundle.or_else(|| var("AWS_CA_BUNDLE").map(PathBuf::from)),
        proxy,
        ..tunnel::Config::default()
    };
    assemble(aws, tunnel, keys, ssh).map(Arc::new)
}

/// A connector for a gateway.
#[cfg(feature = "gateway")]
pub(crate) fn gateway_connector(config: &crate::config::Config) -> Result<Connector, Failure> {
    let mode = match config.host_keys.policy {
        ssh::HostKeyPolicy::Strict => HostKeyMode::Strict,
        ssh::HostKeyPolicy::Witnessed => HostKeyMode::Console,
        _ => HostKeyMode::TrustOnFirstUse,
    };
    let keys = match &config.host_keys.file {
        Some(file) => HostKeyOptions::in_file(mode, Some(file.clone()))?,
        None => HostKeyOptions { mode, ..HostKeyOptions::in_memory() },
    };
    let connector = assemble(config.aws.clone(), config.tunnel.clone(), &keys, ssh::Config::default())?;
    Ok(match &config.docker {
        Some(docker) => connector.with_engine(Engine::new(docker.clone())),
        None => connector,
    })
}

/// Has `connector` open containers only while `directory` is one of the platform of August 2026.
#[cfg(feature = "gateway")]
pub(crate) fn with_containers_of_august(connector: Connector, directory: &Arc<dyn Directory>) -> Connector {
    let directory = Arc::clone(directory);
    let is_august = move || directory.platform_version() != PlatformVersion::April2026;
    connector.with_engine_condition(Arc::new(is_august))
}

/// A connector to an emulator of this process, with host keys kept by `keys` and SSH tuned by `ssh`.
#[cfg(all(feature = "connect", feature = "emulator"))]
pub(crate) fn emulated_connector(
    access: &crate::emulator::EmulatorAccess,
    keys: &HostKeyOptions,
    ssh: ssh::Config,
) -> Result<Arc<Connector>, Failure> {
    let aws = AwsConfig {
        region: Some(access.region().to_owned()),
        endpoint_url: Some(access.api_url()),
        credentials: Some(eice_proto::Credentials::new(
            access.access_key_id(),
            access.secret_access_key(),
            access.session_token().map(str::to_owned),
        )),
        ..AwsConfig::default()
    };
    // Nothing of the user's own set-up plays a part: neither the proxy nor the system's roots.
    let tunnel = tunnel::Config {
        native_roots: false,
        ca_bundle: Some(access.ca_file().to_owned()),
        ..tunnel::Config::default()
    };
    assemble(aws, tunnel, keys, ssh).map(Arc::new)
}

fn assemble(
    aws: AwsConfig,
    tunnel: tunnel::Config,
    keys: &HostKeyOptions,
    ssh: ssh::Config,
) -> Result<Connector, Failure> {
    let dialer = Dialer::new(tunnel).map_err(|error| {
        let failure = Failure::because(exit::CONFIG, "tunnels cannot be dialled", &error);
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    })?;
    let config = connect::ConnectConfig::new(ssh, keys.mode);
    Ok(Connector::new(Aws::new(aws), dialer, Arc::clone(&keys.store), config))
}

/// Listens on `address`.
#[cfg(feature = "gateway")]
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::because(exit::UNAVAILABLE, format!("cannot listen on {address}"), &error);
        match error.kind() {
            io::ErrorKind::AddrInUse => failure.with_hint("port 0 takes a free one"),
            _ => failure,
        }
    })
}

/// The address that a listener got.
#[cfg(feature = "gateway")]
pub(crate) fn local_addr(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::because(exit::INTERNAL, "the listener has no address", &error))
}
