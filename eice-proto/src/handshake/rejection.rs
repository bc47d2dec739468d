//! Why the service refuses a tunnel, read and written.

use std::fmt;

use serde_json::{Map, Value};

/// The longest message that is kept, in characters.
const MAX_MESSAGE: usize = 1024;

/// The longest error code that is kept, in characters.
const MAX_CODE: usize = 128;

/// A refused handshake. All its text came from the network: it is bounded and free of control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Rejection {
    /// The HTTP status. Which error has which status is not documented: decide by [`kind`](Self::kind).
    pub status: u16,
    /// The service's error code, such as `AccessDeniedException`.
    pub code: Option<String>,
    /// What it says; a plain-text body whole; empty when there was none.
    pub message: String,
    /// `x-amzn-RequestId`.
    pub request_id: Option<String>,
}

/// What a rejection is about, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// A parameter is wrong, such as a port other than 22 and 3389.
    InvalidParameter,
    /// The principal may not open this tunnel.
    Denied,
    /// The signature, the key, the token or the moment of signing is not accepted.
    Credentials,
    /// There is no such endpoint.
    NotFound,
    /// Too many requests or too many open tunnels; later it may pass.
    Throttled,
    /// The service failed; later it may pass.
    Service,
    /// There is no code, or one that is not known.
    Unknown,
}

impl Rejection {
    pub(super) fn read(
        status: u16,
        error_type: Option<&str>,
        body: &[u8],
        request_id: Option<String>,
    ) -> Self {
        let object = serde_json::from_slice::<Map<String, Value>>(body).unwrap_or_default();
        let (code, message) = read_object(&object);
        let code = code.or(error_type).map(short_name).filter(|code| !code.is_empty());
        let message = match message {
            Some(message) => printable(message, MAX_MESSAGE),
            None => printable(&String::from_utf8_lossy(body), MAX_MESSAGE),
        };
        Self { status, code, message, request_id }
    }

    /// What it is about. Decided by the code in the body, never by the status.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        let Some(code) = self.code.as_deref() else { return RejectionKind::Unknown };
        let code = code.strip_suffix("Exception").unwrap_or(code);
        match code {
            "AccessDenied" | "UnauthorizedOperation" | "UnauthorizedAccess" | "Forbidden" => {
                RejectionKind::Denied
            }
            "AuthFailure"
            | "ExpiredToken"
            | "IncompleteSignature"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSignature"
            | "MissingAuthenticationToken"
            | "NotAuthorized"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClient" => RejectionKind::Credentials,
            "InternalError"
            | "InternalFailure"
            | "InternalServer"
            | "InternalServerError"
            | "Service"
            | "ServiceUnavailable"
            | "Unavailable" => RejectionKind::Service,
            "LimitExceeded"
            | "RequestLimitExceeded"
            | "ServiceQuotaExceeded"
            | "SlowDown"
            | "Throttling"
            | "Throttled"
            | "TooManyRequests"
            | "ConnectionLimitExceeded" => RejectionKind::Throttled,
            "InvalidArgs"
            | "InvalidParameter"
            | "InvalidParameterValue"
            | "MissingParameter"
            | "Validation" => RejectionKind::InvalidParameter,
            code if code.contains("NotFound") => RejectionKind::NotFound,
            _ => RejectionKind::Unknown,
        }
    }

    /// Whether it says that the moment of signing is not accepted, which a wrong clock here would explain.
    #[must_use]
    pub fn is_about_time(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let code = self.code.as_deref().unwrap_or_default();
        let names_time = ["signature expired", "request has expired", "not yet current", "skew"];
        matches!(code, "RequestExpired" | "RequestTimeTooSkewed")
            || names_time.iter().any(|text| message.contains(text))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, self.message.as_str()) {
            (Some(code), "") => f.write_str(code),
            (Some(code), message) => write!(f, "{code}: {message}"),
            (None, "") => write!(f, "HTTP status {} without an explanation", self.status),
            (None, message) => write!(f, "HTTP status {}: {message}", self.status),
        }
    }
}

/// The code and the message of an error body: `ErrorCode` and `Message` as openTunnel has them, `__type` or `code`
/// and `message` as AWS's JSON services have, also one level down in `Error`.
fn read_object(object: &Map<String, Value>) -> (Option<&str>, Option<&str>) {
    let inner = match find(object, &["error"]) {
        Some(Value::Object(inner)) => inner,
        _ => object,
    };
    let text = |names| find(inner, names).or_else(|| find(object, names)).and_then(Value::as_str);
    (text(&["errorcode", "__type", "code", "type"]), text(&["message", "errormessage"]))
}

/// The first of `names` that is there, whatever its case.
fn find<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| {
        object.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null()).map(|(_, v)| v)
    })
}

/// `com.amazonaws.x#AccessDeniedException:http://...` as `AccessDeniedException`.
fn short_name(code: &str) -> String {
    let code = code.rsplit_once('#').map_or(code, |(_, name)| name);
    let code = code.split_once(':').map_or(code, |(name, _)| name);
    printable(code, MAX_CODE)
}

/// Text from the network as one line: bounded, runs of white space and control characters as one space.
pub(super) fn printable(text: &str, max_chars: usize) -> String {
    let is_gap = |c: char| c.is_whitespace() || c.is_control();
    let mut out = String::new();
    // Enough to fill the bound, whatever is in between.
    for word in text.split(is_gap).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > max_chars * 4 {
            break;
        }
    }
    match out.char_indices().nth(max_chars) {
        Some((end, _)) => out[..end].to_owned(),
        None => out,
    }
}

/// A server's refusal of a handshake. The codes and the shape of the body are the service's; which status goes with
/// which code is not documented and an assumption here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A parameter is missing or wrong: 400 `InvalidParameter`.
    InvalidParameter,
    /// Not permitted, or not signed as it must be: 403 `AccessDeniedException`.
    AccessDenied,
    /// No such endpoint: 404 `ResourceNotFoundException`.
    NotFound,
    /// Too many requests, or no connection left: 429 `ThrottlingException`.
    Throttled,
    /// 500 `InternalServerError`.
    Internal,
    /// 503 `ServiceUnavailable`.
    Unavailable,
}

impl Refusal {
    /// The service's words for a port that it does not serve (reported in aidansteele/rdsconn#5).
    pub const PORT_MESSAGE: &'static str = "The specified RemotePort is not valid. Specify either 22 or 3389 as the RemotePort and retry your request.";

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidParameter => 400,
            Self::AccessDenied => 403,
            Self::NotFound => 404,
            Self::Throttled => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The error code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidParameter => "InvalidParameter",
            Self::AccessDenied => "AccessDeniedException",
            Self::NotFound => "ResourceNotFoundException",
            Self::Throttled => "ThrottlingException",
            Self::Internal => "InternalServerError",
            Self::Unavailable => "ServiceUnavailable",
        }
    }

    /// The body, a compact JSON object with exactly `ErrorCode` and `Message`.
    #[must_use]
    pub fn body(self, message: &str) -> String {
        format!("{{\"ErrorCode\":\"{}\",\"Message\":{}}}", self.code(), Value::from(message))
    }
}
