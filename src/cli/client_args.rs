//! The arguments of all verbs with an SSH connection, and the objects built from them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::build::{self, HostKeyArg, HostKeyOptions};
use super::exit;
use super::failure::Failure;
use super::progress::{Mode, Progress};
use super::target::{Destination, TargetArgs};
use crate::connect::Connector;
use crate::model::{ContainerName, ContainerShell, InstanceTarget, OsUser};
use crate::ssh;

/// How to connect and what to print meanwhile.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientArgs {
    /// Login name
    #[arg(long, short = 'l', value_name = "USER")]
    pub(crate) os_user: Option<OsUser>,

    /// What to do with a host key not seen before
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = HostKeyArg::Tofu, env = "EICE_HOST_KEY")]
    pub(crate) host_key: HostKeyArg,

    /// Where host keys are kept; else $XDG_STATE_HOME/eice/host_keys.json
    #[arg(long, value_name = "FILE", env = "EICE_HOST_KEYS")]
    pub(crate) host_keys: Option<PathBuf>,

    /// A line for each stage of connecting, with its time
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// No progress
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) to: TargetArgs,
}

impl ClientArgs {
    /// Builds a connector with the SSH configuration `tuning`.
    pub(crate) fn connector(&self, tuning: ssh::Config) -> Result<Arc<Connector>, Failure> {
        let keys = HostKeyOptions::in_file(self.host_key.into(), self.host_keys.clone())?;
        build::client_connector(&self.to.aws, &keys, tuning)
    }

    /// Returns the progress output that the flags select.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(Mode::choose(self.quiet, self.verbose))
    }

    /// Resolves `destination` to a target with the requested login name.
    pub(crate) async fn locate(
        &self,
        connector: &Connector,
        destination: &Destination,
        progress: &Progress,
    ) -> Result<InstanceTarget, Failure> {
        let user = destination.login(self.os_user.as_ref())?;
        self.to.locate(connector, &destination.instance, user, progress).await
    }
}

/// A container on the instance.
#[derive(Args, Clone, Debug)]
pub(crate) struct ContainerArgs {
    /// Run in this container of the instance, by docker exec
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<ContainerName>,

    /// Program that runs containers, as words: `sudo -n docker`, `podman`
    #[arg(long, value_name = "WORDS", default_value = "docker", requires = "container")]
    engine: String,
}

impl ContainerArgs {
    /// Returns the container, if one is named.
    ///
    /// # Errors
    /// When the engine's command is empty.
    pub(crate) fn shell(&self) -> Result<Option<ContainerShell>, Failure> {
        let Some(container) = &self.container else { return Ok(None) };
        let mut shell = ContainerShell::new(container.clone());
        shell.engine = self.engine.split_whitespace().map(str::to_owned).collect();
        if shell.engine.is_empty() {
            return Err(Failure::new(exit::USAGE, "--engine names no program"));
        }
        Ok(Some(shell))
    }
}
