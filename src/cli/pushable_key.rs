//! A user's own public key: from a file, from stdin, from ssh-agent.

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

/// The largest file that is read for a key, in bytes. A public key has 4096 characters at most, without its comment.
const MAX_FILE: u64 = 64 * 1024;

/// How long ssh-agent may take to name its keys: some ask a person first.
const AGENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What ssh-keygen calls the keys that can be pushed, in the order in which they are looked for in `~/.ssh`.
const USUAL: [&str; 2] = ["id_ed25519.pub", "id_rsa.pub"];

/// The key in `file`; stdin where it is `-`.
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

/// The first of the usual ones in `~/.ssh`.
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

/// The first key of the ssh-agent at `SSH_AUTH_SOCK` that can be pushed.
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

/// Reads a key to its end. It is overwritten afterwards, should it be a private one.
fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    // Room for all of it at once: what a growing buffer leaves behind would not be overwritten.
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
    fn what_is_too_large_or_no_text_is_no_key() {
        assert!(read(io::repeat(b'x')).unwrap_err().to_string().contains("larger"));
        assert!(read(&b"\xff\xfe"[..]).unwrap_err().to_string().contains("no text"));
        assert_eq!(read(&b"text"[..]).unwrap().as_str(), "text");
    }

    #[test]
    fn a_file_that_is_not_there_is_66_and_one_that_is_no_key_64() {
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
