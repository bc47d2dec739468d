//! `GetConsoleOutput`: the console output of an instance.

use std::fmt;

use eice_proto::InstanceId;
use zeroize::Zeroizing;

use super::action::Action;
use super::client::AwsClient;
use super::error::AwsError;
use super::xml;

/// The maximum size of the output, in bytes. EC2 keeps 64 KiB (EC2 API reference, `GetConsoleOutput`).
const MAX_OUTPUT: usize = 256 * 1024;

/// Selects the console output to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsoleForm {
    /// The current output. Only instances on the Nitro System support it; others return [`AwsError::State`].
    Latest,
    /// The output saved after the last start, stop or reboot; kept for at least an hour.
    Posted,
}

/// The console output of an instance. It may contain secrets, so `Debug` hides it and dropping it zeroes the
/// memory.
pub struct ConsoleOutput(Zeroizing<Vec<u8>>);

impl ConsoleOutput {
    /// Returns the raw bytes, at most 256 KiB; empty when there is no output.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ConsoleOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsoleOutput({} bytes)", self.0.len())
    }
}

impl AwsClient {
    /// Returns the console output of `instance`.
    ///
    /// # Errors
    /// See [`AwsError`]. Empty output, as in the first minutes after a boot, is not an error.
    pub async fn console_output(
        &self,
        instance: &InstanceId,
        form: ConsoleForm,
    ) -> Result<ConsoleOutput, AwsError> {
        let action = Action::GetConsoleOutput;
        let mut params = vec![("InstanceId".to_owned(), instance.to_string())];
        if form == ConsoleForm::Latest {
            params.push(("Latest".to_owned(), "true".to_owned()));
        }
        let answer = Zeroizing::new(self.query.call(action, &params).await?);
        let malformed = |what: String| AwsError::Malformed { action, what, request_id: None };
        let (id, encoded) = xml::console_output(&answer).map_err(malformed)?;
        let encoded = Zeroizing::new(encoded);
        if id.is_some_and(|id| id != instance.as_str()) {
            return Err(malformed("it names another instance".to_owned()));
        }
        // Some of the responses in EC2's documentation contain line breaks.
        let encoded: Zeroizing<String> =
            Zeroizing::new(encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        if encoded.len() > MAX_OUTPUT.div_ceil(3) * 4 {
            return Err(AwsError::TooLarge { action, limit: MAX_OUTPUT });
        }
        let decoded = aws_smithy_types::base64::decode(encoded.as_str());
        let decoded = decoded.map_err(|_| malformed("its output is not base64".to_owned()))?;
        Ok(ConsoleOutput(Zeroizing::new(decoded)))
    }
}
