//! What can go wrong with an AWS call, grouped by who is at fault.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Fault;

use super::action::Action;
use super::choice::ChoiceError;

/// How much of a text from AWS is kept, in characters.
const MAX_TEXT_LEN: usize = 1024;

/// AWS's own words of response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// The call.
    pub action: Action,
    /// The HTTP status.
    pub status: u16,
    /// AWS's code: `UnauthorizedOperation` and so on.
    pub code: String,
    /// AWS's text, cut to a bound.
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

/// By how much the local clock differs from AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// The local clock is ahead by this much.
    Ahead(Duration),
    /// The local clock is behind by this much.
    Behind(Duration),
    /// AWS says that it is off and not by how much.
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
    /// Not the name of a region.
    #[error("{0:?} is not the name of an AWS region")]
    Region(String),
    /// An endpoint URL that is none.
    #[error(
        "{url:?} is not an endpoint URL for {service}: it must read https://host[:port] or http://host[:port]"
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
    /// The chosen profile does not exist.
    #[error("there is no profile {name:?} in the AWS configuration files")]
    NoProfile {
        /// Its name.
        name: String,
        /// The files that could not be read, each with the reason.
        unreadable: Vec<String>,
    },
    /// A variable or property has a value that cannot be used.
    #[error("{name} cannot be used: {why}")]
    Setting {
        /// The variable or property.
        name: String,
        /// Why.
        why: String,
    },
    /// The profile cannot give credentials as it is written.
    #[error("the profile {profile:?} cannot be used: {why}")]
    ProfileSettings {
        /// The profile.
        profile: String,
        /// Why.
        why: String,
    },
    /// The profile is signed in by `aws login`, which is not supported.
    #[error("the profile {0:?} is signed in by `aws login` (login_session), which cannot be used here")]
    LoginSession(String),
    /// A key id without a secret, or a role without a source.
    #[error("the credentials in {provider} are incomplete: {missing} is missing")]
    PartialCredentials {
        /// Where they are: `env`, `shared-credentials-file`, `config-file`, `assume-role`.
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
    /// The profile's single sign-on gives no credentials.
    #[error("the single sign-on of the profile {profile:?} gives no credentials")]
    SignIn {
        /// The profile.
        profile: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The role asks for an MFA code, and there is no one to ask.
    #[error(
        "the role {role_arn} asks for a code of the MFA device {serial}, and there is no terminal to ask on"
    )]
    Mfa {
        /// The role.
        role_arn: String,
        /// The device.
        serial: String,
        /// Why not.
        #[source]
        source: Option<std::io::Error>,
    },
    /// No credentials were found.
    #[error("no AWS credentials were found")]
    NoCredentials,
    /// Credentials could not be had: a role that may not be assumed, an expired login.
    #[error("AWS credentials could not be obtained")]
    Credentials(#[source] Box<dyn StdError + Send + Sync>),
    /// The role may not be assumed.
    #[error("the role {role_arn} could not be assumed")]
    AssumeRole {
        /// The role.
        role_arn: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Credentials did not come in time.
    #[error("AWS credentials did not come within {} s", .0.as_secs())]
    CredentialsTimeout(Duration),
    /// AWS does not accept the credentials: unknown, expired, or a wrong signature.
    #[error("AWS does not accept the credentials for {}", .0.action)]
    Rejected(#[source] Box<ErrorResponse>),
    /// The local clock is off, so that no signature is accepted.
    #[error("AWS does not accept the signature of {}: the local clock is {skew}", .response.action)]
    Clock {
        /// By how much.
        skew: Skew,
        /// AWS's words.
        #[source]
        response: Box<ErrorResponse>,
    },
    /// AWS knows who asks, and says no.
    #[error("{} is not allowed", .0.action)]
    Denied(#[source] Box<ErrorResponse>),
    /// The instance or endpoint does not exist.
    #[error("{} found nothing", .0.action)]
    NotFound(#[source] Box<ErrorResponse>),
    /// It is there, in a state or of a type that the call does not work with.
    #[error("{} does not work in the present state", .0.action)]
    State(#[source] Box<ErrorResponse>),
    /// Too many calls; tried again without success.
    #[error("{} is throttled", .0.action)]
    Throttled(#[source] Box<ErrorResponse>),
    /// AWS finds the request itself wrong.
    #[error("AWS finds {} invalid", .0.action)]
    Invalid(#[source] Box<ErrorResponse>),
    /// AWS failed; tried again without success.
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
    /// No answer in time.
    #[error("{action} was not answered by {host} within {} s", .after.as_secs())]
    Timeout {
        /// The call.
        action: Action,
        /// The host that was tried.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// An answer that cannot be understood.
    #[error("the answer to {action} cannot be understood: {what}")]
    Malformed {
        /// The call.
        action: Action,
        /// What is wrong with it.
        what: String,
        /// The request id.
        request_id: Option<String>,
    },
    /// An answer larger than any true one.
    #[error("the answer to {action} is larger than {limit} bytes")]
    TooLarge {
        /// The call.
        action: Action,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The request cannot be signed or built; a fault of this program.
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

    /// AWS's own words, when it was AWS that refused.
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
            Self::AssumeRole { .. } => self.assuming()?.response(),
            _ => None,
        }
    }

    /// What became of the call that was to assume a role, when it was the call that failed.
    fn assuming(&self) -> Option<&Self> {
        match self {
            Self::AssumeRole { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// The AWS request id, when there is one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Malformed { request_id, .. } => request_id.as_deref(),
            _ => self.response()?.request_id.as_deref(),
        }
    }

    /// At whose door the failure lies.
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
            Self::AssumeRole { .. } => self.assuming().map_or(Fault::Credentials, Self::fault),
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

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoRegion => "give a region (--region), set AWS_REGION, or set `region` in the profile".into(),
            Self::Region(_) => "regions read like eu-west-1".into(),
            Self::EndpointUrl { .. } => "correct the endpoint URL (AWS_ENDPOINT_URL and its variants)".into(),
            Self::CaBundle { .. } => "correct AWS_CA_BUNDLE or `ca_bundle`: it names a PEM file".into(),
            Self::Profile { .. } => "correct that line, or name another file (AWS_CONFIG_FILE)".into(),
            Self::NoProfile { unreadable, .. } if !unreadable.is_empty() => {
                format!("not all files could be read: {}", unreadable.join("; "))
            }
            Self::NoProfile { .. } => {
                "name another profile (--profile, AWS_PROFILE), or add this one to ~/.aws/config".into()
            }
            Self::Setting { .. } => "correct or unset it".into(),
            Self::ProfileSettings { .. } => "correct the profile in ~/.aws/config".into(),
            Self::LoginSession(profile) => format!(
                "let aws-cli hand out its credentials, in a profile of its own: credential_process = aws configure \
                 export-credentials --profile {profile}; reauthenticate with `aws login --profile {profile}`"
            ),
            Self::PartialCredentials { missing, .. } => format!("set {missing}, or unset what goes with it"),
            Self::Process { .. } => "run it by hand: it must print the JSON of credentials".into(),
            Self::SignIn { profile, .. } => format!("sign in: aws sso login --profile {profile}"),
            Self::Mfa { .. } => {
                "run it on a terminal; for a program, give session credentials in the environment".into()
            }
            Self::NoCredentials => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile, log in (aws sso login), or \
                 give the machine an instance role"
                    .into()
            }
            Self::Credentials(_) => "log in again, or check the profile's credential settings".into(),
            Self::AssumeRole { role_arn, .. } => match self.assuming() {
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
