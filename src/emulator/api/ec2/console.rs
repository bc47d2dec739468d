//! GetConsoleOutput.

use eice_proto::InstanceId;

use super::super::fault::ApiError;
use super::super::form::Form;
use super::super::xml::{EC2_NAMESPACE, Xml};
use super::super::{Context, Service};
use super::find_instances;
use crate::emulator::clock::iso8601;
use crate::emulator::instance::console_output;
use crate::emulator::policy;

/// The most bytes of console output that EC2 keeps.
const MAX_CONSOLE: usize = 64 * 1024;

/// Families of instance types on Xen, which only support the posted output.
const XEN: [&str; 7] = ["t1", "t2", "m3", "m4", "c3", "c4", "r4"];

pub(super) fn get_console_output(context: &Context<'_>, form: &Form) -> Result<String, ApiError> {
    let world = context.world;
    let id = form.get("InstanceId").ok_or_else(|| ApiError::missing("InstanceId"))?;
    let known = id.parse::<InstanceId>().ok().and_then(|id| world.instance(&id));
    let tags = known.as_ref().map(|instance| instance.spec.tags.clone()).unwrap_or_default();
    let about = policy::Context::default().with_tags(&tags);
    let arn = world.ec2_arn("instance", id);
    let action = "ec2:GetConsoleOutput";
    if let Some(sentence) = world.denial(context.caller, action, &arn, about, context.source) {
        return Err(ApiError::denied(Service::Ec2, &sentence));
    }
    let Some(instance) = known else {
        return Err(find_instances(&[id], &[]).err().unwrap_or_else(|| ApiError::missing("InstanceId")));
    };
    let is_latest = form.get("Latest") == Some("true");
    let family = instance.spec.instance_type.split('.').next().unwrap_or_default();
    if is_latest && XEN.contains(&family) {
        let message = "This instance type does not support retrieving the latest console logs.";
        return Err(ApiError::new(400, "UnsupportedOperation", message));
    }
    let latest = instance.spec.latest_console_output.as_ref().filter(|_| is_latest);
    let text = match latest.or(instance.spec.console_output.as_ref()) {
        Some(text) => text.clone(),
        None if instance.host_keys.is_empty() => String::new(),
        None => console_output(&instance.spec.id, &instance.host_keys),
    };
    let bytes = text.as_bytes();
    let bytes = &bytes[bytes.len().saturating_sub(MAX_CONSOLE)..];
    Ok(Xml::document("GetConsoleOutputResponse", EC2_NAMESPACE, |xml| {
        xml.text("requestId", context.request_id);
        xml.text("instanceId", id);
        xml.text("timestamp", iso8601(instance.launched).replace('Z', ".000Z"));
        xml.text("output", base64(bytes));
    }))
}

/// Encodes as Base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        for at in 0..4_usize {
            let index = bits >> (18 - 6 * at) & 63;
            let is_padding = at > chunk.len();
            text.push(if is_padding { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_rfc_vectors() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
