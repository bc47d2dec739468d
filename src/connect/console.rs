//! An instance's console as a witness of its host keys.

use std::sync::Arc;

use eice_proto::InstanceId;

use crate::aws::{AwsClient, AwsError, ConsoleForm};
use crate::ssh::host_keys::{Testimony, Witness};

/// Why a console yields no host keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConsoleError {
    /// There is no output, or none yet.
    #[error("the console of {0} is empty")]
    Empty(InstanceId),
    /// There is output without host keys.
    #[error("the console of {0} shows no host keys")]
    NoKeys(InstanceId),
    /// It could not be read.
    #[error("the console of {instance} cannot be read")]
    Call {
        /// The instance.
        instance: InstanceId,
        /// The cause.
        source: AwsError,
    },
}

/// Reads the console of `instance`: its current output, and if that shows no keys or is unavailable, the output
/// posted after the last boot, which the ring buffer may have lost since.
pub(super) fn witness(client: Arc<AwsClient>, instance: InstanceId) -> Witness {
    Box::pin(async move {
        let latest = match read(&client, &instance, ConsoleForm::Latest).await {
            Ok(Some(testimony)) if !testimony.is_empty() => return Ok(testimony),
            Ok(latest) => latest,
            // Not every instance type supports the current output.
            Err(AwsError::State(_)) => None,
            Err(source) => return Err(ConsoleError::Call { instance, source }.into()),
        };
        match read(&client, &instance, ConsoleForm::Posted).await {
            Ok(Some(testimony)) if !testimony.is_empty() => Ok(testimony),
            Ok(None) if latest.is_none() => Err(ConsoleError::Empty(instance).into()),
            Ok(_) => Err(ConsoleError::NoKeys(instance).into()),
            Err(source) => Err(ConsoleError::Call { instance, source }.into()),
        }
    })
}

/// Reads the console's host keys in one form; `None` when it is empty. The output itself is dropped here.
async fn read(
    client: &AwsClient,
    instance: &InstanceId,
    form: ConsoleForm,
) -> Result<Option<Testimony>, AwsError> {
    let output = client.console_output(instance, form).await?;
    let is_empty = output.bytes().iter().all(u8::is_ascii_whitespace);
    Ok((!is_empty).then(|| Testimony::from_console(output.bytes())))
}
