//! `credential_process`: a program that prints credentials.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::error::AwsError;

/// The maximum output that is read, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;
/// The maximum excerpt of the process's stderr in an error message, in characters.
const MAX_EXCERPT: usize = 400;

/// The output of the process (AWS SDKs and Tools Reference Guide, "Process credential provider").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessOutput {
    version: u32,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// Runs `command`, the `credential_process` of `profile`, in a shell. If attended, it reads from the terminal and
/// inherits stderr; otherwise stdin is empty and stderr is captured. It is killed when the future is dropped.
///
/// # Errors
/// [`AwsError::Process`].
pub(super) async fn run(command: &str, profile: &str, is_attended: bool) -> Result<Credentials, AwsError> {
    let failed = |why: String| AwsError::Process { profile: profile.to_owned(), why };
    // Do not pass on our stdin, which may be the data of a command or of a connection.
    let terminal = if is_attended { OpenOptions::new().read(true).open("/dev/tty").ok() } else { None };
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", command])
        .stdin(terminal.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(if is_attended { Stdio::inherit() } else { Stdio::piped() })
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("it cannot be started: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(bounded(stdout), bounded(stderr), child.wait());
    let status = status.map_err(|error| failed(format!("it cannot be waited for: {error}")))?;
    if !status.success() {
        let text: String = String::from_utf8_lossy(&stderr).trim().chars().take(MAX_EXCERPT).collect();
        let text = if text.is_empty() { text } else { format!(": {text}") };
        return Err(failed(format!("it ended with {status}{text}")));
    }
    read(&stdout).map_err(failed)
}

/// Reads `stream` up to a bound and discards the rest, so that the process does not block.
async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(mut stream) = stream {
        // A broken stream still yields what was read before.
        let _ = (&mut stream).take(MAX_OUTPUT).read_to_end(&mut text).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    text
}

fn read(output: &[u8]) -> Result<Credentials, String> {
    // Do not include the parser's message: it may quote a secret.
    let printed: ProcessOutput = serde_json::from_slice(output).map_err(|error| {
        format!(
            "its output is not the JSON of credentials (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    if printed.version != 1 {
        return Err(format!("its output has version {}; only 1 is known", printed.version));
    }
    let required =
        |value: Option<String>, name: &str| value.ok_or_else(|| format!("its output has no {name}"));
    let expiry = match &printed.expiration {
        None => None,
        Some(text) => {
            let time = DateTime::from_str(text, Format::DateTimeWithOffset).ok();
            let time = time.and_then(|time| SystemTime::try_from(time).ok());
            Some(time.ok_or_else(|| format!("its output expires at {text:?}, which is not a time"))?)
        }
    };
    Ok(Credentials::new(
        required(printed.access_key_id, "AccessKeyId")?,
        required(printed.secret_access_key, "SecretAccessKey")?,
        printed.session_token,
        expiry,
        "CredentialProcess",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn process_output_is_parsed() {
        let json = r#"{"Version":1,"AccessKeyId":"AKIDP","SecretAccessKey":"s","SessionToken":"t","Expiration":"2199-01-01T00:00:00+00:00"}"#;
        let found = run(&format!("echo '{json}'"), "p", false).await.unwrap();
        assert_eq!((found.access_key_id(), found.session_token()), ("AKIDP", Some("t")));
        assert!(found.expiry().unwrap() > SystemTime::now());
    }

    #[tokio::test]
    async fn process_error_has_no_secrets() {
        for (command, word) in [
            ("echo 'no ticket' >&2; exit 3", "exit status: 3: no ticket"),
            ("echo '{\"Version\":2}'", "version 2"),
            ("echo '{\"Version\":1,\"AccessKeyId\":\"k\"}'", "SecretAccessKey"),
            ("echo hunter2", "not the JSON"),
            (
                "echo '{\"Version\":1,\"AccessKeyId\":\"k\",\"SecretAccessKey\":\"hunter2\",\"Expiration\":\"soon\"}'",
                "soon",
            ),
            ("yes | head -c 200000", "not the JSON"),
        ] {
            let error = run(command, "p", false).await.unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("\"p\"") && !error.contains("hunter2"),
                "{command}: {error}"
            );
        }
    }
}
