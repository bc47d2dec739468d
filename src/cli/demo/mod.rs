//! `eice demo`: everything in one process on this machine, without AWS.

mod control_plane;
mod engine;
mod image;
mod owner;
mod provision;
mod tar;
mod workspaces;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use self::engine::Engine;
use self::owner::Owner;
use self::provision::{Kind, Provisioner};
use self::workspaces::Workspaces;
use super::exit;
use super::failure::Failure;
use super::help::exit_help;
use super::ready::{Ready, ShellKind};
use super::stop::Signals;
use super::{build, emulator as emulator_verb};
use crate::emulator::{Backend, Builtin, EmulatorConfig};
use crate::gateway::{self, Gateway, Origin};
use crate::workspace::BearerToken;

const HELP: &str = concat!(
    "Examples:
  eice demo                          prints a link; open it and click Terminal
  eice demo --no-docker              with a shell of this machine instead of a container
  eice demo --image alpine:3         containers of this image
  eice demo --listen 127.0.0.1:0 --json --until-stdin-closes     for a script

A workspace as the platform's tutorial makes it, with the `url` and `token` of the --json line:
  curl -s -X POST $URL/workspaces -H \"Authorization: Bearer $TOKEN\" \\
    -H 'Content-Type: application/json' -d '{\"name\": \"prod-agent\", \"runtime\": \"hermes\", \"tier\": 2}'
  curl -s $URL/workspaces/$ID | jq -r .status        provisioning, then ready

Containers: the image given by --image, else a local image eice-demo, else one made from this
machine's static /bin/busybox (Debian's busybox-static), else busybox from a registry. They are
removed when the demo ends; those of a demo that was killed, when the next one starts.

It listens on loopback only. Whoever has the link's token can run commands as you, or in the
containers, so keep it as you would keep a password. The token changes each time.

Environment:
  DOCKER_HOST              where the Docker engine is, as for docker itself
  EICE_LOG                 what to log, as --log

",
    exit_help!()
);

/// Tries everything on this machine: an emulated AWS with one instance, workspaces on it, and the page.
///
/// The way of every byte is the real one: browser, gateway, SSH, signed WebSocket tunnel, instance, container.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice demo --help` has examples and exit codes.")]
pub(crate) struct DemoArgs {
    /// Where the page is served, a loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Image of the workspaces' containers
    #[arg(long, value_name = "IMAGE", conflicts_with = "no_docker")]
    image: Option<String>,

    /// Use a shell of this machine even where a Docker engine is
    #[arg(long)]
    no_docker: bool,

    /// When ready, print one line of JSON on stdout
    #[arg(long)]
    json: bool,

    /// End when stdin does
    #[arg(long)]
    until_stdin_closes: bool,
}

/// The name of the initial workspace.
const FIRST_WORKSPACE: &str = "demo";

/// The variables that the built-in instance's processes inherit: enough to run `docker` as the user does.
const PASSED_ON: [&str; 8] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "LANG",
];

pub(crate) async fn run(args: DemoArgs) -> Result<u8, Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(Failure::new(exit::USAGE, format!("{} is not a loopback address", args.listen.ip()))
            .with_hint(
                "anyone with the demo's token can run commands; for other addresses, use `eice serve`",
            ));
    }
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let listener = build::listen(args.listen).await?;
    let address = build::local_addr(&listener)?;
    let world = world();
    let instance = world
        .instances
        .first()
        .map(|spec| spec.id.clone())
        .ok_or_else(|| Failure::new(exit::INTERNAL, "the emulated account has no instance"))?;
    let (kind, emulator) = tokio::join!(kind(args.no_docker), emulator_verb::start(world));
    let emulator = emulator?;

    let token = random_token();
    let bearer = BearerToken::new(&token)
        .ok_or_else(|| Failure::new(exit::INTERNAL, "the random token is no token"))?;
    let workspaces = Workspaces::new(bearer.digest());
    let connector = build::emulated_connector(
        emulator.access(),
        &build::HostKeyOptions::in_memory(),
        crate::ssh::Config::default(),
    )?;
    let gateway = Gateway::new(gateway_config(address)?, Arc::new(workspaces.clone()), connector);
    let provisioner = Provisioner::new(workspaces, instance.clone(), kind.clone(), args.image);
    provisioner.remove_leftovers();
    let first = provisioner
        .create(FIRST_WORKSPACE)
        .map_err(|_| Failure::new(exit::INTERNAL, "the first workspace finds no room"))?;

    let mut ready = emulator_verb::ready("demo", emulator.access(), Some(&instance));
    ready.url = format!("http://{address}");
    ready.link = Some(format!("http://{address}/#token={token}&workspace={}", first.id));
    ready.token = Some(token);
    ready.workspace = Some(first.id.to_string());
    match &kind {
        Kind::Container(_) => ready.shell = Some(ShellKind::Container),
        Kind::Local(why) => {
            ready.shell = Some(ShellKind::Local);
            ready.shell_reason = Some(why.clone());
        }
    }

    let drain = CancellationToken::new();
    let routes = gateway.router().merge(gateway.protect(control_plane::routes(provisioner.clone())));
    let serving = tokio::spawn({
        let (gateway, drain) = (gateway.clone(), drain.clone());
        async move { gateway.serve(listener, routes, async move { drain.cancelled().await }).await }
    });
    let announced = announce(&ready, args.json);
    if announced.is_ok() {
        let reason = signals.stop(args.until_stdin_closes).await;
        tracing::info!(?reason, "ending");
    }

    // From the browser inwards, so that each layer closes its connections to the next.
    drain.cancel();
    let served = serving.await;
    let removed = provisioner.close().await;
    emulator.shutdown().await;
    announced?;
    served
        .map_err(|error| Failure::because(exit::INTERNAL, "the gateway ended", &error))?
        .map_err(|error| Failure::because(exit::UNAVAILABLE, "the gateway ended", &error))?;
    removed.map_err(|error| {
        Failure::because(exit::UNAVAILABLE, "containers may be left", &error)
            .with_hint("the next `eice demo` removes them")
    })?;
    Ok(exit::OK)
}

/// Chooses the kind of workspaces.
async fn kind(no_docker: bool) -> Kind {
    if no_docker {
        return Kind::Local("asked for by --no-docker".into());
    }
    match Engine::find(Owner::current()).await {
        Ok(engine) => Kind::Container(engine),
        Err(why) => Kind::Local(why),
    }
}

/// Returns the emulated account: one instance, whose shells can run `docker`.
fn world() -> EmulatorConfig {
    let mut config = EmulatorConfig::default();
    for instance in &mut config.instances {
        let mut builtin = Builtin::default();
        for name in PASSED_ON {
            if let Ok(value) = std::env::var(name) {
                builtin.env.insert(name.to_owned(), value);
            }
        }
        instance.backend = Backend::Builtin(builtin);
    }
    config
}

fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Allows pages of this address, by number and as `localhost`, to open terminals.
fn gateway_config(address: SocketAddr) -> Result<gateway::Config, Failure> {
    let names = [address.to_string(), format!("localhost:{}", address.port())];
    let origins: Result<Vec<Origin>, _> =
        names.iter().map(|name| format!("http://{name}").parse::<Origin>()).collect();
    let origins = origins.map_err(|error| Failure::because(exit::INTERNAL, "no origin", &error))?;
    let mut config = gateway::Config::new(origins);
    config.public_status = true;
    Ok(config)
}

fn announce(ready: &Ready, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = if json {
        ready.write(&mut out)
    } else {
        out.write_all(welcome(ready).as_bytes()).and_then(|()| out.flush())
    };
    written.map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
}

/// Returns the welcome text.
fn welcome(ready: &Ready) -> String {
    let shell = match (&ready.shell, &ready.shell_reason) {
        (Some(ShellKind::Local), Some(why)) => {
            format!("a shell of this machine, in place of a container ({why})")
        }
        _ => "a container of the local Docker engine".to_owned(),
    };
    format!(
        "\n  {link}\n\n\
         Open the link and type `whoami` in the terminal of the workspace `{FIRST_WORKSPACE}`. It runs in\n\
         {shell}, reached as in AWS: browser, gateway, SSH, signed tunnel, instance.\n\n\
         Another workspace, as the platform's tutorial makes it:\n  \
         export ORG_TOKEN={token}\n  \
         curl -s -X POST {url}/workspaces -H \"Authorization: Bearer $ORG_TOKEN\" \\\n    \
         -H 'Content-Type: application/json' -d '{{\"name\": \"prod-agent\", \"runtime\": \"hermes\", \"tier\": 2}}'\n\n\
         Ctrl-C ends the demo and removes what it made.\n",
        link = ready.link.as_deref().unwrap_or(&ready.url),
        token = ready.token.as_deref().unwrap_or_default(),
        url = ready.url,
    )
}
