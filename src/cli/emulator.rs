//! `eice emulator`: the AWS services and an instance on this machine, for tests without AWS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use eice_proto::InstanceId;

use super::exit;
use super::failure::Failure;
use super::help::exit_help;
use super::ready::{Credentials, EndpointUrls, Ready};
use super::stop::Signals;
use crate::emulator::{self, Backend, Emulator, EmulatorAccess, EmulatorConfig, InstanceSpec};

const HELP: &str = concat!(
    "Examples:
  eice emulator                                  prints the environment to export
  eice emulator --json --until-stdin-closes      the same for a script, on one line of JSON
  eice emulator --sshd 127.0.0.1:2222            tunnels end at a real sshd
  eice emulator --fault latency_ms=20 --fault upgrade=drop-before
  eice emulator --config world.toml              instances, endpoints, policies, faults as a file

Then, with the printed lines exported: `eice ssh i-0123456789abcdef0`, or any AWS client.

Faults are the fields of the [faults] table: latency_ms, jitter_ms, rate, accept, certificate,
upgrade_delay_ms, upgrade, frame, ping_every_ms, close_after, idle_cut_ms, duration_form,
target_end_form, target_failed_form, quota, api_throttled, api_errors, api_hang, api_delay_ms,
api_action. A value is TOML: 20, true, drop-before, { refuse = { status = 429 } }.

A real sshd asks for the keys that were pushed at
  METADATA_URL/latest/meta-data/managed-ssh-keys/active-keys/USER/
(AuthorizedKeysCommand with curl; METADATA_URL is in the --json line).

The builtin instance runs its shells on this machine as the user who started this command, for
anyone with the printed credentials. It listens on loopback by default.

Environment:
  EICE_LOG                 what to log, as --log

",
    exit_help!()
);

/// Emulates EC2, EC2 Instance Connect, STS, CloudTrail, the tunnel endpoint and an instance on this machine.
///
/// Any AWS client and any tunnel client can be tested against it: signatures, policies, states, quotas and key
/// lifetimes are checked as AWS does.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice emulator --help` has examples and exit codes.")]
pub(crate) struct EmulatorArgs {
    /// Where the AWS APIs answer; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Port of the tunnel's TLS listener on the same address; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    tunnel_port: Option<u16>,

    /// An emulated account as TOML: instances, endpoints, security groups, principals, faults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// An instance, with its private address where that matters; may be given more than once
    #[arg(long = "instance", value_name = "I-ID[=IP]")]
    instances: Vec<InstanceArg>,

    /// Tunnels end at this real sshd instead of the builtin one
    #[arg(long, value_name = "ADDR:PORT")]
    sshd: Option<SocketAddr>,

    /// A fault to begin with; may be given more than once
    #[arg(long = "fault", value_name = "NAME=VALUE")]
    faults: Vec<String>,

    /// Keep the certificate authority and host keys here, so that they survive a restart
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,

    /// AWS region to be; the default is eu-west-1
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// When ready, print one line of JSON on stdout instead of the lines to export
    #[arg(long)]
    json: bool,

    /// End when stdin does
    #[arg(long)]
    until_stdin_closes: bool,
}

/// An instance on the command line: `i-…` or `i-…=10.0.0.5`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct InstanceArg {
    id: InstanceId,
    address: Option<IpAddr>,
}

impl std::str::FromStr for InstanceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) = match text.split_once('=') {
            Some((id, address)) => {
                (id, Some(address.parse().map_err(|_| format!("{address:?} is not an IP address"))?))
            }
            None => (text, None),
        };
        Ok(Self { id: id.parse::<InstanceId>().map_err(|error| error.to_string())?, address })
    }
}

pub(crate) async fn run(args: EmulatorArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let config = configure(&args)?;
    let instance = config.instances.first().map(|spec| spec.id.clone());
    let emulator = start(config).await?;
    let ready = ready("emulator", emulator.access(), instance.as_ref());
    announce(&ready, args.json)?;
    let reason = signals.stop(args.until_stdin_closes).await;
    tracing::info!(?reason, "ending");
    emulator.shutdown().await;
    Ok(exit::OK)
}

/// Starts an emulator; a failure's hint names the setting to change.
pub(super) async fn start(config: EmulatorConfig) -> Result<Emulator, Failure> {
    Emulator::start(config).await.map_err(|error| {
        let code = match &error {
            emulator::EmulatorError::Bind { .. } => exit::UNAVAILABLE,
            emulator::EmulatorError::Config(_) | emulator::EmulatorError::State { .. } => exit::CONFIG,
            _ => exit::INTERNAL,
        };
        Failure::because(code, "cannot start the emulator", &error)
    })
}

/// Builds the configuration from the file and then the flags.
fn configure(args: &EmulatorArgs) -> Result<EmulatorConfig, Failure> {
    let mut config = match &args.config {
        None => EmulatorConfig::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::because(exit::CONFIG, format!("cannot read {}", path.display()), &error)
            })?;
            toml::from_str(&text).map_err(|error| {
                Failure::new(exit::CONFIG, format!("{} cannot be used", path.display()))
                    .with_details(error.to_string().lines())
            })?
        }
    };
    config.listen = args.listen.ip();
    config.api_port = args.listen.port();
    if let Some(port) = args.tunnel_port {
        config.tunnel_port = port;
    }
    if let Some(region) = &args.region {
        config.region.clone_from(region);
    }
    if args.ca_dir.is_some() {
        config.state_dir.clone_from(&args.ca_dir);
    }
    if !args.instances.is_empty() {
        config.instances = args.instances.iter().map(instance).collect();
    }
    if let Some(sshd) = args.sshd {
        for instance in &mut config.instances {
            instance.backend = Backend::Forward(sshd);
        }
    }
    if !args.faults.is_empty() {
        config.faults = faults(&args.faults)?;
    }
    Ok(config)
}

fn instance(arg: &InstanceArg) -> InstanceSpec {
    let mut spec = InstanceSpec { id: arg.id.clone(), ..InstanceSpec::default() };
    match arg.address {
        Some(IpAddr::V4(address)) => spec.private_ip = Some(address),
        Some(IpAddr::V6(address)) => {
            spec.private_ip = None;
            spec.ipv6 = Some(address);
        }
        None => {}
    }
    spec
}

/// Parses `NAME=VALUE` pairs as fields of the `[faults]` table. A value that is not TOML is text.
fn faults(pairs: &[String]) -> Result<emulator::Faults, Failure> {
    let wrong = |pair: &str, why: &str| {
        Failure::new(exit::USAGE, format!("--fault {pair}: {why}"))
            .with_hint("`eice emulator --help` lists the names")
    };
    let mut table = toml::Table::new();
    for pair in pairs {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong(pair, "it must read NAME=VALUE"))?;
        let value = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
            Ok(mut parsed) => parsed.remove("value").unwrap_or_else(|| value.into()),
            Err(_) => toml::Value::String(value.to_owned()),
        };
        table.insert(name.trim().to_owned(), value);
        // One pair at a time, so that the error names it.
        if let Err(error) = table.clone().try_into::<emulator::Faults>() {
            return Err(wrong(pair, error.message()));
        }
    }
    table.try_into().map_err(|error: toml::de::Error| wrong("", error.message()))
}

/// Returns what a client of the emulator needs.
pub(super) fn ready(verb: &str, access: &EmulatorAccess, instance: Option<&InstanceId>) -> Ready {
    let mut ready = Ready::new(verb, access.api_url());
    ready.instance = instance.map(ToString::to_string);
    ready.endpoint_urls = Some(EndpointUrls::all_at(&access.api_url()));
    ready.tunnel = Some(access.tunnel_authority());
    ready.metadata_url = instance.map(|id| access.metadata_url(id));
    ready.credentials =
        Some(Credentials::new(access.access_key_id(), access.secret_access_key(), access.session_token()));
    ready.region = Some(access.region().to_owned());
    ready.ca_file = Some(access.ca_file().display().to_string());
    ready.env = access.env().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    // The instance has the same id but new host keys each time, so they must not reach the user's store.
    let host_keys = access.ca_file().with_file_name("known_host_keys.json");
    ready.env.insert("EICE_HOST_KEYS".into(), host_keys.display().to_string());
    ready
}

/// Prints what a client needs: JSON, or lines to export.
fn announce(ready: &Ready, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = if json {
        ready.write(&mut out)
    } else {
        io::Write::write_all(&mut out, exports(ready).as_bytes()).and_then(|()| io::Write::flush(&mut out))
    };
    written.map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
}

/// Returns the lines for a POSIX shell.
fn exports(ready: &Ready) -> String {
    let mut text = String::from("# The emulator is ready. In another shell:\n");
    for (name, value) in &ready.env {
        text.push_str(&format!("export {name}={}\n", quote(value)));
    }
    if let Some(instance) = &ready.instance {
        text.push_str(&format!("# then: eice ssh {instance}\n"));
    }
    text
}

/// Quotes `value` as one word of a POSIX shell.
fn quote(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/:._-+=@%".contains(&b);
    if !value.is_empty() && value.bytes().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_toml_or_words() {
        let pairs = ["latency_ms=20", "upgrade=drop-before", "upgrade={ refuse = { status = 429 } }"];
        let parsed = faults(&pairs.map(str::to_owned)).unwrap();
        assert_eq!(parsed.latency_ms, 20);
        assert!(
            matches!(parsed.upgrade, Some(emulator::UpgradeFault::Refuse(refusal)) if refusal.status == 429),
            "the later one wins"
        );
        for (bad, named) in
            [("latency_ms=soon", "latency_ms=soon"), ("nonsense=1", "nonsense"), ("x", "NAME=VALUE")]
        {
            let failure = faults(&[bad.to_owned()]).unwrap_err();
            assert_eq!(failure.code(), exit::USAGE);
            assert!(failure.render().contains(named), "{}", failure.render());
        }
    }

    #[test]
    fn instance_may_have_address() {
        let arg: InstanceArg = "i-0aaaaaaaaaaaaaaaa=2600:1f10::1".parse().unwrap();
        let spec = instance(&arg);
        assert_eq!(spec.private_ip, None);
        assert_eq!(spec.ipv6, Some("2600:1f10::1".parse().unwrap()));
        assert!("i-1=nowhere".parse::<InstanceArg>().is_err());
        assert!("web".parse::<InstanceArg>().is_err());
    }

    #[test]
    fn exports_survive_the_shell() {
        let mut ready = Ready::new("emulator", "http://127.0.0.1:1");
        ready.env.insert("A".into(), "x y'z".into());
        ready.env.insert("B".into(), "http://127.0.0.1:1".into());
        let text = exports(&ready);
        assert!(text.contains("export A='x y'\\''z'\n"), "{text}");
        assert!(text.contains("export B=http://127.0.0.1:1\n"), "{text}");
    }
}
