//! `GetConsoleOutput`: what an instance printed on its console.

use std::fmt;

use eice_proto::InstanceId;
use zeroize::Zeroizing;

use super::action::Action;
use super::client::AwsClient;
use super::error::AwsError;
use super::xml;

/// The largest output that is taken, in bytes. EC2 keeps 64 KiB (EC2 API reference, `GetConsoleOutput`).
const MAX_OUTPUT: usize = 256 * 1024;

/// Which output of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsoleForm {
    /// What stands there now. Only instances on the Nitro System give it; others are [`AwsError::State`].
    Latest,
    /// What was posted after the instance last started, stopped or rebooted; kept for an hour at least.
    Posted,
}

/// What an instance printed. Secrets may be in it, so it is neither shown by `Debug` nor left in memory.
pub struct ConsoleOutput(Zeroizing<Vec<u8>>);

impl ConsoleOutput {
    /// The bytes as they were printed, at most 256 KiB; empty when nothing is there.
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
    /// What `instance` printed on its console.
    ///
    /// # Errors
    /// See [`AwsError`]. An output that is empty, as it is for some minutes after a boot, is no error.
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
            return Err(malformed("it is about another instance".to_owned()));
        }
        // Some of the answers in EC2's documentation are folded.
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
