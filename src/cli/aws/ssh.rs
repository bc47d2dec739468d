//! `aws ec2-instance-connect ssh`, built in: it starts neither an ssh program nor a second process for the tunnel
//! (`ssh.py`).

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::sync::Arc;

use clap::ValueEnum;
use eice_proto::{InstanceId, MaxDuration};

use super::command::Values;
use super::error::{GENERAL, ShimError};
use super::globals::Globals;
use super::open_tunnel::{malformed_instance, named_endpoint, port};
use super::passphrase;
use super::session::{Service, Session, to_shim_error};
use super::shorthand::EiceOptions;
use crate::aws::{Instance, RouteRequest};
use crate::cli::build::{HostKeyArg, HostKeyOptions};
use crate::cli::failure::Failure;
use crate::cli::forward::{ForwardArgs, Forwards};
use crate::cli::interactive::{self, End};
use crate::cli::progress::{Mode, Progress};
use crate::cli::ssh::drain;
use crate::cli::stdin::Stdin;
use crate::cli::stop::Signals;
use crate::connect::{ConnectMethod, HostKeyMode};
use crate::model::{EndpointChoice, Exit, Host, InstanceTarget, OsUser, escape_control};
use crate::ssh::{self, InvalidLoginKey, LoginKey};

/// The maximum size of a private key file, in bytes.
const MAX_KEY_FILE: u64 = 64 << 10;

/// The validated options.
struct SshOptions {
    instance: InstanceId,
    address: Option<IpAddr>,
    connection_type: ConnectionType,
    eice: EiceOptions,
    endpoint: EndpointChoice,
    user: OsUser,
}

/// `--connection-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionType {
    Auto,
    Direct,
    Eice,
}

/// Runs the command and returns the exit status.
pub(super) async fn run(globals: &Globals, values: &Values, signals: &mut Signals) -> Result<u8, ShimError> {
    let options = check(values)?;
    let local_forwarding = values.text("--local-forwarding").map(ForwardArgs::local).transpose();
    let forwarding = local_forwarding
        .map_err(|why| ShimError::parameter("--local-forwarding", &why.to_string()))?
        .unwrap_or_default();
    let listeners = forwarding.listen().await.map_err(|failure| failed(&failure))?;
    let pty = io::stdin().is_terminal();
    let session = Session::new(globals, Service::Ec2, &host_keys()?, interactive::tuning(pty))?;
    let progress = Progress::new(Mode::choose(false, false));
    let connecting = async {
        let (target, mut method) = target(&session, &options, values).await?;
        if let Some(path) = values.text("--private-key-file") {
            method.key = Some(key(path).await?);
        }
        let connector = session.connector.with_method(method);
        let forwards = async {
            if forwarding.is_empty() {
                return Ok(None);
            }
            let connector = Arc::new(connector.with_ssh_config(ssh::Config::forwards()));
            let starting = Forwards::start(listeners, connector, target.clone(), false, false, &|_| {});
            starting.await.map(Some).map_err(|failure| failed(&failure))
        };
        let opening = async {
            let host = connector.connect_ssh(&target, &progress).await?;
            let terminal = host.open(&interactive::request(pty), &progress).await?;
            Ok::<_, ShimError>((host, terminal))
        };
        futures_util::future::try_join(opening, forwards).await
    };
    let connected = tokio::select! {
        connected = connecting => connected,
        reason = signals.next() => {
            progress.clear();
            return Ok(reason.status());
        }
    };
    progress.clear();
    let ((host, terminal), forwards) = connected?;
    let end = if pty {
        let listing = forwards.as_ref().map(Forwards::listing).unwrap_or_default();
        interactive::with_tty(terminal, signals, listing).await
    } else {
        interactive::with_pipes(terminal, Stdin::start(), signals).await
    };
    host.close().await;
    if let Some(mut forwards) = forwards {
        if matches!(end, Ok(End::Exit(_))) {
            drain(&mut forwards, false, signals).await;
        }
        forwards.close().await;
    }
    match end {
        Ok(End::Disconnected) => {
            crate::cli::say("aws: disconnected\n");
            Ok(End::Disconnected.status())
        }
        // Like ssh; `eice ssh` returns 128 plus the signal instead.
        Ok(End::Exit(Exit::Signal { name, .. })) => {
            crate::cli::say(&format!("aws: the remote shell was ended by SIG{}\n", escape_control(&name)));
            Ok(GENERAL)
        }
        Ok(end) => Ok(end.status()),
        Err(error) => Err(ShimError::general(format!("the connection was lost: {error}"))),
    }
}

fn failed(failure: &Failure) -> ShimError {
    ShimError::general(failure.message()).with_hint(failure.hint())
}

/// Validates the options in aws-cli's order.
fn check(values: &Values) -> Result<SshOptions, ShimError> {
    let eice = values.raw("--eice-options").map(EiceOptions::parse).transpose()?.unwrap_or_default();
    let connection_type = match values.raw("--connection-type") {
        Some("direct") => ConnectionType::Direct,
        Some("eice") => ConnectionType::Eice,
        _ => ConnectionType::Auto,
    };
    let id = values.raw("--instance-id").unwrap_or_default();
    let is_id = |prefix: &str, text: &str, more: &str| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        })
    };
    if !id.is_empty() && !is_id("i-", id, "") {
        return Err(ShimError::param(
            "The specified instance ID is invalid. Provide the full instance ID in the form i-xxxxxxxxxxxxxxxxx.",
        ));
    }
    if connection_type == ConnectionType::Direct && eice.is_given {
        return Err(ShimError::param("eice-options can't be specified when connection type is direct."));
    }
    if eice.dns_name.is_some() && eice.endpoint_id.is_none() {
        return Err(ShimError::param("When specifying dnsName, you must specify endpointId."));
    }
    if eice.max_tunnel_duration.is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
        return Err(ShimError::param(
            "Invalid value specified for maxTunnelDuration. Value must be greater than 1 and less than 3600.",
        ));
    }
    if eice.endpoint_id.as_deref().is_some_and(|id| !is_id("eice-", id, "_")) {
        return Err(ShimError::param(
            "The specified endpointId is invalid. Provide the full EC2 Instance Connect Endpoint ID in the form \
             eice-xxxxxxxxxxxxxxxxx.",
        ));
    }
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    // A port after the name is our extension: aws-cli's tunnels always use 443.
    let host = |name: &str| name.rsplit_once(':').map_or(name.to_owned(), |(host, _)| host.to_owned());
    if eice.dns_name.as_deref().is_some_and(|name| !is_name(&host(name))) {
        return Err(ShimError::param("The specified dnsName is invalid."));
    }
    let address = values.text("--instance-ip");
    if address.is_some() && connection_type == ConnectionType::Auto {
        return Err(ShimError::param("When specifying instance-ip, you must specify connection-type."));
    }
    let address = address.map(|text| {
        text.parse()
            .map_err(|_| ShimError::param(format!("The specified instance-ip {text} is not an IP address.")))
    });
    let user = values.raw("--os-user").unwrap_or("ec2-user");
    Ok(SshOptions {
        instance: id.parse().map_err(|_| malformed_instance(id))?,
        address: address.transpose()?,
        connection_type,
        endpoint: match &eice.endpoint_id {
            Some(id) => named_endpoint(id, eice.dns_name.as_deref())?,
            None => EndpointChoice::Automatic,
        },
        eice,
        user: user.parse().map_err(|error| ShimError::param(format!("{error}")))?,
    })
}

/// Resolves the target and the connection method. The instance is looked up, the connection type is chosen as in
/// aws-cli, and the endpoint is resolved already, so that a missing one is reported with aws-cli's message.
async fn target(
    session: &Session,
    options: &SshOptions,
    values: &Values,
) -> Result<(InstanceTarget, ConnectMethod), ShimError> {
    let client = session.client().await?;
    let instance =
        client.instance(&options.instance).await.map_err(|error| to_shim_error(&client, &error))?;
    let mut target = InstanceTarget::new(options.instance.clone());
    target.account = session.account.clone();
    target.region.clone_from(&session.region);
    target.os_user = options.user.clone();
    target.port = port(values.number("--ssh-port"))?;
    let method = ConnectMethod { direct: direct(options, &instance)?, ..ConnectMethod::default() };
    if method.direct.is_none() {
        target.endpoint = options.endpoint.clone();
        target.private_address = options.address;
        let seconds = options.eice.max_tunnel_duration.and_then(|seconds| u64::try_from(seconds).ok());
        target.max_duration = seconds.and_then(|seconds| MaxDuration::from_secs(seconds).ok());
        let mut request = RouteRequest::new(&target.endpoint, Some(&instance));
        request.address = options.address;
        client.route(&request).await.map_err(|error| to_shim_error(&client, &error))?;
    }
    Ok((target, method))
}

/// Returns the address to connect to without an endpoint; `None` to use one.
fn direct(options: &SshOptions, instance: &Instance) -> Result<Option<IpAddr>, ShimError> {
    let (public, private, ipv6) = (instance.public_ipv4, instance.private_ipv4, instance.ipv6);
    let is_eice = options.connection_type == ConnectionType::Eice
        || (options.eice.is_given && options.connection_type == ConnectionType::Auto);
    let direct = match (options.address, options.connection_type) {
        (Some(address), ConnectionType::Direct) => Some(address),
        (Some(_), _) => return Ok(None),
        (None, _) if is_eice => return Ok(None),
        (None, ConnectionType::Direct) => public.or(ipv6).or(private),
        (None, _) if public.is_none() && private.is_some() => return Ok(None),
        (None, _) => public.or(ipv6),
    };
    let none = || ShimError::param("Unable to find any IP address on the instance to connect to.");
    direct.map(Some).ok_or_else(none)
}

/// Returns the host key settings, from the variables that `eice ssh` also reads.
fn host_keys() -> Result<HostKeyOptions, ShimError> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mode = match given("EICE_HOST_KEY") {
        Some(name) => HostKeyArg::from_str(&name, false)
            .map_err(|_| ShimError::general(format!("EICE_HOST_KEY={name}: unknown host key mode")))?
            .into(),
        None => HostKeyMode::default(),
    };
    HostKeyOptions::in_file(mode, given("EICE_HOST_KEYS").map(Into::into)).map_err(|failure| failed(&failure))
}

/// Reads the private key at `path`, and prompts for its passphrase if it has one.
async fn key(path: &str) -> Result<LoginKey, ShimError> {
    let bad =
        |why: &dyn std::fmt::Display| ShimError::general(format!("cannot use the private key {path}: {why}"));
    let size = tokio::fs::metadata(path).await.map_err(|error| bad(&error))?.len();
    if size > MAX_KEY_FILE {
        return Err(bad(&format!("it is larger than {MAX_KEY_FILE} bytes")));
    }
    let text = zeroize::Zeroizing::new(tokio::fs::read_to_string(path).await.map_err(|error| bad(&error))?);
    match LoginKey::parse(&text, None) {
        Err(InvalidLoginKey::Encrypted) => {
            let passphrase = passphrase::ask(&format!("Enter passphrase for key '{path}': ")).await;
            let passphrase = passphrase.map_err(|error| {
                bad(&format!("it is encrypted, and the passphrase cannot be read: {error}"))
            })?;
            LoginKey::parse(&text, Some(&passphrase)).map_err(|error| bad(&error))
        }
        parsed => parsed.map_err(|error| bad(&error)),
    }
}
