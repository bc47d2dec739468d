//! EC2's Query protocol: form posts with a signature header, and XML responses.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, timeout, timeout_at};

use super::action::Action;
use super::classify::classify;
use super::clock::skew;
use super::credentials::CachedCredentials;
use super::error::{AwsError, ErrorResponse};
use super::http::Http;
use super::retry::Retries;
use super::xml;

use crate::setters::setters;

/// The API version of all calls.
const VERSION: &str = "2016-11-15";
/// The maximum size of a response, in bytes. A page of 1000 instances takes about 3 MiB.
const MAX_ANSWER: usize = 8 << 20;
/// Time limit of one attempt.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of a call, including retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum backoff between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The EC2 API of one region.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) http: Http,
    /// `scheme://authority`, without a path.
    pub(super) url: String,
    pub(super) region: String,
    pub(super) credentials: Arc<CachedCredentials>,
    pub(super) retries: Retries,
}

/// The error of one attempt.
enum AttemptError {
    /// A retry may succeed.
    Transient(AwsError),
    /// A retry would fail as well.
    Permanent(AwsError),
}

impl Query {
    /// Calls `action` and returns the response body.
    pub(super) async fn call(
        &self,
        action: Action,
        params: &[(String, String)],
    ) -> Result<Vec<u8>, AwsError> {
        let body = form(action, params);
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut pause = self.retries.first_pause;
        let mut attempt = 1;
        loop {
            let credentials = self.credentials.load().await?;
            let error = match timeout_at(deadline, self.attempt(action, &body, credentials)).await {
                Err(_) => return Err(self.timeout(action, CALL_TIMEOUT)),
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(AttemptError::Permanent(error))) => {
                    if matches!(error, AwsError::Rejected(_)) {
                        self.credentials.forget().await;
                    }
                    return Err(error);
                }
                Ok(Err(AttemptError::Transient(error))) => error,
            };
            let wait = pause.min(MAX_BACKOFF).mul_f64(rand::random_range(0.5..=1.0));
            if attempt >= self.retries.attempts || Instant::now() + wait >= deadline {
                return Err(error);
            }
            tracing::debug!(%action, attempt, %error, "retrying");
            tokio::time::sleep(wait).await;
            pause = pause.saturating_mul(2);
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        action: Action,
        body: &str,
        credentials: Credentials,
    ) -> Result<Vec<u8>, AttemptError> {
        let request = self
            .signed(body, credentials)
            .map_err(|source| AttemptError::Permanent(AwsError::Sign { action, source }))?;
        let exchange = async {
            let response = self.http.connector.call(request).await.map_err(|error| {
                if error.is_timeout() {
                    AttemptError::Transient(self.timeout(action, TRY_TIMEOUT))
                } else {
                    AttemptError::Transient(self.network(action, error.into_source()))
                }
            })?;
            self.read(action, response).await
        };
        timeout(TRY_TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(AttemptError::Transient(self.timeout(action, TRY_TIMEOUT))))
    }

    async fn read(&self, action: Action, response: HttpResponse) -> Result<Vec<u8>, AttemptError> {
        let status = response.status().as_u16();
        let date = response.headers().get("date").map(str::to_owned);
        let header_id = response.headers().get("x-amzn-requestid").map(str::to_owned);
        let mut answer = Vec::new();
        let mut stream = ByteStream::new(response.into_body());
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| AttemptError::Transient(self.network(action, error.into())))?;
            if answer.len() + chunk.len() > MAX_ANSWER {
                return Err(AttemptError::Permanent(AwsError::TooLarge { action, limit: MAX_ANSWER }));
            }
            answer.extend_from_slice(&chunk);
        }
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let response_error = match xml::error_body(&answer) {
            Some(body) => {
                let request_id = body.request_id.as_deref().or(header_id.as_deref());
                ErrorResponse::new(action, status, &body.code, &body.message, request_id)
            }
            None if status >= 500 => ErrorResponse::new(
                action,
                status,
                &format!("HTTP {status}"),
                "no reason given",
                header_id.as_deref(),
            ),
            None => {
                let what = format!("HTTP {status} without an EC2 error");
                return Err(AttemptError::Permanent(AwsError::Malformed {
                    action,
                    what,
                    request_id: header_id,
                }));
            }
        };
        let skew = skew(date.as_deref(), &response_error.message, SystemTime::now());
        Err(match classify(response_error, skew) {
            error @ (AwsError::Throttled(_) | AwsError::Service(_)) => AttemptError::Transient(error),
            error => AttemptError::Permanent(error),
        })
    }

    fn signed(
        &self,
        body: &str,
        credentials: Credentials,
    ) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
        const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
        let uri = format!("{}/", self.url);
        let identity: Identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("ec2")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new(
            "POST",
            uri.as_str(),
            [("content-type", CONTENT_TYPE)].into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (instructions, _signature) = sign(signable, &params)?.into_parts();
        let mut request = http::Request::builder()
            .method("POST")
            .uri(&uri)
            .header("content-type", CONTENT_TYPE)
            .header("user-agent", concat!("eice/", env!("CARGO_PKG_VERSION")))
            .body(SdkBody::from(body))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(HttpRequest::try_from(request)?)
    }

    /// Returns the host, for error messages.
    fn host(&self) -> String {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, host)| host).to_owned()
    }

    fn timeout(&self, action: Action, after: Duration) -> AwsError {
        AwsError::Timeout { action, host: self.host(), after }
    }

    fn network(&self, action: Action, source: Box<dyn std::error::Error + Send + Sync>) -> AwsError {
        AwsError::Network { action, host: self.host(), source }
    }
}

/// Builds the request body.
fn form(action: Action, params: &[(String, String)]) -> String {
    let mut body = format!("Action={}&Version={VERSION}", action.name());
    for (name, value) in params {
        let (name, value) = (utf8_percent_encode(name, RESERVED), utf8_percent_encode(value, RESERVED));
        // Writing to a String cannot fail.
        let _ = write!(body, "&{name}={value}");
    }
    body
}

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

setters! {
    Retries {
        attempts: u32,
        first_pause: Duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_percent_encoded() {
        let params =
            [("Filter.1.Name".to_owned(), "tag:a b".to_owned()), ("NextToken".into(), "+/=&\u{e9}".into())];
        assert_eq!(
            form(Action::DescribeInstances, &params),
            "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag%3Aa%20b&NextToken=%2B%2F%3D%26%C3%A9"
        );
    }
}
