//! API errors in each service's format.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::xml::{STS_NAMESPACE, Xml};
use super::{Service, respond};
use crate::emulator::auth::AuthFault;

/// An error of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    /// Returns EC2's error for an invalid parameter.
    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameterValue", message)
    }

    /// Returns EC2's error for a missing parameter.
    pub(super) fn missing(name: &str) -> Self {
        let message = format!("The request must contain the parameter {name}");
        Self::new(400, "MissingParameter", message)
    }

    pub(super) fn throttled(service: Service) -> Self {
        match service {
            Service::Ec2 => Self::new(503, "RequestLimitExceeded", "Request limit exceeded."),
            Service::Sts => Self::new(400, "Throttling", "Rate exceeded"),
            Service::InstanceConnect => Self::new(429, "ThrottlingException", "Rate exceeded"),
            Service::CloudTrail => Self::new(400, "ThrottlingException", "Rate exceeded"),
        }
    }

    pub(super) fn internal(service: Service) -> Self {
        match service {
            Service::Ec2 => Self::new(500, "InternalError", "An internal error has occurred"),
            Service::Sts => Self::new(500, "InternalFailure", "An internal error has occurred"),
            Service::InstanceConnect => {
                Self::new(500, "ServiceException", "The service encountered an error. Try again.")
            }
            Service::CloudTrail => Self::new(500, "InternalFailure", "An internal error has occurred"),
        }
    }

    pub(super) fn invalid_action(service: Service, action: &str) -> Self {
        match service {
            Service::Ec2 | Service::Sts => Self::new(
                400,
                "InvalidAction",
                format!("The action {action} is not valid for this web service."),
            ),
            Service::InstanceConnect | Service::CloudTrail => Self::new(400, "UnknownOperationException", ""),
        }
    }

    /// Returns a denial by policy; `sentence` is "User: … is not authorized to perform: …".
    pub(super) fn denied(service: Service, sentence: &str) -> Self {
        match service {
            Service::Ec2 => Self::new(
                403,
                "UnauthorizedOperation",
                format!("You are not authorized to perform this operation. {sentence}"),
            ),
            Service::Sts => Self::new(403, "AccessDenied", sentence),
            Service::InstanceConnect | Service::CloudTrail => {
                Self::new(400, "AccessDeniedException", sentence)
            }
        }
    }

    /// Returns the error for a rejected signature.
    pub(super) fn from_auth(service: Service, fault: AuthFault) -> Self {
        const INVALID_TOKEN: &str = "The security token included in the request is invalid.";
        const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
            Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
        match (service, fault) {
            (Service::Ec2, AuthFault::Expired(_)) => Self::new(
                400,
                "InvalidSecurity.RequestHasExpired",
                "The difference between the request timestamp and the AWS server time is greater than 5 minutes.",
            ),
            (Service::Ec2, AuthFault::Missing) => {
                Self::new(400, "MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            (Service::Ec2, _) => {
                Self::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
            }
            (Service::Sts, AuthFault::Missing) => {
                Self::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            (Service::Sts, AuthFault::UnknownKey) => Self::new(403, "InvalidClientTokenId", INVALID_TOKEN),
            (Service::Sts, AuthFault::Expired(why)) => Self::new(403, "SignatureDoesNotMatch", why),
            (Service::Sts, AuthFault::Mismatch) => Self::new(403, "SignatureDoesNotMatch", MISMATCH),
            (Service::Sts, AuthFault::Malformed(why)) => Self::new(400, "IncompleteSignature", why),
            (_, AuthFault::Missing) => Self::new(
                400,
                "MissingAuthenticationTokenException",
                "Request is missing Authentication Token",
            ),
            (_, AuthFault::UnknownKey) => Self::new(400, "UnrecognizedClientException", INVALID_TOKEN),
            (_, AuthFault::Expired(why)) => Self::new(400, "InvalidSignatureException", why),
            (_, AuthFault::Mismatch) => Self::new(400, "InvalidSignatureException", MISMATCH),
            (_, AuthFault::Malformed(why)) => Self::new(400, "IncompleteSignatureException", why),
        }
    }

    /// Returns the code as recorded by CloudTrail, which has its own name for a denial by EC2.
    pub(super) fn record_code(&self) -> &str {
        match self.code.as_str() {
            "UnauthorizedOperation" => "Client.UnauthorizedOperation",
            "AccessDeniedException" => "AccessDenied",
            other => other,
        }
    }

    /// Returns the response in the service's own format.
    pub(super) fn response(&self, service: Service, request_id: &str) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        respond(service, status, request_id, self.body(service, request_id))
    }

    pub(super) fn body(&self, service: Service, request_id: &str) -> String {
        match service {
            Service::Ec2 => Xml::document("Response", "", |xml| {
                xml.element("Errors", |xml| {
                    xml.element("Error", |xml| {
                        xml.text("Code", &self.code);
                        xml.text("Message", &self.message);
                    });
                });
                xml.text("RequestID", request_id);
            }),
            Service::Sts => Xml::document("ErrorResponse", STS_NAMESPACE, |xml| {
                xml.element("Error", |xml| {
                    xml.text("Type", if self.status < 500 { "Sender" } else { "Receiver" });
                    xml.text("Code", &self.code);
                    xml.text("Message", &self.message);
                });
                xml.text("RequestId", request_id);
            }),
            Service::InstanceConnect => json!({ "__type": self.code, "Message": self.message }).to_string(),
            Service::CloudTrail => json!({ "__type": self.code, "message": self.message }).to_string(),
        }
    }
}
