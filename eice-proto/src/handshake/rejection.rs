//! Rejections of a tunnel, as a client reads and a server writes them.

use std::fmt;

use serde_json::{Map, Value};

/// The maximum length of a message, in characters.
const MAX_MESSAGE: usize = 1024;

/// The maximum length of an error code, in characters.
const MAX_CODE: usize = 128;

/// A rejected handshake. Its text came from the network: it is bounded and free of control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Rejection {
    /// The HTTP status. Which error has which status is not documented: use [`kind`](Self::kind).
    pub status: u16,
    /// The service's error code, such as `AccessDeniedException`.
    pub code: Option<String>,
    /// The service's message, or a plain-text body; empty if there was none.
    pub message: String,
    /// `x-amzn-RequestId`.
    pub request_id: Option<String>,
}

/// The category of a rejection, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// A parameter is invalid, such as a port other than 22 and 3389.
    InvalidParameter,
    /// The principal may not open this tunnel.
    Denied,
    /// The signature, key, token or signing time is not accepted.
    Credentials,
    /// The endpoint does not exist.
    NotFound,
    /// Too many requests or open tunnels; a retry may succeed.
    Throttled,
    /// The service failed; a retry may succeed.
    Service,
    /// The code is missing or unknown.
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

    /// Returns the category. It is decided by the code in the body, never by the status.
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

    /// Returns whether the signing time was rejected, which a wrong local clock would explain.
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

/// Returns the code and the message of an error body: `ErrorCode` and `Message` as openTunnel sends them, or
/// `__type` or `code` and `message` as AWS's JSON services do, also nested in `Error`.
fn read_object(object: &Map<String, Value>) -> (Option<&str>, Option<&str>) {
    let inner = match find(object, &["error"]) {
        Some(Value::Object(inner)) => inner,
        _ => object,
    };
    let text = |names| find(inner, names).or_else(|| find(object, names)).and_then(Value::as_str);
    (text(&["errorcode", "__type", "code", "type"]), text(&["message", "errormessage"]))
}

/// Returns the first of `names` that is present, in any case.
fn find<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| {
        object.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null()).map(|(_, v)| v)
    })
}

/// Shortens `com.amazonaws.x#AccessDeniedException:http://...` to `AccessDeniedException`.
fn short_name(code: &str) -> String {
    let code = code.rsplit_once('#').map_or(code, |(_, name)| name);
    let code = code.split_once(':').map_or(code, |(name, _)| name);
    printable(code, MAX_CODE)
}

/// Makes text from the network one line: bounded, each run of white space and control characters as one space.
pub(super) fn printable(text: &str, max_chars: usize) -> String {
    let is_gap = |c: char| c.is_whitespace() || c.is_control();
    let mut out = String::new();
    // Enough to fill the bound, even if it all is multi-byte.
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

/// The code with which a server rejects a handshake. The codes and the shape of the body are the service's; the
/// status for each code is not documented and an assumption here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionCode {
    /// A parameter is missing or invalid: 400 `InvalidParameter`.
    InvalidParameter,
    /// Not permitted, or not signed correctly: 403 `AccessDeniedException`.
    AccessDenied,
    /// The endpoint does not exist: 404 `ResourceNotFoundException`.
    NotFound,
    /// Too many requests or connections: 429 `ThrottlingException`.
    Throttled,
    /// 500 `InternalServerError`.
    Internal,
    /// 503 `ServiceUnavailable`.
    Unavailable,
}

impl RejectionCode {
    /// The service's message for a port that it does not serve (reported in aidansteele/rdsconn#5).
    pub const PORT_MESSAGE: &'static str = "The specified RemotePort is not valid. Specify either 22 or 3389 as the RemotePort and retry your request.";

    /// Returns the HTTP status.
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

    /// Returns the error code as text.
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

    /// Returns the body: a compact JSON object with exactly `ErrorCode` and `Message`.
    #[must_use]
    pub fn body(self, message: &str) -> String {
        format!("{{\"ErrorCode\":\"{}\",\"Message\":{}}}", self.code(), Value::from(message))
    }
}
