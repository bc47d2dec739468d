//! Reads the user's public key from a file, stdin, or ssh-agent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::exit;
use super::failure::Failure;
use crate::ssh::{InvalidPushableKey, PushableKey};

/// The largest accepted key file, in bytes. A public key has at most 4096 characters, without its comment.
const MAX_FILE: u64 = 64 * 1024;

/// How long ssh-agent may take to list its keys: some prompt the user first.
const AGENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The default files of pushable keys in `~/.ssh`, in order of preference.
const USUAL: [&str; 2] = ["id_ed25519.pub", "id_rsa.pub"];

/// Reads the key in `file`, or stdin if it is `-`.
pub(super) fn from_file(file: &Path) -> Result<PushableKey, Failure> {
    let (name, text) = if file == Path::new("-") {
        ("stdin".to_owned(), read(io::stdin().lock()))
    } else {
        (file.display().to_string(), File::open(file).and_then(read))
    };
    let text = text.map_err(|error| {
        let code = if error.kind() == io::ErrorKind::NotFound { exit::NOT_FOUND } else { exit::USAGE };
        Failure::because(code, format!("cannot read {name}"), &error)
    })?;
    text.parse().map_err(|error| refused(&name, &error))
}

/// Reads the first default file in `~/.ssh`.
pub(super) fn usual() -> Result<PushableKey, Failure> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let folder = home.unwrap_or_default().join(".ssh");
    match USUAL.map(|name| folder.join(name)).into_iter().find(|file| file.is_file()) {
        Some(file) => from_file(&file),
        None => {
            let names = USUAL.join(" nor ");
            Err(Failure::new(exit::NOT_FOUND, format!("there is neither {names} in {}", folder.display()))
                .with_hint("--key names a file, --agent takes a key of ssh-agent's; `eice ssh` needs none"))
        }
    }
}

/// Returns the first pushable key of the ssh-agent at `SSH_AUTH_SOCK`.
pub(super) async fn of_agent() -> Result<PushableKey, Failure> {
    let asking = async {
        let mut agent = AgentClient::connect_env().await?;
        agent.request_identities().await
    };
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::because(exit::UNAVAILABLE, "ssh-agent cannot be asked", error)
            .with_hint("start it and add a key: `eval $(ssh-agent); ssh-add`")
    };
    let identities = match timeout(AGENT_TIMEOUT, asking).await {
        Ok(answer) => answer.map_err(|error| failed(&error))?,
        Err(late) => return Err(failed(&late)),
    };
    let count = identities.len();
    let keys = identities.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(PushableKey::try_from(key)),
        AgentIdentity::Certificate { .. } => None,
    });
    let mut refusal = None;
    for key in keys {
        match key {
            Ok(key) => return Ok(key),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(match refusal {
        Some(error) if count == 1 => refused("the key of ssh-agent", &error),
        Some(error) => refused(&format!("none of ssh-agent's {count} keys can be pushed: the first"), &error),
        None => Failure::new(exit::NOT_FOUND, "ssh-agent has no key").with_hint("`ssh-add` adds one"),
    })
}

/// Reads a key. It is zeroized afterwards, in case it is a private one.
fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    // Full capacity at once: reallocated buffers would not be zeroized.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
    from.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        let text = format!("it is larger than {MAX_FILE} bytes, and no key");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no text, and no key")),
    }
}

fn refused(name: &str, error: &InvalidPushableKey) -> Failure {
    Failure::because(exit::USAGE, format!("{name} cannot be pushed"), error).with_hint(error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oversized_or_binary_file_is_refused() {
        assert!(read(io::repeat(b'x')).unwrap_err().to_string().contains("larger"));
        assert!(read(&b"\xff\xfe"[..]).unwrap_err().to_string().contains("no text"));
        assert_eq!(read(&b"text"[..]).unwrap().as_str(), "text");
    }

    #[test]
    fn missing_file_is_66_and_invalid_is_64() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id.pub");
        assert_eq!(from_file(&file).unwrap_err().code(), exit::NOT_FOUND);
        std::fs::write(&file, "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n").unwrap();
        let failure = from_file(&file).unwrap_err();
        assert_eq!(failure.code(), exit::USAGE);
        let text = failure.render();
        assert!(
            text.contains("private key") && text.contains("hint: ") && !text.contains("c2VjcmV0"),
            "{text}"
        );
    }
}
