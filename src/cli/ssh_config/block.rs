//! Renders the ssh_config block.

use std::fmt::Write as _;

use super::quote::{config_word, literal_word, shell_word, without_tokens};
use crate::cli::failure::Failure;

/// The content of a block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The host patterns of ssh_config(5).
    pub(super) hosts: Vec<String>,
    /// The instance that they all mean; otherwise each name is looked up verbatim.
    pub(super) instance: Option<String>,
    /// The id under which the instance's host key is known, if different from the name.
    pub(super) host_key_alias: Option<String>,
    /// The default login name.
    pub(super) user: String,
    /// The port, if it is not 22.
    pub(super) port: Option<String>,
    /// The path of `eice`.
    pub(super) program: String,
    /// The options of `eice tunnel` for the instance.
    pub(super) options: Vec<String>,
    /// The source of the key.
    pub(super) login: Login,
    /// The treatment of unknown host keys (StrictHostKeyChecking).
    pub(super) strict: &'static str,
    /// A store of host keys other than the user's.
    pub(super) host_keys: Option<String>,
}

/// The source of the login key.
#[derive(Clone, Debug)]
pub(super) enum Login {
    /// Made for each connection, and provided by an agent with a socket in this folder.
    Lent {
        /// The folder.
        folder: String,
    },
    /// The user's own key.
    Own {
        /// The public key to push.
        public: String,
        /// The IdentityFile of ssh.
        identity: String,
    },
}

/// The name of an agent's socket. ProxyCommand supports few tokens, and not `%C`.
const SOCKET: &str = "%n-%p-%r";

impl Block {
    /// Renders the block, with a newline after each line.
    pub(super) fn render(&self) -> Result<String, Failure> {
        let mut hosts = Vec::new();
        for host in &self.hosts {
            hosts.push(literal_word(host)?);
        }
        let mut text = format!(
            "# Printed by `eice ssh-config`. The first value of an option counts, so keep this before any `Host *`.\n\
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
                // The agent's key has no file, so ssh must not require one.
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

    /// Uses `%n`, the name as typed, since `%h` is in lower case. Single quotes protect it and `%r` from the shell.
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

    /// ssh expands tokens in every word except the first, which must be an absolute path, and runs it without a shell.
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
