//! Records in CloudTrail's format.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::clock::iso8601;

/// One management event, in the shape of CloudTrail's record format.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CloudTrailRecord {
    /// The format's version.
    pub event_version: &'static str,
    /// The caller.
    pub user_identity: UserIdentity,
    /// The time, as ISO 8601 in UTC.
    pub event_time: String,
    /// The service, such as `ec2-instance-connect.amazonaws.com`.
    pub event_source: String,
    /// The action, such as `OpenTunnel`.
    pub event_name: String,
    /// The region.
    pub aws_region: String,
    /// The source address.
    #[serde(rename = "sourceIPAddress")]
    pub source_ip_address: String,
    /// The caller's User-Agent.
    pub user_agent: String,
    /// The error code, if the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The error message, if the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The request parameters; all values are strings.
    pub request_parameters: Value,
    /// The response elements.
    pub response_elements: Value,
    /// The request id in the response.
    #[serde(rename = "requestID")]
    pub request_id: String,
    /// The event's own id.
    #[serde(rename = "eventID")]
    pub event_id: String,
    /// Whether the call changes nothing.
    pub read_only: bool,
    /// The resources of the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// `AwsApiCall`.
    pub event_type: &'static str,
    /// Always true.
    pub management_event: bool,
    /// The account.
    pub recipient_account_id: String,
    /// `Management`.
    pub event_category: &'static str,
    /// Seconds since 1970; not part of the format.
    #[serde(skip)]
    pub unix_time: u64,
}

/// The caller of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UserIdentity {
    /// `IAMUser` or `AssumedRole`; `Unknown` for an unidentified caller.
    #[serde(rename = "type")]
    pub kind: String,
    /// The principal's id.
    pub principal_id: String,
    /// The principal's ARN.
    pub arn: String,
    /// The account.
    pub account_id: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
}

/// A resource of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Resource {
    /// The account.
    #[serde(rename = "accountId")]
    pub account_id: String,
    /// The type, such as `AWS::EC2::InstanceConnectEndpoint`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The ARN.
    #[serde(rename = "ARN")]
    pub arn: String,
}

/// The common fields of a record.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) identity: UserIdentity,
    pub(super) event_source: String,
    pub(super) event_name: String,
    pub(super) source: IpAddr,
    pub(super) user_agent: String,
    pub(super) request_id: String,
}

/// The longest client text that is recorded, in characters.
const MAX_TEXT: usize = 1024;

impl CloudTrailRecord {
    /// Returns a record of `event` at the time `now`, successful and without parameters.
    pub(super) fn new(event: Event, now: u64, region: &str, account_id: &str) -> Self {
        Self {
            event_version: "1.09",
            user_identity: event.identity,
            event_time: iso8601(now),
            event_source: event.event_source,
            event_name: event.event_name.chars().take(MAX_TEXT).collect(),
            aws_region: region.to_owned(),
            source_ip_address: event.source.to_string(),
            user_agent: event.user_agent.chars().take(MAX_TEXT).collect(),
            error_code: None,
            error_message: None,
            request_parameters: Value::Null,
            response_elements: Value::Null,
            request_id: event.request_id,
            event_id: uuid::Uuid::new_v4().to_string(),
            read_only: false,
            resources: Vec::new(),
            event_type: "AwsApiCall",
            management_event: true,
            recipient_account_id: account_id.to_owned(),
            event_category: "Management",
            unix_time: now,
        }
    }
}
