//! The lines themselves.

use std::fmt::Write as _;

use super::quote::{config_word, literal_word, shell_word, without_tokens};
use crate::cli::failure::Failure;

/// What a block says.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The names that it is for, as patterns of ssh_config(5).
    pub(super) hosts: Vec<String>,
    /// The instance that they all mean; else each name is looked up as it is.
    pub(super) instance: Option<String>,
    /// The id that the instance's host key is known by, where that is not the name.
    pub(super) host_key_alias: Option<String>,
    /// The login name where none is given to ssh.
    pub(super) user: String,
    /// The port, where it is not 22.
    pub(super) port: Option<String>,
    /// The program.
    pub(super) program: String,
    /// The options of `eice tunnel` that lead to the instance.
    pub(super) options: Vec<String>,
    /// Where the key comes from.
    pub(super) login: Login,
    /// What becomes of an instance that nobody has seen yet.
    pub(super) strict: &'static str,
    /// A store of host keys that is not the user's own.
    pub(super) host_keys: Option<String>,
}

/// Where the key comes from that logs in.
#[derive(Clone, Debug)]
pub(super) enum Login {
    /// Made for each connection, and lent to ssh by agents with sockets in this folder.
    Lent {
        /// The folder.
        folder: String,
    },
    /// The user's own.
    Own {
        /// What is pushed.
        public: String,
        /// What ssh is told of.
        identity: String,
    },
}

/// What an agent's socket is called. ProxyCommand knows few tokens: not `%C`.
const SOCKET: &str = "%n-%p-%r";

impl Block {
    /// The block, each line ended.
    pub(super) fn render(&self) -> Result<String, Failure> {
        let mut hosts = Vec::new();
        for host in &self.hosts {
            hosts.push(literal_word(host)?);
        }
        let mut text = format!(
            "# Printed by `eice ssh-config`. The first value of an option counts, so this stands before any `Host *`.\n\
             # The last pattern keeps names with a quote away from the shell, which OpenSSH itself does since 9.6.\n\
             Host {} \"!*'*\"\n",
            hosts.join(" ")
        );
        for (name, value) in self.options()? {
            let _ = writeln!(text, "    {name} {value}");
        }
        text.push_str(
            "    # One tunnel and one login for many sessions:\n    \
             # ControlMaster auto\n    \
             # ControlPath ~/.ssh/eice-%C\n    \
             # ControlPersist 60\n",
        );
        Ok(text)
    }

    fn options(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut options = vec![("User", literal_word(&self.user)?)];
        if let Some(port) = &self.port {
            options.push(("Port", port.clone()));
        }
        options.push(("ProxyCommand", self.proxy_command()?));
        match &self.login {
            Login::Lent { folder } => {
                let path = format!("{}/{SOCKET}", without_tokens(folder)?);
                options.push(("IdentityAgent", literal_word(&path)?));
                // The agent's key is in no file, so that ssh must not want it to be.
                options.push(("IdentitiesOnly", "no".to_owned()));
                options.push(("IdentityFile", "none".to_owned()));
            }
            Login::Own { identity, .. } => {
                options.push(("IdentityFile", config_word(identity)?));
                options.push(("IdentitiesOnly", "yes".to_owned()));
            }
        }
        if let Some(id) = &self.host_key_alias {
            options.push(("HostKeyAlias", literal_word(id)?));
        }
        options.push(("KnownHostsCommand", self.known_hosts_command()?));
        options.push(("StrictHostKeyChecking", self.strict.to_owned()));
        options.push(("ServerAliveInterval", "15".to_owned()));
        Ok(options)
    }

    /// `%n` is the name as it was typed; `%h` would be in lower case. In single quotes neither it nor `%r` means anything
    /// to a shell.
    fn proxy_command(&self) -> Result<String, Failure> {
        let mut words = vec![shell_word(&self.program)?, "tunnel".to_owned()];
        for option in &self.options {
            words.push(shell_word(option)?);
        }
        words.push("--port=%p".to_owned());
        words.push("--os-user='%r'".to_owned());
        match &self.login {
            Login::Lent { folder } => words.push(format!("--agent={}/'{SOCKET}'", shell_word(folder)?)),
            Login::Own { public, .. } => words.push(format!("--push-key={}", shell_word(public)?)),
        }
        words.push("--".to_owned());
        words.push(match &self.instance {
            Some(instance) => shell_word(instance)?,
            None => "'%n'".to_owned(),
        });
        Ok(words.join(" "))
    }

    /// ssh looks for tokens in every word but the first, which must be an absolute path, and starts it without a shell.
    fn known_hosts_command(&self) -> Result<String, Failure> {
        let mut words = vec![literal_word(&self.program)?, "host-keys".to_owned()];
        if let Some(file) = &self.host_keys {
            words.push("--host-keys".to_owned());
            words.push(config_word(file)?);
        }
        words.push("export".to_owned());
        words.push("%H".to_owned());
        Ok(words.join(" "))
    }
}
