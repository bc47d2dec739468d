//! CloudTrail: LookupEvents over the recorded calls.

use serde_json::{Value, json};

use super::fault::ApiError;
use super::page::page;
use super::{CallError, CallResponse, Context, Service};
use crate::emulator::policy;
use crate::emulator::record::CloudTrailRecord;

/// The most events on a page.
const MAX_RESULTS: u64 = 50;

pub(super) fn call(context: &Context<'_>, action: &str, input: &Value) -> Result<CallResponse, CallError> {
    match action {
        "LookupEvents" => Ok(lookup_events(context, input)?),
        _ => Err(ApiError::invalid_action(Service::CloudTrail, action).into()),
    }
}

fn invalid(code: &str, message: &str) -> ApiError {
    ApiError::new(400, code, message)
}

fn lookup_events(context: &Context<'_>, input: &Value) -> Result<CallResponse, ApiError> {
    let world = context.world;
    let (action, about) = ("cloudtrail:LookupEvents", policy::Context::default());
    if let Some(sentence) = world.denial(context.caller, action, "*", about, context.source) {
        return Err(ApiError::denied(Service::CloudTrail, &sentence));
    }
    let attribute = attribute(input)?;
    let (start, end) = (time(input, "StartTime")?, time(input, "EndTime")?);
    let size = match input.get("MaxResults") {
        None | Some(Value::Null) => MAX_RESULTS,
        Some(count) => count
            .as_u64()
            .filter(|count| (1..=MAX_RESULTS).contains(count))
            .ok_or_else(|| invalid("InvalidMaxResultsException", "MaxResults must be between 1 and 50."))?,
    };
    let is_wanted = |record: &CloudTrailRecord| {
        attribute.as_ref().is_none_or(|(key, value)| matches(record, key, value))
            && start.is_none_or(|start| as_time(record) >= start)
            && end.is_none_or(|end| as_time(record) <= end)
    };
    let mut records = world.records();
    records.retain(is_wanted);
    records.reverse();
    let token = input.get("NextToken").and_then(Value::as_str);
    // A token counts from the newest record; records added since shift the page, as in AWS.
    let page = page("LookupEvents", records, usize::try_from(size).unwrap_or(1), token)
        .map_err(|_| invalid("InvalidNextTokenException", "Invalid NextToken."))?;
    let events: Vec<Value> = page.items.iter().map(event).collect();
    let mut body = json!({ "Events": events });
    if let Some(token) = page.next_token {
        body["NextToken"] = token.into();
    }
    Ok(CallResponse { body: body.to_string(), ..CallResponse::default() })
}

/// Returns the one lookup attribute, if there is one.
fn attribute(input: &Value) -> Result<Option<(String, String)>, ApiError> {
    let unfit = || invalid("InvalidLookupAttributesException", "Invalid lookup attributes.");
    let attributes = match input.get("LookupAttributes") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_array().ok_or_else(unfit)?,
    };
    match attributes.as_slice() {
        [] => Ok(None),
        [one] => {
            let text = |name: &str| one.get(name).and_then(Value::as_str).map(str::to_owned);
            let (key, value) = text("AttributeKey").zip(text("AttributeValue")).ok_or_else(unfit)?;
            let known = [
                "EventId",
                "EventName",
                "ReadOnly",
                "Username",
                "ResourceType",
                "ResourceName",
                "EventSource",
                "AccessKeyId",
            ];
            if known.contains(&key.as_str()) { Ok(Some((key, value))) } else { Err(unfit()) }
        }
        _ => Err(unfit()),
    }
}

fn time(input: &Value, name: &str) -> Result<Option<f64>, ApiError> {
    match input.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| {
            invalid("InvalidTimeRangeException", "A time must be given in seconds since 1970.")
        }),
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
fn as_time(record: &CloudTrailRecord) -> f64 {
    record.unix_time as f64
}

/// Returns the name of the caller as CloudTrail's lookup uses it.
fn username(record: &CloudTrailRecord) -> &str {
    let identity = &record.user_identity;
    match &identity.user_name {
        Some(name) => name,
        None => identity.arn.rsplit_once('/').map_or("", |(_, session)| session),
    }
}

/// Returns the name of a resource: its id, the last part of its ARN.
fn resource_name(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

fn matches(record: &CloudTrailRecord, key: &str, value: &str) -> bool {
    match key {
        "EventId" => record.event_id == value,
        "EventName" => record.event_name == value,
        "EventSource" => record.event_source == value,
        "ReadOnly" => record.read_only.to_string() == value,
        "Username" => username(record) == value,
        "AccessKeyId" => record.user_identity.access_key_id == value,
        "ResourceType" => record.resources.iter().any(|resource| resource.kind == value),
        "ResourceName" => {
            record.resources.iter().any(|one| one.arn == value || resource_name(&one.arn) == value)
        }
        _ => false,
    }
}

fn event(record: &CloudTrailRecord) -> Value {
    let resources: Vec<Value> = record
        .resources
        .iter()
        .map(|one| json!({ "ResourceType": one.kind, "ResourceName": resource_name(&one.arn) }))
        .collect();
    json!({
        "EventId": record.event_id,
        "EventName": record.event_name,
        "ReadOnly": record.read_only.to_string(),
        "AccessKeyId": record.user_identity.access_key_id,
        "EventTime": as_time(record),
        "EventSource": record.event_source,
        "Username": username(record),
        "Resources": resources,
        "CloudTrailEvent": serde_json::to_string(record).unwrap_or_default(),
    })
}
