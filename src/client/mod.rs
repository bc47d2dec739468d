//! L4 · The library's front door: tunnels, commands, terminals and key pushes with one call each.
//!
//! ```no_run
//! use tokio::io::AsyncReadExt as _;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = eice::Client::from_env().await?;
//!
//! let mut tunnel = client.open_tunnel("i-0123456789abcdef0").await?;
//! let mut banner = [0; 64];
//! let len = tunnel.read(&mut banner).await?; // AsyncRead + AsyncWrite: here, sshd's first line
//! println!("{}", String::from_utf8_lossy(&banner[..len]));
//!
//! let output = client.exec("ubuntu@i-0123456789abcdef0", "uname -r").await?.output().await?;
//! println!("{}: {}", output.exit, String::from_utf8_lossy(&output.stdout));
//! # Ok(())
//! # }
//! ```
//!
//! The parts below are public as well: build a [`Connector`] yourself to set timeouts, roots, proxies, the store of
//! host keys or an observer of the stages, and wrap it with [`Client::new`].

mod error;
mod process;
pub mod state;
mod target;

use std::sync::Arc;

use crate::aws::{Aws, AwsConfig};
use crate::connect::{self, Connector, PushedKey};
use crate::model::{Account, InstanceTarget, TerminalRequest};
use crate::ssh::HostKeySource;
use crate::ssh::host_keys::{FileHostKeys, MemoryHostKeys};
use crate::tunnel::{self, Dialer, ProxyConfig, Tunnel};

pub use error::Error;
pub use process::{MAX_OUTPUT, ProcessOutput, RemoteProcess};

/// Opens tunnels, commands and terminals on EC2 instances. Cheap to clone; clones share credentials and lookups.
#[derive(Clone, Debug)]
pub struct Client {
    connector: Arc<Connector>,
}

impl Client {
    /// Returns a client that is set up as every AWS tool is: by the standard environment variables, the shared
    /// configuration files and the instance metadata. The proxy is the environment's (`HTTPS_PROXY`, `NO_PROXY`).
    ///
    /// Host keys are pinned on first use in [`state::host_keys_file`], which the program uses too; without a home
    /// directory they are kept for the life of the client.
    ///
    /// # Errors
    /// Proxy, CA bundle, credentials or region are missing or cannot be used.
    pub async fn from_env() -> Result<Self, Error> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let tunnel = tunnel::Config {
            proxy: ProxyConfig::from_lookup(var).map_err(Error::Proxy)?,
            ca_bundle: var("AWS_CA_BUNDLE").map(Into::into),
            ..tunnel::Config::default()
        };
        let host_keys: Arc<dyn HostKeySource> = match state::host_keys_file() {
            Some(file) => Arc::new(FileHostKeys::new(file)),
            None => Arc::new(MemoryHostKeys::new()),
        };
        let dialer = Dialer::new(tunnel).map_err(Error::Tunnel)?;
        let aws = Aws::new(AwsConfig::default());
        let connector = Connector::new(aws, dialer, host_keys, connect::ConnectConfig::default());
        connector.client(&Account::default(), None, &()).await?;
        Ok(Self::new(connector))
    }

    /// Returns a client that connects with `connector`.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self { connector: Arc::new(connector) }
    }

    /// Returns a client of a running emulator, in place of AWS: for tests of programs that use this library.
    ///
    /// # Errors
    /// The emulator's certificate cannot be read.
    #[cfg(feature = "emulator")]
    pub fn for_emulator(access: &crate::emulator::EmulatorAccess) -> Result<Self, Error> {
        let aws = AwsConfig::default()
            .region(access.region().to_owned())
            .endpoint_url(access.api_url())
            .credentials(access.credentials());
        // Only the emulator's own authority is trusted, and the environment's proxy is not used.
        let tunnel = tunnel::Config::default().native_roots(false).ca_bundle(access.ca_file().to_owned());
        let dialer = Dialer::new(tunnel).map_err(Error::Tunnel)?;
        let host_keys = Arc::new(MemoryHostKeys::new());
        Ok(Self::new(Connector::new(Aws::new(aws), dialer, host_keys, connect::ConnectConfig::default())))
    }

    /// Opens a tunnel to `target`'s port, 22 unless it says otherwise: `"i-…"`, or an [`InstanceTarget`]. No key is
    /// pushed and no SSH is spoken. The service ends a tunnel after 3600 s.
    ///
    /// # Errors
    /// The target is malformed, or a stage from credentials to upgrade failed.
    pub async fn open_tunnel<T>(&self, target: T) -> Result<Tunnel, Error>
    where
        T: TryInto<InstanceTarget>,
        Error: From<T::Error>,
    {
        // Boxed, so that the caller's own futures stay small and shallow.
        Ok(Box::pin(self.connector.open_tunnel(&target.try_into()?, &())).await?)
    }

    /// Runs `command` on `target` without a PTY: `"user@i-…"`, or an [`InstanceTarget`]. The login shell gets the
    /// command verbatim, so quote what comes from elsewhere. Each call opens a connection of its own.
    ///
    /// # Errors
    /// The target is malformed, or a stage failed.
    pub async fn exec<T>(&self, target: T, command: impl Into<String>) -> Result<RemoteProcess, Error>
    where
        T: TryInto<InstanceTarget>,
        Error: From<T::Error>,
    {
        self.terminal(target, TerminalRequest::command(command)).await
    }

    /// Opens the terminal that `request` describes; its default is the login shell on a PTY of 80x24.
    ///
    /// # Errors
    /// The target is malformed, or a stage failed.
    pub async fn terminal<T>(&self, target: T, request: TerminalRequest) -> Result<RemoteProcess, Error>
    where
        T: TryInto<InstanceTarget>,
        Error: From<T::Error>,
    {
        // Boxed, so that the caller's own futures stay small and shallow.
        let host = Box::pin(self.connector.connect_ssh(&target.try_into()?, &())).await?;
        let terminal = host.open(&request, &()).await?;
        Ok(RemoteProcess::new(host, terminal))
    }

    /// Lets the holder of the key `public`, one line as OpenSSH writes it, log in to `target` for
    /// [`PUSHED_KEY_LIFETIME`](connect::PUSHED_KEY_LIFETIME).
    ///
    /// # Errors
    /// The target is malformed, or one of the stages credentials and key push failed.
    pub async fn push_key<T>(&self, target: T, public: &str) -> Result<PushedKey, Error>
    where
        T: TryInto<InstanceTarget>,
        Error: From<T::Error>,
    {
        Ok(self.connector.push_key(&target.try_into()?, public, &()).await?)
    }

    /// Returns the connector below.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.connector
    }
}

#[cfg(test)]
#[cfg(feature = "emulator")]
mod tests;
