//! Converts errors of the lower layers into [`StageError`]s: stage, fault, hint.

mod host_key;

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use eice_proto::handshake::RejectionKind;
use eice_proto::tunnel::CloseReason;
use eice_proto::{EndpointId, InstanceId, RemotePort};

use super::route::Route;
use crate::aws::{AwsError, ChoiceError, ErrorResponse, partition};
use crate::model::{Fault, InstanceTarget, OsUser, Stage, StageError};
use crate::ssh;
use crate::tunnel::{self, Tunnel, TunnelStatus};

/// Where a connection went, for its error messages.
pub(super) struct PeerContext {
    pub(super) instance: InstanceId,
    pub(super) os_user: OsUser,
    pub(super) port: RemotePort,
    /// The endpoint, unless the connection is direct.
    pub(super) endpoint: Option<EndpointId>,
    pub(super) address: IpAddr,
    pub(super) tunnel_request_id: Option<String>,
    /// The file of the pinned host keys, if they are in a file.
    host_keys: Option<PathBuf>,
    status: Option<TunnelStatus>,
}

impl PeerContext {
    /// Returns the context of a connection through `tunnel`.
    pub(super) fn new(
        target: &InstanceTarget,
        route: &Route,
        tunnel: &Tunnel,
        host_keys: Option<PathBuf>,
    ) -> Self {
        Self {
            instance: target.instance.clone(),
            os_user: target.os_user.clone(),
            port: target.port,
            endpoint: Some(route.chosen.id.clone()),
            address: route.chosen.address,
            tunnel_request_id: tunnel.request_id().map(str::to_owned),
            host_keys,
            status: Some(tunnel.status()),
        }
    }

    /// Returns the context of a direct connection to `address`.
    pub(super) fn direct(target: &InstanceTarget, address: IpAddr, host_keys: Option<PathBuf>) -> Self {
        Self {
            instance: target.instance.clone(),
            os_user: target.os_user.clone(),
            port: target.port,
            endpoint: None,
            address,
            tunnel_request_id: None,
            host_keys,
            status: None,
        }
    }

    /// Returns why the tunnel ended, if there is one and it has ended.
    fn close_reason(&self) -> Option<CloseReason> {
        self.status.as_ref().and_then(TunnelStatus::close_reason)
    }

    /// Returns the hint for a target that does not answer.
    fn unreachable_hint(&self) -> String {
        let Self { instance, port, address, endpoint, .. } = self;
        match endpoint {
            Some(endpoint) => format!(
                "check that sshd runs on {instance} and listens on port {port}, that the security group of the \
                 endpoint {endpoint} lets {port} out to {address}, and that the instance's group lets {port} in \
                 from it"
            ),
            None => format!(
                "check that {address} is reachable, that the security group of {instance} lets {port} \
                 in, and that sshd listens there"
            ),
        }
    }
}

/// Returns why a tunnel ended, unless it was closed locally.
pub(super) fn close_reason(status: &TunnelStatus) -> Option<String> {
    status.close_reason().filter(|reason| *reason != CloseReason::Local).map(|reason| reason.to_string())
}

/// Displays the cause of an error, whose own text is the message already.
#[derive(Debug)]
struct Below<E>(E);

impl<E: StdError> fmt::Display for Below<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(source) => fmt::Display::fmt(source, f),
            None => Ok(()),
        }
    }
}

impl<E: StdError> StdError for Below<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source().and_then(StdError::source)
    }
}

/// Returns AWS's error response, if a stage failed because AWS rejected a call.
#[must_use]
pub fn refusal(error: &StageError) -> Option<&ErrorResponse> {
    error.source()?.downcast_ref::<Below<AwsError>>()?.0.response()
}

/// Converts an error: its own text becomes the message, its cause the cause.
fn from_error<E>(stage: Stage, fault: Fault, error: E) -> StageError
where
    E: StdError + Send + Sync + 'static,
{
    let failure = StageError::new(stage, fault, error.to_string());
    if error.source().is_some() { failure.with_source(Below(error)) } else { failure }
}

/// Converts an error of generating a key.
pub(super) fn from_key_generation(error: ssh::Error) -> StageError {
    from_error(Stage::KeyPush, Fault::Internal, error)
}

/// Returns the stage of a failed choice: a stopped instance is only detected with the endpoint.
pub(super) fn route_stage(error: &AwsError) -> Stage {
    match error {
        AwsError::Choice(ChoiceError::InstanceState { .. } | ChoiceError::NoAddress { .. }) => {
            Stage::Instance
        }
        _ => Stage::Endpoint,
    }
}

/// Converts an error of an AWS call in `stage`.
pub(super) fn from_aws(
    stage: Stage,
    error: AwsError,
    target: &InstanceTarget,
    region: Option<&str>,
) -> StageError {
    let hint = match (&error, region) {
        (AwsError::Denied(_), Some(region)) if stage == Stage::KeyPush => Some(format!(
            "allow ec2-instance-connect:SendSSHPublicKey on arn:{}:ec2:{region}:ACCOUNT:instance/{} in the IAM \
             policy of the caller; a condition on ec2:osuser must allow {}",
            partition(region),
            target.instance,
            target.os_user,
        )),
        _ => None,
    };
    let failure = from_aws_call(stage, error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Converts an error of an AWS call in `stage` that has no target yet.
pub(super) fn from_aws_call(stage: Stage, error: AwsError) -> StageError {
    let hint = error.hint();
    let request_id = error.request_id().map(str::to_owned);
    let failure = from_error(stage, error.fault(), error).with_request_id(request_id);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Converts an error of dialing a tunnel.
pub(super) fn from_tunnel(
    error: tunnel::Error,
    target: &InstanceTarget,
    route: &Route,
    region: &str,
) -> StageError {
    let hint = match &error {
        tunnel::Error::Rejected { skew: None, rejection } if rejection.kind() == RejectionKind::Denied => {
            Some(open_tunnel_permission(target, route, region))
        }
        error => error.hint(),
    };
    let request_id = error.request_id().map(str::to_owned);
    let failure = from_error(error.stage(), error.fault(), error).with_request_id(request_id);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Returns what a policy must allow for this tunnel.
fn open_tunnel_permission(target: &InstanceTarget, route: &Route, region: &str) -> String {
    format!(
        "allow ec2-instance-connect:OpenTunnel on arn:{}:ec2:{region}:{}:instance-connect-endpoint/{} in the IAM \
         policy of the caller: it is authorized on the endpoint, not on the instance; its conditions must allow \
         remotePort {}, privateIpAddress {}{}",
        partition(region),
        route.account.as_deref().unwrap_or("ACCOUNT"),
        route.chosen.id,
        target.port,
        route.chosen.address,
        match target.max_duration {
            Some(duration) => format!(" and maxTunnelDuration {duration}"),
            None => "; one on maxTunnelDuration requires a duration".to_owned(),
        },
    )
}

/// Converts an error of the host key store; `store` is its file, if it is one.
pub(super) fn from_host_key_store(error: ssh::Error, store: Option<&Path>) -> StageError {
    let otherwise = || (Fault::Timeout, "check the disk that the store of host keys is on".to_owned());
    let (fault, hint) = host_key::fault_and_hint(&error, store).unwrap_or_else(otherwise);
    from_error(error.stage(), fault, error).with_hint(hint)
}

/// Returns whether this output before the identification is that of an sshd with too many clients (OpenSSH,
/// `sshd.c`).
fn is_sshd_too_busy(said: &str) -> bool {
    ["Exceeded MaxStartups", "Not allowed at this time"].iter().any(|words| said.contains(words))
}

/// Converts an SSH error of the connection `peer`.
pub(super) fn from_ssh(error: ssh::Error, peer: &PeerContext) -> StageError {
    let stage = error.stage();
    let request_id = peer.tunnel_request_id.clone();
    let PeerContext { instance, os_user, port, address, .. } = peer;
    let unreachable_hint = peer.unreachable_hint();
    if let ssh::Error::Closed { stage: Stage::Banner | Stage::KeyExchange, said: None, .. } = &error {
        match peer.close_reason() {
            Some(CloseReason::Peer { .. } | CloseReason::Eof | CloseReason::Clean)
                if stage == Stage::Banner =>
            {
                let message = format!("the endpoint could not connect to {address} port {port}");
                return StageError::new(stage, Fault::Network, message)
                    .with_hint(unreachable_hint)
                    .with_request_id(request_id)
                    .with_source(error);
            }
            _ => {}
        }
    }
    if let (ssh::Error::Closed { .. }, Some(endpoint), Some(CloseReason::Protocol(_))) =
        (&error, &peer.endpoint, peer.close_reason())
    {
        return from_error(stage, Fault::Protocol, error)
            .with_hint(format!(
                "check that {endpoint} is an EC2 Instance Connect Endpoint and that no proxy changes its responses"
            ))
            .with_request_id(request_id);
    }
    if let Some((fault, hint)) = host_key::fault_and_hint(&error, peer.host_keys.as_deref()) {
        return from_error(stage, fault, error).with_hint(hint).with_request_id(request_id);
    }
    let (fault, hint) = match &error {
        ssh::Error::Timeout { stage: Stage::Banner, .. } => (Fault::Timeout, unreachable_hint),
        ssh::Error::Timeout { .. } => {
            (Fault::Timeout, format!("check the load of {instance} and the network; try again"))
        }
        ssh::Error::NotSsh { .. } => {
            (Fault::Protocol, format!("check what listens on port {port} of {instance}: it is not sshd"))
        }
        ssh::Error::Closed { said: Some(said), .. } if !is_sshd_too_busy(said) => {
            (Fault::Protocol, format!("check what listens on port {port} of {instance}: it is not sshd"))
        }
        ssh::Error::Closed { said: Some(_), .. } => (
            Fault::Quota,
            format!("sshd on {instance} accepts no more connections for now (MaxStartups): try again"),
        ),
        ssh::Error::Closed { stage: Stage::Authentication, .. } => {
            (Fault::Authentication, format!("read sshd's log on {instance}: it ended the authentication"))
        }
        ssh::Error::Closed { .. } => (Fault::Network, format!("try again; read sshd's log on {instance}")),
        ssh::Error::NoCommonAlgorithm { .. } => {
            (Fault::Protocol, format!("allow a current algorithm in the sshd_config of {instance}"))
        }
        ssh::Error::KeyRefused { .. } => (
            Fault::Authentication,
            format!(
                "check that user {os_user} exists on {instance} and may log in, and that EC2 Instance Connect is \
                 installed there (package ec2-instance-connect: sshd's AuthorizedKeysCommand); a pushed key is good \
                 for 60 s"
            ),
        ),
        ssh::Error::ChannelRefused { .. } => (
            Fault::Quota,
            format!("sshd on {instance} allows no further session on a connection: raise MaxSessions"),
        ),
        ssh::Error::PtyRefused => {
            (Fault::Remote, format!("allow PTYs on {instance}: PermitTTY in sshd_config, /dev/pts mounted"))
        }
        ssh::Error::CommandRefused => {
            (Fault::Remote, format!("check the login shell of {os_user} on {instance}, and ForceCommand"))
        }
        ssh::Error::KeyGeneration { .. } => (Fault::Internal, "report this".to_owned()),
        ssh::Error::HostKeyChanged { .. }
        | ssh::Error::HostKeyMissing { .. }
        | ssh::Error::HostKeyUnknown { .. }
        | ssh::Error::HostKeyContradicted { .. }
        | ssh::Error::HostKeyUnverified { .. }
        | ssh::Error::HostKeyStore(_)
        | ssh::Error::Protocol { .. } => {
            (Fault::Protocol, format!("check what answers on port {port} of {instance}, and sshd's log"))
        }
    };
    from_error(stage, fault, error).with_hint(hint).with_request_id(request_id)
}
