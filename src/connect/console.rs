//! An instance's console as a witness of its host keys.

use std::sync::Arc;

use eice_proto::InstanceId;

use crate::aws::{self, Client, ConsoleForm};
use crate::ssh::host_keys::{Testimony, Witness};

/// Why a console says nothing of host keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConsoleError {
    /// There is no output, or none yet.
    #[error("the console of {0} is empty")]
    Empty(InstanceId),
    /// There is, and it has no host keys.
    #[error("the console of {0} shows no host keys")]
    NoKeys(InstanceId),
    /// It could not be had.
    #[error("the console of {instance} cannot be read")]
    Call {
        /// Whose console.
        instance: InstanceId,
        /// Why.
        source: aws::Error,
    },
}

/// Asks for the console of `instance`: as it stands now, and where that shows no keys or cannot be had, as it was
/// posted after the last boot, which the ring may have lost since.
pub(super) fn witness(client: Arc<Client>, instance: InstanceId) -> Witness {
    Box::pin(async move {
        let latest = match read(&client, &instance, ConsoleForm::Latest).await {
            Ok(Some(testimony)) if !testimony.is_empty() => return Ok(testimony),
            Ok(latest) => latest,
            // Not every instance type can tell how its console stands now.
            Err(aws::Error::State(_)) => None,
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

/// What the console tells in one form; `None` when it is empty. The output itself ends here.
async fn read(
    client: &Client,
    instance: &InstanceId,
    form: ConsoleForm,
) -> Result<Option<Testimony>, aws::Error> {
    let output = client.console_output(instance, form).await?;
    let is_empty = output.bytes().iter().all(u8::is_ascii_whitespace);
    Ok((!is_empty).then(|| Testimony::from_console(output.bytes())))
}
