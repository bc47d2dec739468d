//! Errors of AWS calls, grouped by whose fault they are.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Fault;

use super::action::Action;
use super::choice::ChoiceError;

/// The maximum length of a string from AWS, in characters.
const MAX_TEXT_LEN: usize = 1024;

/// The error response of an AWS call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// The call.
    pub action: Action,
    /// The HTTP status.
    pub status: u16,
    /// AWS's code: `UnauthorizedOperation` and so on.
    pub code: String,
    /// AWS's message, truncated.
    pub message: String,
    /// The request id.
    pub request_id: Option<String>,
}

impl ErrorResponse {
    pub(super) fn new(
        action: Action,
        status: u16,
        code: &str,
        message: &str,
        request_id: Option<&str>,
    ) -> Self {
        let cut = |text: &str| text.chars().take(MAX_TEXT_LEN).collect::<String>();
        Self { action, status, code: cut(code), message: cut(message), request_id: request_id.map(cut) }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl StdError for ErrorResponse {}

/// The difference between the local clock and AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// The local clock is ahead by this much.
    Ahead(Duration),
    /// The local clock is behind by this much.
    Behind(Duration),
    /// The local clock is wrong by an unknown amount.
    Unknown,
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(by) => write!(f, "{} s ahead of AWS's", by.as_secs()),
            Self::Behind(by) => write!(f, "{} s behind AWS's", by.as_secs()),
            Self::Unknown => f.write_str("not AWS's"),
        }
    }
}

/// An AWS call that failed. `Display` prints one level; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// No region is configured.
    #[error("no AWS region is configured")]
    NoRegion,
    /// The region name is invalid.
    #[error("{0:?} is not the name of an AWS region")]
    Region(String),
    /// An endpoint URL is invalid.
    #[error(
        "{url:?} is not an endpoint URL for {service}: expected https://host[:port] or http://host[:port]"
    )]
    EndpointUrl {
        /// The service.
        service: &'static str,
        /// The text.
        url: String,
    },
    /// The CA bundle cannot be read.
    #[error("cannot read the CA bundle {path}", path = .path.display())]
    CaBundle {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A shared configuration file is malformed.
    #[error("cannot read the AWS configuration file {path}: {why}", path = .path.display())]
    Profile {
        /// Its path.
        path: PathBuf,
        /// Why, with the line.
        why: String,
    },
    /// The requested profile does not exist.
    #[error("there is no profile {name:?} in the AWS configuration files")]
    NoProfile {
        /// Its name.
        name: String,
        /// The files that could not be read, with the reasons.
        unreadable: Vec<String>,
    },
    /// A variable or property has an invalid value.
    #[error("{name} cannot be used: {why}")]
    Setting {
        /// The variable or property.
        name: String,
        /// Why.
        why: String,
    },
    /// The profile's settings are invalid or contradict each other.
    #[error("the profile {profile:?} cannot be used: {why}")]
    ProfileSettings {
        /// The profile.
        profile: String,
        /// Why.
        why: String,
    },
    /// The profile uses `aws login`, which is not supported.
    #[error("the profile {0:?} uses `aws login` (login_session), which is not supported")]
    LoginSession(String),
    /// Credentials are incomplete: a key id without a secret, or a role without a source.
    #[error("the credentials in {provider} are incomplete: {missing} is missing")]
    PartialCredentials {
        /// Where they were found: `env`, `shared-credentials-file`, `config-file`, `assume-role`.
        provider: &'static str,
        /// The missing variable or property.
        missing: &'static str,
    },
    /// The profile's `credential_process` failed.
    #[error("the credential_process of the profile {profile:?} failed: {why}")]
    Process {
        /// The profile.
        profile: String,
        /// Why.
        why: String,
    },
    /// Single sign-on of the profile returned no credentials.
    #[error("single sign-on of the profile {profile:?} returned no credentials")]
    SignIn {
        /// The profile.
        profile: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The role requires an MFA code, and there is no terminal to prompt on.
    #[error(
        "the role {role_arn} requires a code of the MFA device {serial}, and there is no terminal to ask for it"
    )]
    Mfa {
        /// The role.
        role_arn: String,
        /// The device.
        serial: String,
        /// Why the terminal could not be used.
        #[source]
        source: Option<std::io::Error>,
    },
    /// No credentials were found.
    #[error("no AWS credentials were found")]
    NoCredentials,
    /// Loading credentials failed, for example because a login expired.
    #[error("AWS credentials could not be obtained")]
    Credentials(#[source] Box<dyn StdError + Send + Sync>),
    /// Assuming the role failed.
    #[error("the role {role_arn} could not be assumed")]
    AssumeRole {
        /// The role.
        role_arn: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Loading credentials timed out.
    #[error("AWS credentials were not available within {} s", .0.as_secs())]
    CredentialsTimeout(Duration),
    /// AWS rejected the credentials: unknown, expired, or a wrong signature.
    #[error("AWS does not accept the credentials for {}", .0.action)]
    Rejected(#[source] Box<ErrorResponse>),
    /// The local clock is wrong, so AWS rejects every signature.
    #[error("AWS does not accept the signature of {}: the local clock is {skew}", .response.action)]
    Clock {
        /// By how much.
        skew: Skew,
        /// AWS's error response.
        #[source]
        response: Box<ErrorResponse>,
    },
    /// The caller is authenticated but lacks the permission.
    #[error("{} is not allowed", .0.action)]
    Denied(#[source] Box<ErrorResponse>),
    /// The instance or endpoint does not exist.
    #[error("{} found nothing", .0.action)]
    NotFound(#[source] Box<ErrorResponse>),
    /// The resource is in a state or of a type that the call does not support.
    #[error("{} is not possible in the current state", .0.action)]
    State(#[source] Box<ErrorResponse>),
    /// The call is throttled; retries were exhausted.
    #[error("{} is throttled", .0.action)]
    Throttled(#[source] Box<ErrorResponse>),
    /// AWS rejected the request as invalid.
    #[error("AWS rejected {} as invalid", .0.action)]
    Invalid(#[source] Box<ErrorResponse>),
    /// AWS failed; retries were exhausted.
    #[error("{} failed at AWS", .0.action)]
    Service(#[source] Box<ErrorResponse>),
    /// AWS could not be reached.
    #[error("{action} could not reach {host}")]
    Network {
        /// The call.
        action: Action,
        /// The host that was tried.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The call timed out.
    #[error("{action} was not answered by {host} within {} s", .after.as_secs())]
    Timeout {
        /// The call.
        action: Action,
        /// The host that was tried.
        host: String,
        /// The time limit.
        after: Duration,
    },
    /// The response is malformed.
    #[error("the response to {action} is malformed: {what}")]
    Malformed {
        /// The call.
        action: Action,
        /// What is wrong with it.
        what: String,
        /// The request id.
        request_id: Option<String>,
    },
    /// The response exceeds the size limit.
    #[error("the response to {action} is larger than {limit} bytes")]
    TooLarge {
        /// The call.
        action: Action,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request could not be signed or built: a bug in this program.
    #[error("{action} could not be signed")]
    Sign {
        /// The call.
        action: Action,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No endpoint or address can be used.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
}

impl AwsError {
    pub(super) fn setting(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Setting { name: name.into(), why: why.into() }
    }

    /// Returns AWS's error response, if AWS rejected the call.
    #[must_use]
    pub fn response(&self) -> Option<&ErrorResponse> {
        match self {
            Self::Rejected(response)
            | Self::Denied(response)
            | Self::NotFound(response)
            | Self::State(response)
            | Self::Throttled(response)
            | Self::Invalid(response)
            | Self::Service(response)
            | Self::Clock { response, .. } => Some(response),
            Self::AssumeRole { .. } => self.assume_role_error()?.response(),
            _ => None,
        }
    }

    /// Returns the error of the `AssumeRole` call, if the call itself failed.
    fn assume_role_error(&self) -> Option<&Self> {
        match self {
            Self::AssumeRole { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// Returns the AWS request id, if there is one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Malformed { request_id, .. } => request_id.as_deref(),
            _ => self.response()?.request_id.as_deref(),
        }
    }

    /// Returns whose fault the error is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoRegion | Self::Region(_) | Self::EndpointUrl { .. } | Self::CaBundle { .. } => {
                Fault::Usage
            }
            Self::Profile { .. }
            | Self::NoProfile { .. }
            | Self::Setting { .. }
            | Self::ProfileSettings { .. }
            | Self::LoginSession(_)
            | Self::PartialCredentials { .. }
            | Self::Process { .. }
            | Self::SignIn { .. }
            | Self::Mfa { .. }
            | Self::NoCredentials
            | Self::Credentials(_)
            | Self::CredentialsTimeout(_)
            | Self::Rejected(_)
            | Self::Clock { .. } => Fault::Credentials,
            Self::AssumeRole { .. } => self.assume_role_error().map_or(Fault::Credentials, Self::fault),
            Self::Denied(_) => Fault::Denied,
            Self::NotFound(_) => Fault::NotFound,
            Self::State(_) => Fault::State,
            Self::Throttled(_) => Fault::Quota,
            Self::Invalid(_) => Fault::Usage,
            Self::Service(_) | Self::Network { .. } => Fault::Network,
            Self::Timeout { .. } => Fault::Timeout,
            Self::Malformed { .. } | Self::TooLarge { .. } => Fault::Protocol,
            Self::Sign { .. } => Fault::Internal,
            Self::Choice(error) => match error {
                ChoiceError::NoEndpoint { .. } | ChoiceError::NoSuchEndpoint { .. } => Fault::NotFound,
                ChoiceError::InstanceState { .. }
                | ChoiceError::BeingCreated { .. }
                | ChoiceError::EndpointState { .. }
                | ChoiceError::NoName { .. } => Fault::State,
                ChoiceError::NoAddress { .. }
                | ChoiceError::NoVpc
                | ChoiceError::AddressFamily { .. }
                | ChoiceError::NoFipsName { .. } => Fault::Usage,
            },
        }
    }

    /// Returns what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoRegion => "give a region (--region), set AWS_REGION, or set `region` in the profile".into(),
            Self::Region(_) => "a region looks like eu-west-1".into(),
            Self::EndpointUrl { .. } => "correct the endpoint URL (AWS_ENDPOINT_URL and its variants)".into(),
            Self::CaBundle { .. } => "correct AWS_CA_BUNDLE or `ca_bundle`: it must be the path of a PEM file".into(),
            Self::Profile { .. } => "correct that line, or use another file (AWS_CONFIG_FILE)".into(),
            Self::NoProfile { unreadable, .. } if !unreadable.is_empty() => {
                format!("not all files could be read: {}", unreadable.join("; "))
            }
            Self::NoProfile { .. } => {
                "choose another profile (--profile, AWS_PROFILE), or add this one to ~/.aws/config".into()
            }
            Self::Setting { .. } => "correct or unset it".into(),
            Self::ProfileSettings { .. } => "correct the profile in ~/.aws/config".into(),
            Self::LoginSession(profile) => format!(
                "let aws-cli export its credentials, in a separate profile: credential_process = aws configure \
                 export-credentials --profile {profile}; reauthenticate with `aws login --profile {profile}`"
            ),
            Self::PartialCredentials { missing, .. } => format!("set {missing}, or remove the related settings"),
            Self::Process { .. } => "run it by hand: it must print credentials as JSON".into(),
            Self::SignIn { profile, .. } => format!("sign in: aws sso login --profile {profile}"),
            Self::Mfa { .. } => {
                "run it on a terminal; for unattended use, set session credentials in the environment".into()
            }
            Self::NoCredentials => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile, log in (aws sso login), or \
                 give the machine an instance role"
                    .into()
            }
            Self::Credentials(_) => "log in again, or check the profile's credential settings".into(),
            Self::AssumeRole { role_arn, .. } => match self.assume_role_error() {
                None | Some(Self::Denied(_) | Self::Invalid(_)) => format!(
                    "allow sts:AssumeRole on {role_arn}, and check the role's trust policy and external id"
                ),
                Some(other) => return other.hint(),
            },
            Self::CredentialsTimeout(_) => {
                "check what the credential chain waits for: SSO, a credential process, the metadata service".into()
            }
            Self::Rejected(_) => "check the access key and the session token: they may have expired".into(),
            Self::Clock { .. } => "set the local clock (timedatectl set-ntp true), then try again".into(),
            Self::Denied(response) => format!(
                "allow {} on {} in the IAM policy of the caller",
                response.action.permission(),
                response.action.resource()
            ),
            Self::NotFound(_) => "check the id, the region and the account".into(),
            Self::State(_) => "check that the instance runs and is of a type that EC2 Instance Connect serves".into(),
            Self::Throttled(_) | Self::Service(_) => "try again in a minute".into(),
            Self::Network { .. } | Self::Timeout { .. } => {
                "check the network, the proxy settings (HTTPS_PROXY, NO_PROXY) and the endpoint URL".into()
            }
            Self::Malformed { .. } | Self::TooLarge { .. } => {
                "check that the endpoint URL is AWS's: something else may be answering".into()
            }
            Self::Choice(error) => error.hint().into(),
            Self::Invalid(_) | Self::Sign { .. } => return None,
        })
    }
}
