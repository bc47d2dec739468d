//! L5 · The configuration of `eice serve`: each module's own settings, composed from a file and the environment.
//!
//! The command line wins over the environment, the environment over the file, the file over the defaults.
//! Every problem is reported, not only the first, and before anything is bound or dialled.

mod lookup;
mod reader;
mod reloadable;
mod sections;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use lookup::{Lookup, ProcessEnv};
pub use reader::Problem;
pub use reloadable::needs_restart;

use crate::ssh::HostKeyPolicy;
use crate::workspace::{FileDirectory, postgres};
use crate::{aws, docker, gateway, tunnel};
use reader::SettingsReader;

/// The settings of a gateway.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// The address to listen on. The default is 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// Routes, limits and access.
    pub gateway: gateway::Config,
    /// The container engine of local workspaces; `None` opens none. The default is the engine's own default, and `None`
    /// for an organization whose workspaces are in a file.
    pub docker: Option<docker::engine::EngineConfig>,
    /// Whether local workspaces need the platform of August 2026, which the database's schema decides.
    pub docker_needs_august: bool,
    /// Credentials, region and endpoints of AWS.
    pub aws: aws::AwsConfig,
    /// Roots, proxy and timeouts of tunnels.
    pub tunnel: tunnel::Config,
    /// Which host keys are accepted.
    pub host_keys: HostKeys,
    /// The workspaces and who may open them.
    pub directory: Directory,
    /// The certificate, where the gateway speaks TLS itself.
    pub tls: Option<Tls>,
    /// A separate address for the metrics. The default, `None`, serves them on the gateway's own.
    pub metrics_listen: Option<SocketAddr>,
    /// The audit log.
    pub audit: Audit,
    /// The log filter, unless the command line or the environment has one. The default, `None`, is `info`.
    pub log: Option<String>,
}

/// A certificate, already read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tls {
    /// The certificate and its key.
    pub pair: gateway::Pair,
    /// How long a peer may take for the handshake. The default is [`Self::DEFAULT_HANDSHAKE_TIMEOUT`].
    pub handshake_timeout: Duration,
}

impl Tls {
    /// 10 s.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
}

/// The audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// The file. The default, `None`, writes none.
    pub file: Option<PathBuf>,
    /// Whether a terminal that cannot be recorded is refused. The default is no.
    pub is_required: bool,
}

/// The workspaces, and who may open them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Directory {
    /// In a file, or in the configuration itself; already read.
    File(FileDirectory),
    /// In the platform's database.
    Database(Box<postgres::Config>),
}

/// Which host keys are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostKeys {
    /// The policy for an unknown key. The default trusts it on first use.
    pub policy: HostKeyPolicy,
    /// The file that keeps them. The default, `None`, keeps them in memory for the life of the process.
    pub file: Option<PathBuf>,
}

/// Settings of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overrides {
    /// The address to listen on.
    pub listen: Option<SocketAddr>,
    /// The file of the directory.
    pub directory: Option<PathBuf>,
}

impl Overrides {
    /// Returns overrides of these settings.
    #[must_use]
    pub fn new(listen: Option<SocketAddr>, directory: Option<PathBuf>) -> Self {
        Self { listen, directory }
    }
}

/// The region of the platform's instances when none is configured (docs/canvas.md, section 4).
const PLATFORM_REGION: &str = "us-east-2";

/// An invalid configuration, with every problem.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} problem(s)", problems.len())]
#[non_exhaustive]
pub struct Invalid {
    /// Every problem.
    pub problems: Vec<Problem>,
}

impl Config {
    /// The largest file that is read, in bytes.
    pub const MAX_LEN: u64 = 1 << 20;

    /// Reads `text`; `env` and then `overrides` take precedence. Reads the files that it names as well.
    ///
    /// # Errors
    /// [`Invalid`], with every problem at once.
    pub fn read(text: &str, env: &dyn Lookup, overrides: &Overrides) -> Result<Self, Invalid> {
        let mut reader = SettingsReader::new(text, env);
        let config = Self::compose(&mut reader, overrides);
        let problems = reader.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(Invalid { problems }),
        }
    }

    /// Composes the settings of `reader`; `None` if a part without a default cannot be read.
    fn compose(reader: &mut SettingsReader<'_>, overrides: &Overrides) -> Option<Self> {
        let (listen, mut gateway) = sections::gateway(reader, overrides);
        sections::limits(reader, &mut gateway);
        let tls = sections::tls(reader, &mut gateway);
        let metrics_listen = sections::metrics(reader, &mut gateway);
        let audit = sections::audit(reader);
        let log = sections::log(reader);
        gateway.platform = sections::platform(reader);
        let mut aws = sections::aws(reader);
        let tunnel = sections::tunnel(reader, &aws);
        let host_keys = sections::ssh(reader);
        let directory = sections::directory(reader, overrides);
        let has_database = matches!(directory, Some(Directory::Database(_)));
        let (docker, docker_needs_august) =
            sections::docker(reader, gateway.platform.org_id.is_some(), has_database);
        let directory = directory?;
        if matches!(directory, Directory::Database(_)) {
            aws.fallback_region = Some(PLATFORM_REGION.to_owned());
        }
        Some(Self {
            listen,
            gateway,
            docker,
            docker_needs_august,
            aws,
            tunnel,
            host_keys,
            directory,
            tls,
            metrics_listen,
            audit,
            log,
        })
    }
}

#[cfg(test)]
mod tests;
