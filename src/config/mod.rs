//! L5 · What `eice serve` is told: each module's own settings, composed from a file and the environment.
//!
//! The command line wins over the environment, the environment over the file, the file over the defaults.
//! Every problem is reported, not only the first, and before anything is bound or dialled.

mod lookup;
mod reader;
mod sections;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use lookup::{Lookup, ProcessEnv};
pub use reader::Problem;

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
    /// How the engine of local workspaces is reached. The default is as its own programs do, or `None`, no local
    /// workspaces, where the gateway serves an organisation.
    pub docker: Option<docker::engine::Config>,
    /// How AWS is reached.
    pub aws: aws::Config,
    /// How tunnels are dialled.
    pub tunnel: tunnel::Config,
    /// Which host keys are accepted.
    pub host_keys: HostKeys,
    /// The workspaces and who may open them.
    pub directory: Directory,
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

/// Where the platform's instances are when nothing says it (contract, section 4).
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
        let (listen, mut gateway) = sections::gateway(&mut reader, overrides);
        gateway.platform = sections::platform(&mut reader);
        let docker = sections::docker(&mut reader, gateway.platform.org_id.is_some());
        let mut aws = sections::aws(&mut reader);
        let tunnel = sections::tunnel(&mut reader, &aws);
        let host_keys = sections::ssh(&mut reader);
        let directory = sections::directory(&mut reader, overrides);
        if matches!(directory, Some(Directory::Database(_))) {
            aws.fallback_region = Some(PLATFORM_REGION.to_owned());
        }
        let problems = reader.finish();
        match directory {
            Some(directory) if problems.is_empty() => {
                Ok(Self { listen, gateway, docker, aws, tunnel, host_keys, directory })
            }
            _ => Err(Invalid { problems }),
        }
    }
}

#[cfg(test)]
mod tests;
