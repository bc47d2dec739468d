//! STS: GetCallerIdentity and AssumeRole.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::fault::ApiError;
use super::form::Form;
use super::xml::{STS_NAMESPACE, Xml};
use super::{CallError, CallResponse, Context, Service};
use crate::emulator::clock::iso8601;
use crate::emulator::pattern::like;
use crate::emulator::policy;
use crate::emulator::record::Resource;
use crate::emulator::secret::Secret;
use crate::emulator::world::RoleSession;

/// The range of a role session's duration, in seconds.
const DURATION: std::ops::RangeInclusive<u64> = 900..=43_200;
/// The default duration, in seconds.
const DEFAULT_DURATION: u64 = 3600;

pub(super) fn call(context: &Context<'_>, action: &str, form: &Form) -> Result<CallResponse, CallError> {
    match action {
        "GetCallerIdentity" => Ok(caller_identity(context)),
        "AssumeRole" => assume_role(context, form),
        _ => Err(ApiError::invalid_action(Service::Sts, action).into()),
    }
}

fn document(context: &Context<'_>, action: &str, inside: impl FnOnce(&mut Xml)) -> String {
    Xml::document(&format!("{action}Response"), STS_NAMESPACE, |xml| {
        xml.element(&format!("{action}Result"), inside);
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", context.request_id));
    })
}

/// Handles GetCallerIdentity, which needs no permission.
fn caller_identity(context: &Context<'_>) -> CallResponse {
    let identity = &context.caller.identity;
    let body = document(context, "GetCallerIdentity", |xml| {
        xml.text("Arn", &identity.arn);
        xml.text("UserId", &identity.principal_id);
        xml.text("Account", &identity.account_id);
    });
    CallResponse { body, ..CallResponse::default() }
}

fn is_session_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    (2..=64).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_mfa_code(code: &str) -> bool {
    code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())
}

fn assume_role(context: &Context<'_>, form: &Form) -> Result<CallResponse, CallError> {
    let world = context.world;
    let required = |name: &str| {
        form.get(name).ok_or_else(|| {
            let message = format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must \
                 not be null"
            );
            ApiError::new(400, "ValidationError", message)
        })
    };
    let (arn, session) = (required("RoleArn")?, required("RoleSessionName")?);
    if !is_session_name(session) {
        let message = "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: \
            Member must satisfy regular expression pattern: [\\w+=,.@-]*";
        return Err(ApiError::new(400, "ValidationError", message).into());
    }
    let seconds = match form.get("DurationSeconds") {
        None => DEFAULT_DURATION,
        Some(text) => text.parse().ok().filter(|seconds| DURATION.contains(seconds)).ok_or_else(|| {
            let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            ApiError::new(400, "ValidationError", message)
        })?,
    };
    let prefix = format!("arn:{}:iam::{}:role/", world.partition(), world.account_id);
    let name = arn.strip_prefix(&prefix).unwrap_or_default();
    let role = world.state().roles.iter().find(|role| role.name == name).cloned();
    let caller = &context.caller.identity.arn;
    let mut parameters = json!({ "roleArn": arn, "roleSessionName": session });
    if let Some(serial) = form.get("SerialNumber") {
        parameters["serialNumber"] = serial.into();
    }
    let resources = vec![Resource {
        account_id: world.account_id.clone(),
        kind: "AWS::IAM::Role".into(),
        arn: arn.into(),
    }];
    let is_trusted = role.as_ref().is_some_and(|role| {
        let is_named = role.trusted.is_empty() || role.trusted.iter().any(|pattern| like(pattern, caller));
        is_named
            && (role.external_id.is_none() || role.external_id.as_deref() == form.get("ExternalId"))
            // A device's code is six digits; which ones they are is not checked.
            && (form.get("SerialNumber").is_none() || form.get("TokenCode").is_some_and(is_mfa_code))
    });
    let denial =
        world.denial(context.caller, "sts:AssumeRole", arn, policy::Context::default(), context.source);
    let role = match role {
        Some(role) if is_trusted && denial.is_none() => role,
        // A missing role and a role that does not trust the caller have the same response.
        _ => {
            let sentence =
                format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}");
            let error = ApiError::denied(Service::Sts, &sentence);
            return Err(CallError { error, parameters, resources });
        }
    };
    let expires = world.clock.now() + Duration::from_secs(seconds);
    let id: String = uuid::Uuid::new_v4().simple().to_string().to_uppercase().chars().take(16).collect();
    let session_of = RoleSession {
        access_key_id: format!("ASIA{id}"),
        secret: Secret::random(),
        token: format!("eice/{}+{}==", Secret::random().expose(), Secret::random().expose()).into(),
        role: role.name.clone(),
        session_name: session.to_owned(),
        expires,
    };
    world.add_role_session(session_of.clone());
    let assumed = world.caller(&session_of.access_key_id);
    let identity = assumed.map(|caller| caller.identity).unwrap_or_default();
    let body = document(context, "AssumeRole", |xml| {
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &identity.principal_id);
            xml.text("Arn", &identity.arn);
        });
        xml.element("Credentials", |xml| {
            xml.text("AccessKeyId", &session_of.access_key_id);
            xml.text("SecretAccessKey", session_of.secret.expose());
            xml.text("SessionToken", session_of.token.expose());
            xml.text("Expiration", iso8601(expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()));
        });
    });
    Ok(CallResponse { body, parameters, resources, changes: true, ..CallResponse::default() })
}
