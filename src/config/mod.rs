//! L5 · What `eice serve` is told: each module's own settings, composed from a file and the environment.
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
use reader::Reader;

/// Everything that a gateway is built from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where it listens. The default is 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// The browser's side.
    pub gateway: gateway::Config,
    /// How the engine of local workspaces is reached. The default is as its own programs do. It is `None`, no local
    /// workspaces, for an organization whose workspaces are in a file.
    pub docker: Option<docker::engine::Config>,
    /// Whether local workspaces need the platform of August 2026, which the database's schema decides.
    pub docker_needs_august: bool,
    /// How AWS is reached.
    pub aws: aws::Config,
    /// How tunnels are dialled.
    pub tunnel: tunnel::Config,
    /// Which host keys are accepted.
    pub host_keys: HostKeys,
    /// The workspaces and who may open them.
    pub directory: Directory,
    /// The certificate, where the gateway speaks TLS itself.
    pub tls: Option<Tls>,
    /// Where the metrics are served by themselves. The default, `None`, has them at the gateway's own address.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the audit log is written.
    pub audit: Audit,
    /// What is logged, where neither the command line nor the environment says it. The default, `None`, is `info`.
    pub log: Option<String>,
}

/// A certificate that was read already.
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

/// Where the audit log is written, besides the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// The file. The default, `None`, is none.
    pub file: Option<PathBuf>,
    /// Whether a terminal that cannot be recorded there stays closed. The default is no.
    pub is_required: bool,
}

/// Where the workspaces are, and who may open them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Directory {
    /// In a file, or in the configuration itself; read already.
    File(FileDirectory),
    /// In the platform's database.
    Database(Box<postgres::Config>),
}

/// Which host keys are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostKeys {
    /// What to do with one that is not known. The default is to trust it on first use.
    pub policy: HostKeyPolicy,
    /// Where they are kept. The default, `None`, keeps them in memory, for as long as the process runs.
    pub file: Option<PathBuf>,
}

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overrides {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// The file of the directory.
    pub directory: Option<PathBuf>,
}

impl Overrides {
    /// These two.
    #[must_use]
    pub fn new(listen: Option<SocketAddr>, directory: Option<PathBuf>) -> Self {
        Self { listen, directory }
    }
}

/// Where the platform's instances are when nothing says it (docs/canvas.md, section 4).
const PLATFORM_REGION: &str = "us-east-2";

/// A configuration that cannot be used, with everything that is wrong with it.
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

    /// Reads `text` with `env` and `overrides` on top of it. Files that it names are read as well.
    ///
    /// # Errors
    /// [`Invalid`], with every problem at once.
    pub fn read(text: &str, env: &dyn Lookup, overrides: &Overrides) -> Result<Self, Invalid> {
        let mut reader = Reader::new(text, env);
        let config = Self::compose(&mut reader, overrides);
        let problems = reader.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(Invalid { problems }),
        }
    }

    /// Everything that `reader` has; `None` where a part has no default and cannot be read.
    fn compose(reader: &mut Reader<'_>, overrides: &Overrides) -> Option<Self> {
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
