//! The checks of an openTunnel request, in the service's order.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use eice_proto::{EndpointId, ParamError, TunnelParams};
use serde_json::{Map, Value};

use super::head::Head;
use crate::emulator::auth::{self, AuthFault};
use crate::emulator::policy;
use crate::emulator::record::{Event, Resource};
use crate::emulator::world::{Caller, World};

/// The service's name in a signature's scope.
const SERVICE: &str = "ec2-instance-connect";
/// The action's name in policies.
const ACTION: &str = "ec2-instance-connect:OpenTunnel";

/// A rejected upgrade. Only the bodies of two are public; the statuses are assumptions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Rejected {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameter", message)
    }
}

/// An admitted tunnel, which counts toward the endpoint's quota.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) params: TunnelParams,
    pub(super) duration: Duration,
    /// The client's address, which a target sees if the endpoint preserves it.
    pub(super) client: IpAddr,
    _slot: TunnelSlot,
}

/// One of an endpoint's concurrent connections, released on drop.
#[derive(Debug)]
struct TunnelSlot {
    world: Arc<World>,
    endpoint: EndpointId,
}

impl Drop for TunnelSlot {
    fn drop(&mut self) {
        let mut state = self.world.state();
        if let Some(endpoint) = state.endpoints.iter_mut().find(|one| one.spec.id == self.endpoint) {
            endpoint.open_tunnels = endpoint.open_tunnels.saturating_sub(1);
        }
    }
}

/// Admits or rejects the request, and records either in CloudTrail once the caller is known.
pub(super) fn admit(
    world: &Arc<World>,
    head: &Head,
    source: IpAddr,
    request_id: &str,
) -> Result<Admitted, Rejected> {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    if head.method != "GET" {
        return Err(Rejected::new(405, "MethodNotAllowed", "The method is not allowed."));
    }
    if path != "/openTunnel" {
        return Err(Rejected::new(404, "ResourceNotFound", "The requested resource was not found."));
    }
    check_upgrade(head)?;
    let headers: Vec<(&str, &str)> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let caller = auth::authenticate(world, SERVICE, &head.method, &head.target, &headers, b"")
        .map_err(signature_error)?;
    let outcome = authorize(world, &caller, query, source);
    record_call(world, head, &caller, query, source, request_id, outcome.as_ref().err());
    outcome
}

/// Checks the upgrade headers (RFC 6455, section 4.2.1).
fn check_upgrade(head: &Head) -> Result<(), Rejected> {
    let fits = head.has_token("upgrade", "websocket")
        && head.has_token("connection", "upgrade")
        && head.header("sec-websocket-version") == Some("13")
        && head.header("sec-websocket-key").is_some_and(|key| key.len() == 24 && key.ends_with("=="))
        && head.header("host").is_some();
    if fits {
        Ok(())
    } else {
        Err(Rejected::new(400, "InvalidRequest", "The request is not a WebSocket upgrade."))
    }
}

fn signature_error(fault: AuthFault) -> Rejected {
    let message = match fault {
        AuthFault::Missing => "Missing Authentication Token".to_owned(),
        AuthFault::UnknownKey => "The security token included in the request is invalid.".to_owned(),
        AuthFault::Mismatch => "The request signature we calculated does not match the signature you provided. \
            Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
            .to_owned(),
        AuthFault::Expired(why) | AuthFault::Malformed(why) => why,
    };
    Rejected::new(403, "AccessDeniedException", message)
}

fn authorize(world: &Arc<World>, caller: &Caller, query: &str, source: IpAddr) -> Result<Admitted, Rejected> {
    let params = TunnelParams::parse(query).map_err(|error| parameter_error(&error))?;
    let not_found = || {
        let message = format!("The specified InstanceConnectEndpointId {} was not found.", params.endpoint);
        Rejected::new(404, "ResourceNotFound", message)
    };
    let spec = world.endpoint(&params.endpoint).ok_or_else(not_found)?.spec;
    if !params.port.is_served() {
        return Err(bad_port());
    }
    if !spec.address_type.reaches(params.address) {
        let message = format!(
            "The specified PrivateIpAddress is not valid for an endpoint of IP address type {}.",
            spec.address_type.name()
        );
        return Err(Rejected::parameter(message));
    }
    let duration = params.effective_duration();
    let about = policy::Context::default()
        .with_tags(&spec.tags)
        .with("ec2-instance-connect:remotePort", params.port)
        .with("ec2-instance-connect:privateIpAddress", params.address)
        .with("ec2-instance-connect:maxTunnelDuration", duration);
    let arn = world.ec2_arn("instance-connect-endpoint", params.endpoint.as_str());
    if let Some(sentence) = world.denial(caller, ACTION, &arn, about, source) {
        return Err(Rejected::new(403, "AccessDeniedException", sentence));
    }
    if !spec.state.is_usable() {
        let message = format!(
            "The EC2 Instance Connect Endpoint {} is in the state {} and cannot open a tunnel.",
            params.endpoint,
            spec.state.name()
        );
        return Err(Rejected::new(400, "InvalidState", message));
    }
    let slot = take_slot(world, &params.endpoint)?.ok_or_else(not_found)?;
    Ok(Admitted { duration: duration.as_duration(), params, client: source, _slot: slot })
}

/// Takes one of the endpoint's slots. `Ok(None)` when the endpoint was just removed.
fn take_slot(world: &Arc<World>, id: &EndpointId) -> Result<Option<TunnelSlot>, Rejected> {
    let quota = world.faults.snapshot().quota.unwrap_or(world.quota);
    let mut state = world.state();
    let Some(endpoint) = state.endpoints.iter_mut().find(|endpoint| endpoint.spec.id == *id) else {
        return Ok(None);
    };
    if endpoint.open_tunnels >= quota {
        let message = format!(
            "The maximum number of concurrent connections ({quota}) of the endpoint {id} is reached."
        );
        return Err(Rejected::new(429, "ThrottlingException", message));
    }
    endpoint.open_tunnels += 1;
    Ok(Some(TunnelSlot { world: Arc::clone(world), endpoint: id.clone() }))
}

fn bad_port() -> Rejected {
    Rejected::parameter(
        "The specified RemotePort is not valid. Specify either 22 or 3389 as the RemotePort and retry your \
         request.",
    )
}

fn parameter_error(error: &ParamError) -> Rejected {
    match error {
        ParamError::Missing("remotePort") | ParamError::Invalid("remotePort", _) => bad_port(),
        ParamError::Missing(name) | ParamError::Invalid(name, _) => {
            let mut shown = String::from(*name);
            if let Some(first) = shown.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            Rejected::parameter(format!("The specified {shown} is not valid."))
        }
        ParamError::Address => Rejected::parameter("The specified PrivateIpAddress is not valid."),
        other => Rejected::parameter(format!("The request is not valid: {other}.")),
    }
}

/// Records the call in CloudTrail: the request parameters as strings, if they are valid.
fn record_call(
    world: &World,
    head: &Head,
    caller: &Caller,
    query: &str,
    source: IpAddr,
    request_id: &str,
    rejected: Option<&Rejected>,
) {
    let event = Event {
        identity: caller.identity.clone(),
        event_source: format!("{SERVICE}.amazonaws.com"),
        event_name: "OpenTunnel".into(),
        source,
        user_agent: head.header("user-agent").unwrap_or_default().to_owned(),
        request_id: request_id.to_owned(),
    };
    let mut record = world.new_record(event);
    if let Ok(params) = TunnelParams::parse(query) {
        let mut asked = Map::new();
        let mut put = |name: &str, value: String| asked.insert(name.into(), Value::String(value));
        put("instanceConnectEndpointId", params.endpoint.to_string());
        put("remotePort", params.port.to_string());
        put("privateIpAddress", params.address.to_string());
        if let Some(duration) = params.max_duration {
            put("maxTunnelDuration", duration.to_string());
        }
        record.request_parameters = Value::Object(asked);
        record.resources = vec![Resource {
            account_id: world.account_id.clone(),
            kind: "AWS::EC2::InstanceConnectEndpoint".into(),
            arn: world.ec2_arn("instance-connect-endpoint", params.endpoint.as_str()),
        }];
    }
    if let Some(rejected) = rejected {
        let code = rejected.code.strip_suffix("Exception").unwrap_or(rejected.code);
        record.error_code = Some(code.to_owned());
        record.error_message = Some(rejected.message.clone());
    }
    world.record(record);
}
