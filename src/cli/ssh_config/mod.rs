//! `eice ssh-config`: prints the configuration with which plain ssh reaches instances.
//!
//! Without network access, so the verb runs without a runtime.

mod block;
mod quote;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::exit;
use super::failure::Failure;
use super::help::exit_help;
use super::pushable_key;
use super::target::TargetArgs;
use crate::client::state;
use crate::model::{InstanceName, OsUser};
use block::{Block, Login};

const HELP: &str = concat!(
    "Examples:
  eice ssh-config >~/.ssh/eice.conf       then `Include eice.conf` at the top of ~/.ssh/config
  ssh ubuntu@i-0123456789abcdef0          no key, no agent, no bastion; scp, rsync, git as well
  eice ssh-config --user ubuntu --region eu-west-1 --profile work
  eice ssh-config --host 'web-*'          by Name tags: `ssh web-1`
  eice ssh-config --host db i-0123456789abcdef0   one name for one instance
  eice ssh-config --push-key ~/.ssh/id_ed25519.pub   with a key of your own

Each connection is a tunnel. Its ProxyCommand makes a key in memory, pushes it, and lends it to ssh
by an agent (`eice tunnel --help`); no key is written to a file. With --push-key ssh uses yours, which
may be in an agent or on a security token. Host keys are those that eice has pinned; a new one is
handled as --host-key says and then kept by ssh, in its known_hosts, under the instance's name.

The options of AWS, endpoint and workspaces are those of `eice tunnel` and become part of the line.
Give --region and --profile when ssh is started where the environment does not say, by an editor for
one. `ssh -A` would forward the agent of this one key: -o ForwardAgent=\"$SSH_AUTH_SOCK\" forwards
yours.

Needs OpenSSH 8.7 or later.

Environment:
  XDG_RUNTIME_DIR          where the agents' sockets are: eice in it
  XDG_STATE_HOME           where they are without that: eice/ssh in it, else in ~/.local/state
  EICE_HOST_KEYS           the store of host keys, as --host-keys
  EICE_DIRECTORY, EICE_WORKSPACE_TAG  how workspaces are found, as --directory and --workspace-tag
  EICE_LOG                 what to log, as --log

",
    exit_help!()
);

/// Prints the lines of ssh_config that let plain ssh, scp, rsync, git and editors reach instances.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice ssh-config --help` has examples, environment and exit codes.")]
pub(crate) struct SshConfigArgs {
    /// The instance that the hosts mean; else each host is an instance's name itself
    #[arg(value_name = "INSTANCE")]
    instance: Option<InstanceName>,

    /// Name or pattern that ssh is given, several times for several; else INSTANCE, else i-*
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    host: Vec<String>,

    /// Login name where ssh is given none
    #[arg(long, short = 'l', visible_alias = "os-user", value_name = "USER", default_value_t)]
    user: OsUser,

    /// Push this public key instead of making one for each connection
    #[arg(long, value_name = "FILE.pub")]
    push_key: Option<PathBuf>,

    /// Folder for the sockets of agents, yours alone
    #[arg(long, value_name = "FOLDER", conflicts_with = "push_key")]
    agent_folder: Option<PathBuf>,

    /// What ssh does with the host key of an instance that is not known yet
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = HostKeyArg::Tofu)]
    host_key: HostKeyArg,

    /// Where host keys are kept; else $XDG_STATE_HOME/eice/host_keys.json
    #[arg(long, value_name = "FILE", env = "EICE_HOST_KEYS")]
    host_keys: Option<PathBuf>,

    /// The program that ssh starts; else this one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    #[command(flatten)]
    to: TargetArgs,
}

/// What ssh does with a host key that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HostKeyArg {
    /// Refuse it
    Strict,
    /// Trust on first use: keep it, and refuse another one from then on
    Tofu,
}

/// A name or pattern for a `Host` line.
fn pattern(text: &str) -> Result<String, String> {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "'\"\\#,".contains(c);
    if text.is_empty() || text.starts_with('-') || text.chars().any(is_bad) {
        return Err(
            "it must be a name or pattern of ssh_config(5): letters, digits, `-._*?` and the like".into()
        );
    }
    Ok(text.to_owned())
}

pub(crate) fn run(args: &SshConfigArgs) -> Result<u8, Failure> {
    let text = args.block()?.render()?;
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))?;
    Ok(exit::OK)
}

impl SshConfigArgs {
    fn block(&self) -> Result<Block, Failure> {
        if self.instance.is_none() && self.to.endpoint.private_ip_address.is_some() {
            return Err(Failure::new(exit::USAGE, "--private-ip-address is one instance's: name it"));
        }
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()
                .map_err(|error| Failure::because(exit::INTERNAL, "where is this program?", &error))?,
        };
        let host_key_alias = match &self.instance {
            Some(InstanceName::Id(id)) => Some(id.to_string()),
            _ => None,
        };
        Ok(Block {
            hosts: self.hosts()?,
            instance: self.instance.as_ref().map(InstanceName::to_argument),
            host_key_alias,
            user: self.user.to_string(),
            port: self.to.endpoint.port.map(|port| port.to_string()),
            program: absolute(&program)?,
            options: self.to.to_arguments(absolute)?,
            login: self.login()?,
            strict: match self.host_key {
                HostKeyArg::Strict => "yes",
                HostKeyArg::Tofu => "accept-new",
            },
            host_keys: self.host_keys.as_deref().map(absolute).transpose()?,
        })
    }

    fn hosts(&self) -> Result<Vec<String>, Failure> {
        match (&self.instance, self.host.as_slice()) {
            (Some(instance), []) => {
                let host = pattern(&instance.to_string()).map_err(|_| {
                    Failure::new(exit::USAGE, format!("{instance} cannot be the name of a host"))
                        .with_hint("--host names one")
                })?;
                Ok(vec![host])
            }
            (None, []) => Ok(vec!["i-*".to_owned()]),
            (_, hosts) => Ok(hosts.to_vec()),
        }
    }

    fn login(&self) -> Result<Login, Failure> {
        if let Some(file) = &self.push_key {
            // Checked now and not at the first connection.
            pushable_key::from_file(file)?;
            // With the private half next to it, ssh needs no agent.
            let private = file.with_extension("");
            let has_private = file.extension().is_some_and(|it| it == "pub") && private.is_file();
            let identity = if has_private { &private } else { file };
            return Ok(Login::Own { public: absolute(file)?, identity: absolute(identity)? });
        }
        let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let folder = self.agent_folder.clone().or_else(|| agent_folder(var)).ok_or_else(|| {
            Failure::new(exit::CONFIG, "there is no place for sockets: HOME is not set")
                .with_hint("--agent-folder names a folder")
        })?;
        Ok(Login::Lent { folder: absolute(&folder)? })
    }
}

/// Returns `$XDG_RUNTIME_DIR/eice`, which is intended for sockets; otherwise a folder in the state directory, which
/// exists without a login session as well.
fn agent_folder(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    match var("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()) {
        Some(runtime) => Some(runtime.join("eice")),
        None => Some(state::folder_in(var)?.join("ssh")),
    }
}

/// Returns the absolute path as text: ssh is started from other folders.
fn absolute(path: &Path) -> Result<String, Failure> {
    let whole = std::path::absolute(path).map_err(|error| {
        Failure::because(exit::USAGE, format!("{} cannot be made absolute", path.display()), &error)
    })?;
    whole.into_os_string().into_string().map_err(|whole| {
        Failure::new(exit::USAGE, format!("{} is not UTF-8", whole.display()))
            .with_hint("choose a name that is")
    })
}

#[cfg(test)]
mod tests;
