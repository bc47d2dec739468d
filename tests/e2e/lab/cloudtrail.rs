//! CloudTrail's LookupEvents, as an auditor calls it.

use std::net::SocketAddr;
use std::time::SystemTime;

use eice_proto::sigv4::{PayloadHash, Request, Scope, sign};
use eice_proto::{Credentials, Timestamp};
use serde_json::{Value, json};

use super::http::request;

const TARGET: &str = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";

/// Returns the records of the events named `event`, newest first.
pub(crate) async fn events(
    api: SocketAddr,
    credentials: &Credentials,
    region: &str,
    event: &str,
) -> Vec<Value> {
    let attribute = json!({ "AttributeKey": "EventName", "AttributeValue": event });
    let body = json!({ "LookupAttributes": [attribute] }).to_string();
    let host = api.to_string();
    let headers =
        [("host", host.as_str()), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)];
    let unsigned = Request {
        method: "POST",
        path: "/",
        params: &[],
        headers: &headers,
        payload: PayloadHash::of(body.as_bytes()),
    };
    let scope = Scope::new(region, "cloudtrail");
    let signed = sign(&unsigned, credentials, &scope, Timestamp::from(SystemTime::now()));
    let all: Vec<_> = headers.into_iter().chain(signed.headers()).collect();
    let (status, answer) = request(api, "POST", "/", &all, &body).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let events = answer["Events"].as_array().unwrap_or_else(|| panic!("no events: {answer}")).clone();
    let record = |event: Value| {
        serde_json::from_str(event["CloudTrailEvent"].as_str().expect("the record as text")).unwrap()
    };
    events.into_iter().map(record).collect()
}
