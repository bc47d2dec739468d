//! `GetCallerIdentity`, through the SDK.

use std::time::Duration;

use aws_sdk_sts::operation::RequestId;

use super::action::Action;
use super::client::AwsClient;
use super::error::AwsError;
use super::sdk_error;

/// Time limit of the call, including retries.
const CALL_TIMEOUT: Duration = super::key_push::CALL_TIMEOUT;

/// The caller's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallerIdentity {
    /// The account, twelve digits.
    pub account: String,
    /// The ARN: a user, an assumed role's session, or the root user.
    pub arn: String,
    /// The unique id; for an assumed role, `AROA…:session`.
    pub user_id: String,
    /// The request id.
    pub request_id: Option<String>,
}

impl AwsClient {
    /// Requests the caller's identity. The call needs no permission, so it shows whether the credentials are valid;
    /// the result is not cached.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn caller_identity(&self) -> Result<CallerIdentity, AwsError> {
        // Load the credentials first: a failure is then reported as one of credentials.
        self.credentials.load().await?;
        let result = self.identity().await;
        if let Err(AwsError::Rejected(_)) = &result {
            self.credentials.forget().await;
        }
        result
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
                what: "the caller's identity is incomplete".into(),
                request_id,
            }),
        }
    }
}
