//! EC2 Instance Connect's JSON API: SendSSHPublicKey.

use eice_proto::InstanceId;
use russh::keys::PublicKey;
use serde_json::{Value, json};

use super::fault::ApiError;
use super::{CallError, CallResponse, Context, Service};
use crate::emulator::config::InstanceState;
use crate::emulator::policy;
use crate::emulator::record::Resource;

/// The lengths of a public key that the service accepts (`service-2.json`).
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 80..=4096;

pub(super) fn call(context: &Context<'_>, action: &str, input: &Value) -> Result<CallResponse, CallError> {
    match action {
        "SendSSHPublicKey" => send_ssh_public_key(context, input),
        _ => Err(ApiError::invalid_action(Service::InstanceConnect, action).into()),
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidArgsException", message)
}

fn constraint(value: &str, name: &str, rule: &str) -> ApiError {
    let value: String = value.chars().take(256).collect();
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must \
         satisfy {rule}"
    ))
}

/// Returns a required member of the input.
fn member<'a>(input: &'a Value, name: &str, shown: &str) -> Result<&'a str, ApiError> {
    input.get(name).and_then(Value::as_str).ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value null at '{shown}' failed to satisfy constraint: Member must not \
             be null"
        ))
    })
}

fn is_os_user(user: &str) -> bool {
    let mut bytes = user.bytes();
    user.len() <= 32
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'.' | b'_' | b'-' | b'$'))
}

fn send_ssh_public_key(context: &Context<'_>, input: &Value) -> Result<CallResponse, CallError> {
    let world = context.world;
    let text = member(input, "InstanceId", "instanceId")?;
    let is_hex =
        |rest: &str| !rest.is_empty() && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !text.strip_prefix("i-").is_some_and(is_hex) {
        return Err(constraint(text, "instanceId", "regular expression pattern: ^i-[a-f0-9]+$").into());
    }
    let user = member(input, "InstanceOSUser", "instanceOSUser")?;
    if !is_os_user(user) {
        let rule = r"regular expression pattern: (^[A-Za-z_][A-Za-z0-9\@\._-]{0,30}[A-Za-z0-9\$_-]?$)";
        return Err(constraint(user, "instanceOSUser", rule).into());
    }
    let key = member(input, "SSHPublicKey", "sSHPublicKey")?;
    if key.len() < *KEY_LENGTH.start() {
        let rule = "length greater than or equal to 80";
        return Err(constraint(key, "sSHPublicKey", rule).into());
    }
    if key.len() > *KEY_LENGTH.end() {
        return Err(constraint(key, "sSHPublicKey", "length less than or equal to 4096").into());
    }
    let arn = world.ec2_arn("instance", text);
    let parameters = json!({ "instanceId": text, "instanceOSUser": user, "sSHPublicKey": key });
    let resources = vec![Resource {
        account_id: world.account_id.clone(),
        kind: "AWS::EC2::Instance".into(),
        arn: arn.clone(),
    }];
    let failure = |error| CallError { error, parameters: parameters.clone(), resources: resources.clone() };
    let known = text.parse::<InstanceId>().ok().and_then(|id| world.instance(&id));
    let tags = known.as_ref().map(|instance| instance.spec.tags.clone()).unwrap_or_default();
    let about = policy::Context::default().with_tags(&tags).with("ec2:osuser", user);
    let action = "ec2-instance-connect:SendSSHPublicKey";
    if let Some(sentence) = world.denial(context.caller, action, &arn, about, context.source) {
        return Err(failure(ApiError::denied(Service::InstanceConnect, &sentence)));
    }
    let Some(instance) = known else {
        let error = ApiError::new(404, "EC2InstanceNotFoundException", "Instance not found");
        return Err(failure(error));
    };
    if instance.spec.state != InstanceState::Running {
        let message = "The instance is not in a state that allows the request: it must be running.";
        return Err(failure(ApiError::new(400, "EC2InstanceStateInvalidException", message)));
    }
    if PublicKey::from_openssh(key).is_err() {
        return Err(failure(invalid("Invalid SSH public key.")));
    }
    if !world.push_key(&instance.spec.id, user, key.trim().to_owned()) {
        return Err(failure(ApiError::throttled(Service::InstanceConnect)));
    }
    let response = json!({ "RequestId": context.request_id, "Success": true });
    Ok(CallResponse {
        body: response.to_string(),
        parameters,
        response: json!({ "requestId": context.request_id, "success": true }),
        resources,
        changes: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_user_matches_service_model() {
        assert!(["ec2-user", "a", "_x", "ubuntu", "user@domain.com"].into_iter().all(is_os_user));
        let long = "a".repeat(33);
        assert!(!["", "-x", "1a", "a b", "a/b", &long].into_iter().any(is_os_user));
    }
}
