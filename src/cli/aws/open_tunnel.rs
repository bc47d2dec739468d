//! `aws ec2-instance-connect open-tunnel`: a tunnel on stdin and stdout, or one for every connection to a local
//! port (`opentunnel.py`, `websocket.py`).
//!
//! aws-cli's bugs are not reproduced: the end of stdin neither sends data nor busy-loops, no chunk is sent twice, a
//! half-closed connection still receives its reply, stdin is not polled, and a failed connection does not end
//! others.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use eice_proto::tunnel::CloseReason;
use eice_proto::{EndpointId, InstanceId, MaxDuration, RemotePort};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::command::Values;
use super::error::ShimError;
use super::globals::Globals;
use super::session::{Service, Session, to_shim_error};
use crate::aws::RouteRequest;
use crate::cli::build::HostKeyOptions;
use crate::cli::relay::{self, Broken};
use crate::cli::stdin::Stdin;
use crate::cli::stop::Signals;
use crate::cli::tunnel::{stdout_gone, way_out};
use crate::listen;
use crate::model::{EndpointChoice, InstanceTarget, StageEvent};
use crate::ssh;

/// How long a half-closed local connection waits for the next byte of its reply.
const HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Placeholder id for a target given by address; the protocol carries no instance id.
const ANY_INSTANCE: &str = "i-unknown";

/// Runs the command and returns the exit status.
pub(super) async fn run(globals: &Globals, values: &Values, signals: &mut Signals) -> Result<u8, ShimError> {
    check(values)?;
    let session = Session::new(globals, Service::Ec2, &HostKeyOptions::in_memory(), ssh::Config::default())?;
    let limit = values.number("--max-websocket-connections").unwrap_or(10);
    let opening = async {
        let target = target(&session, values).await?;
        match usize::try_from(limit) {
            Ok(limit) if limit > 0 => Ok((target, limit)),
            _ => Err(ShimError::general("max_workers must be greater than 0")),
        }
    };
    let (target, limit) = tokio::select! {
        found = opening => found?,
        reason = signals.next() => return Ok(reason.status()),
    };
    match values.number("--local-port").filter(|port| *port != 0) {
        None => on_stdio(&session, &target, signals).await,
        Some(port) => on_port(session, target, port, limit, signals).await,
    }
}

/// Validates the options in aws-cli's order.
fn check(values: &Values) -> Result<(), ShimError> {
    let endpoint = values.text("--instance-connect-endpoint-id");
    if values.text("--instance-id").is_none() && values.text("--private-ip-address").is_none() {
        return Err(ShimError::param("Specify an instance id or private ip."));
    }
    if values.text("--instance-connect-endpoint-dns-name").is_some() && endpoint.is_none() {
        return Err(ShimError::param("Specify an instance connect endpoint id when providing a DNS name."));
    }
    if values.text("--private-ip-address").is_some() && endpoint.is_none() {
        return Err(ShimError::param("Specify an instance connect endpoint id when providing a private ip."));
    }
    if values.number("--max-tunnel-duration").is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
        return Err(ShimError::param(
            "Invalid max connection timeout specified. Value must be greater than 1 and less than 3600.",
        ));
    }
    if values.raw("--local-port").is_none() && io::stdin().is_terminal() {
        return Err(ShimError::param(
            "This command does not support interactive mode. You must use this command as a proxy or in listener \
             mode. ",
        ));
    }
    Ok(())
}

/// Resolves the target completely, so that a mistake is reported before anything listens.
async fn target(session: &Session, values: &Values) -> Result<InstanceTarget, ShimError> {
    let client = session.client().await?;
    let address = values.text("--private-ip-address");
    let named = values.text("--instance-id").unwrap_or(ANY_INSTANCE);
    let id: InstanceId = match named.parse() {
        Ok(id) => id,
        // The id is not used if the address is given.
        Err(_) if address.is_some() => known_instance(ANY_INSTANCE)?,
        Err(_) => return Err(malformed_instance(named)),
    };
    let mut target = InstanceTarget::new(id);
    target.account = session.account.clone();
    target.region.clone_from(&session.region);
    target.max_duration = values
        .number("--max-tunnel-duration")
        .and_then(|seconds| u64::try_from(seconds).ok())
        .and_then(|seconds| MaxDuration::from_secs(seconds).ok());
    let instance = match address {
        Some(_) => None,
        None => {
            Some(client.instance(&target.instance).await.map_err(|error| to_shim_error(&client, &error))?)
        }
    };
    let endpoint = endpoint(values)?;
    let address = address.map(|text| {
        // The service's own message says no more.
        text.parse::<IpAddr>().map_err(|_| ShimError::general("The specified PrivateIpAddress is not valid."))
    });
    let address = address.transpose()?;
    target.port = port(values.number("--remote-port"))?;
    let mut request = RouteRequest::new(&endpoint, instance.as_ref());
    request.address = address;
    let chosen = client.route(&request).await.map_err(|error| to_shim_error(&client, &error))?;
    target.endpoint = EndpointChoice::Known { id: chosen.id, dns_name: chosen.dns_name };
    target.private_address = Some(chosen.address);
    Ok(target)
}

fn known_instance(text: &str) -> Result<InstanceId, ShimError> {
    text.parse().map_err(|_| malformed_instance(text))
}

/// Returns EC2's error for a malformed instance id.
pub(super) fn malformed_instance(text: &str) -> ShimError {
    ShimError::refused("DescribeInstances", "InvalidInstanceID.Malformed", &format!("Invalid id: \"{text}\""))
}

/// Returns the port on the instance, 22 by default.
pub(super) fn port(number: Option<i64>) -> Result<RemotePort, ShimError> {
    let port = u16::try_from(number.unwrap_or(22)).ok().and_then(|port| RemotePort::new(port).ok());
    port.ok_or_else(|| {
        ShimError::general(
            "The specified RemotePort is not valid. Specify either 22 or 3389 as the RemotePort and retry your \
             request.",
        )
    })
}

/// Returns the endpoint that the options select.
fn endpoint(values: &Values) -> Result<EndpointChoice, ShimError> {
    let Some(text) = values.text("--instance-connect-endpoint-id") else {
        return Ok(EndpointChoice::Automatic);
    };
    named_endpoint(text, values.text("--instance-connect-endpoint-dns-name"))
}

/// Returns the endpoint with the id `text`, at `dns_name` if given.
pub(super) fn named_endpoint(text: &str, dns_name: Option<&str>) -> Result<EndpointChoice, ShimError> {
    let id: EndpointId = text.parse().map_err(|_| {
        ShimError::refused(
            "DescribeInstanceConnectEndpoints",
            "InvalidInstanceConnectEndpointId.Malformed",
            &format!(
                "The ID '{text}' is not valid. Ensure that you specify the ID in the form eice-xxxxxxxxxxxxxxxxx."
            ),
        )
    })?;
    Ok(match dns_name {
        Some(dns_name) => EndpointChoice::Known { id, dns_name: dns_name.to_owned() },
        None => EndpointChoice::Id(id),
    })
}

fn quiet(_: StageEvent) {}

async fn on_stdio(
    session: &Session,
    target: &InstanceTarget,
    signals: &mut Signals,
) -> Result<u8, ShimError> {
    let tunnel = tokio::select! {
        tunnel = session.connector.open_tunnel(target, &quiet) => tunnel?,
        reason = signals.next() => return Ok(reason.status()),
    };
    let stdin = Stdin::start().map_err(|error| ShimError::general(format!("cannot read stdin: {error}")))?;
    let relay = relay::stdio(tunnel, stdin, tokio::io::stdout(), stdout_gone());
    tokio::select! {
        ended = relay => match ended {
            Ok(_) => Ok(0),
            Err(broken) => Err(relay_error(&broken)),
        },
        reason = signals.next() => Ok(reason.status()),
    }
}

async fn on_port(
    session: Session,
    target: InstanceTarget,
    port: i64,
    limit: usize,
    signals: &mut Signals,
) -> Result<u8, ShimError> {
    let port = u16::try_from(port).map_err(|_| ShimError::general("bind(): port must be 0-65535."))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        ShimError::general(format!("[Errno {}] {text}", error.raw_os_error().unwrap_or_default()))
    })?;
    say(&format!("Listening for connections on port {port}."));
    let open = Arc::new(AtomicUsize::new(0));
    let forward = Arc::new(Forward { session, target, limit, open, accepted: AtomicU64::new(0) });
    tokio::select! {
        never = forward.serve(&listener) => match never {},
        // Dropping the tunnels closes them.
        reason = signals.next() => Ok(reason.status()),
    }
}

/// A listener that opens a tunnel for each connection.
struct Forward {
    session: Session,
    target: InstanceTarget,
    limit: usize,
    open: Arc<AtomicUsize>,
    accepted: AtomicU64,
}

impl Forward {
    async fn serve(self: Arc<Self>, listener: &TcpListener) -> std::convert::Infallible {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (local, _) = listen::accept(listener) => {
                    if self.open.load(Ordering::Relaxed) >= self.limit {
                        say(&format!(
                            "Max websocket connections {} have been reached, closing incoming connection.",
                            self.limit
                        ));
                        continue;
                    }
                    // Count here and not in the task: the next connection must see it.
                    self.open.fetch_add(1, Ordering::Relaxed);
                    let n = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
                    say(&format!("[{n}] Accepted new tcp connection, opening websocket tunnel."));
                    let forward = Arc::clone(&self);
                    connections.spawn(async move { forward.connection(n, local).await });
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Serves one connection. Its errors are reported and do not end others.
    async fn connection(&self, n: u64, local: TcpStream) {
        let gone = relay::gone(&local);
        let carried = match self.session.connector.open_tunnel(&self.target, &quiet).await {
            Ok(tunnel) => match relay::stream(tunnel, local, gone, HALF_CLOSE_TIMEOUT).await {
                Ok(_) => Ok(()),
                Err(broken) => Err(relay_error(&broken)),
            },
            Err(error) => Err(error.into()),
        };
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = carried {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(
                format!("[{n}] Encountered error with websocket: {}\n", error.on_one_line()).as_bytes(),
            );
        }
        say(&format!("[{n}] Closing tcp connection."));
    }
}

/// Writes a line to stdout and flushes. A closed stdout must not interrupt the tunnels.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdout.flush());
}

/// Converts the error of a tunnel or its local side.
fn relay_error(broken: &Broken) -> ShimError {
    let error = match broken {
        Broken::Local(error) => return ShimError::general(format!("the local side broke: {error}")),
        Broken::Tunnel(error) => error,
    };
    let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<CloseReason>()) else {
        return ShimError::general(format!("the tunnel broke: {error}"));
    };
    let message = match reason {
        CloseReason::Peer { reason, .. } if !reason.is_empty() => {
            format!("Websocket Closure Reason: {reason}")
        }
        other => format!("the tunnel broke: {other}"),
    };
    ShimError::general(message).with_hint(way_out(reason))
}
