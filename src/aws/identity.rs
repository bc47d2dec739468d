//! `GetCallerIdentity`, through the SDK: who the credentials are.

use std::time::Duration;

use aws_sdk_sts::operation::RequestId;

use super::action::Action;
use super::client::AwsClient;
use super::error::AwsError;
use super::sdk_error;

/// How long the call may take with all its tries.
const CALL_TIMEOUT: Duration = super::key_push::CALL_TIMEOUT;

/// Who AWS takes the caller for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallerIdentity {
    /// The account, twelve digits.
    pub account: String,
    /// The caller: a user, an assumed role's session, the root user.
    pub arn: String,
    /// The caller's unique id; of an assumed role `AROA…:session`.
    pub user_id: String,
    /// The request id of the answer.
    pub request_id: Option<String>,
}

impl AwsClient {
    /// Asks AWS who the caller is. No policy is needed for it, so that it tells good credentials from bad ones;
    /// nothing is remembered.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn caller_identity(&self) -> Result<CallerIdentity, AwsError> {
        // Loaded first, so that a failure is told as one of credentials.
        self.credentials.load().await?;
        let asked = self.identity().await;
        if let Err(AwsError::Rejected(_)) = &asked {
            self.credentials.forget().await;
        }
        asked
    }

    async fn identity(&self) -> Result<CallerIdentity, AwsError> {
        let action = Action::CallerIdentity;
        let answer = self
            .sts
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| sdk_error::typed(action, &self.sts_host, CALL_TIMEOUT, error))?;
        let request_id = answer.request_id().map(str::to_owned);
        match (answer.account, answer.arn, answer.user_id) {
            (Some(account), Some(arn), Some(user_id)) => {
                Ok(CallerIdentity { account, arn, user_id, request_id })
            }
            _ => Err(AwsError::Malformed {
                action,
                what: "it does not say who the caller is".into(),
                request_id,
            }),
        }
    }
}
