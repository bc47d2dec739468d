//! `eice serve`: the gateway between browsers and instances.

mod reload;
mod source;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::build;
use super::exit;
use super::failure::Failure;
use super::help::exit_help;
use super::notify::{self, notify};
use super::ready::Ready;
use super::stop::{Signals, StopReason, end_of_stdin};
use crate::config::Overrides;
use crate::gateway::{Gateway, Listening, Tls};
use crate::listen::raise_file_limit;
use crate::telemetry::Log;
use crate::workspace::Directory;
use reload::Reload;
use source::{Loaded, Source};

/// How long pending database writes may take after everything else has ended.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

const HELP: &str = concat!(
    "Examples:
  eice serve --config /etc/eice/serve.toml
  eice serve --config serve.toml --listen 127.0.0.1:0 --json
  EICE_ALLOWED_ORIGINS=https://acme.example EICE_DIRECTORY=directory.toml eice serve

docs/serve.example.toml explains every setting. The command line wins over the environment, the
environment over the file. All errors are reported before anything listens.

It speaks plain HTTP, for a proxy in front of it that passes Host and Origin on, or TLS with a
certificate of its own ([tls]).

SIGTERM and SIGINT end it: no new terminals, the open ones are notified, then closed; a second one ends
it at once. SIGHUP has it read its configuration, directory and certificate again and open the audit
file anew; what is wrong is logged and changes nothing, and open terminals stay.

Environment:
  EICE_CONFIG              the file, as --config
  EICE_LISTEN, EICE_ALLOWED_ORIGINS, EICE_ALLOWED_HOSTS, EICE_DIRECTORY, EICE_DATABASE_URL,
  EICE_HOST_KEY, EICE_HOST_KEYS, EICE_TLS_CERT_FILE, EICE_TLS_KEY_FILE, EICE_METRICS_LISTEN,
  EICE_AUDIT_FILE
                           the settings of these names; lists are divided by commas
  ADMIN_TOKEN, MOLECULE_ENV, MOLECULE_ORG_ID, MOLECULE_ORG_SLUG, CP_UPSTREAM_URL, CORS_ORIGINS,
  RATE_LIMIT               as for the platform; docs/access.md has the rules
  DATABASE_URL             the platform's database, where nothing else names a directory
  WORKSPACE_EC2_OS_USER    login name of the database's instances
  AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, …  as for every AWS client
  HTTPS_PROXY, ALL_PROXY, NO_PROXY  proxy of the tunnels, as curl reads them
  NOTIFY_SOCKET            socket of the service manager, for sd_notify(3)
  EICE_LOG                 what to log, as --log; the default here is info

",
    exit_help!()
);

/// Serves terminals to browsers at /workspaces/ID/terminal, and the page.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice serve --help` has examples, environment and exit codes.")]
pub(crate) struct ServeArgs {
    /// Configuration, TOML
    #[arg(long, value_name = "FILE", env = "EICE_CONFIG")]
    config: Option<PathBuf>,

    /// Where to listen, instead of what the configuration says; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// File of workspaces and tokens, instead of what the configuration says
    #[arg(long, value_name = "FILE")]
    directory: Option<PathBuf>,

    /// When ready, print one line of JSON on stdout
    #[arg(long)]
    json: bool,

    /// End when stdin does
    #[arg(long)]
    until_stdin_closes: bool,
}

/// Runs the gateway. `log` is set when the configuration may change what is logged.
pub(crate) async fn run(args: ServeArgs, log: Option<Log>) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let source =
        Source { file: args.config.clone(), overrides: Overrides::new(args.listen, args.directory.clone()) };
    let Loaded { text, config, audit } = source.load()?;
    if let (Some(log), Some(filter)) = (&log, &config.log) {
        log.set_filter(filter)
            .map_err(|error| Failure::because(exit::CONFIG, "cannot set up logging", &error))?;
    }
    raise_file_limit();
    let connector = build::gateway_connector(&config)?;
    let listener = build::listen(config.listen).await?;
    let address = build::local_addr(&listener)?;
    let metrics = match config.metrics_listen {
        Some(address) => Some(build::listen(address).await?),
        None => None,
    };
    let origins: Vec<String> = config.gateway.allowed_origins.iter().map(ToString::to_string).collect();
    let (directory, file) = build::directory(config.directory);
    let connector = Arc::new(if config.docker_needs_august {
        build::with_containers_of_august(connector, &directory)
    } else {
        connector
    });
    tokio::spawn(log_outage(Arc::clone(&directory)));
    let gateway = Gateway::new(config.gateway, Arc::clone(&directory), connector);
    gateway
        .audit()
        .write_to(audit, config.audit.is_required)
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot write the audit log", &error))?;
    let tls = config.tls.map(|tls| Tls::new(tls.pair, tls.handshake_timeout, gateway.metrics().clone()));
    let reload = Reload {
        source,
        started_with: text,
        gateway: gateway.clone(),
        directory: file,
        tls: tls.map(Arc::new),
        has_metrics_listener: metrics.is_some(),
        log,
    };

    let scheme = if reload.tls.is_some() { "https" } else { "http" };
    let mut ready = Ready::new("serve", format!("{scheme}://{address}"));
    if let Some(listener) = &metrics {
        ready.metrics_url = Some(format!("http://{}/metrics", build::local_addr(listener)?));
    }
    let drain = CancellationToken::new();
    let mut serving = tokio::spawn({
        let (gateway, drain) = (gateway.clone(), drain.clone());
        let routes = gateway.router();
        let listening = match &reload.tls {
            Some(tls) => Listening::tls(listener, Arc::clone(tls)),
            None => listener.into(),
        };
        async move {
            let outage = async {
                match metrics {
                    Some(listener) => gateway.serve_metrics(listener).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                served = gateway.serve(listening, routes, drain.cancelled()) => served,
                never = outage => match never {},
            }
        }
    });
    tracing::info!(%address, ?origins, "serving");
    let announced = if args.json {
        ready
            .write(&mut io::stdout().lock())
            .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
    } else {
        super::say(&format!("eice: serving at {}\n", ready.url));
        Ok(())
    };
    let mut ended = None;
    if announced.is_ok() {
        notify(notify::State::Ready);
        let mut stdin = pin!(end_of_stdin(args.until_stdin_closes));
        loop {
            tokio::select! {
                reason = signals.next() => match reason {
                    StopReason::Hangup => {
                        notify(notify::State::Reloading);
                        reload.run().await;
                        notify(notify::State::Ready);
                    }
                    reason => {
                        tracing::info!(?reason, "ending");
                        break;
                    }
                },
                () = &mut stdin => {
                    tracing::info!(reason = ?StopReason::StdinClosed, "ending");
                    break;
                }
                served = &mut serving => {
                    ended = Some(served);
                    break;
                }
            }
        }
    }
    notify(notify::State::Stopping);
    drain.cancel();
    let forced = loop {
        if ended.is_some() {
            break None;
        }
        tokio::select! {
            served = &mut serving => ended = Some(served),
            reason = signals.next() => if reason != StopReason::Hangup {
                tracing::warn!(?reason, live = gateway.sessions().live(), "ending at once");
                break Some(reason);
            }
        }
    };
    if forced.is_some() {
        serving.abort();
    } else if tokio::time::timeout(SETTLE_TIMEOUT, directory.settle()).await.is_err() {
        tracing::warn!("the directory did not take all that was noted");
    }
    gateway.audit().flush().await;
    announced?;
    if let Some(served) = ended {
        served
            .map_err(|error| Failure::because(exit::INTERNAL, "the gateway ended", &error))?
            .map_err(|error| Failure::because(exit::UNAVAILABLE, "the gateway ended", &error))?;
    }
    Ok(forced.map_or(exit::OK, StopReason::status))
}

/// Logs an unavailable directory at the start. The gateway serves nevertheless, and queries it for each request.
async fn log_outage(directory: Arc<dyn Directory>) {
    if let Err(error) = directory.check().await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "the directory does not answer; no terminal opens until it does");
    }
}
