//! `eice serve`: the gateway between browsers and instances.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
use super::stop::Signals;
use crate::config::{Config, Overrides, ProcessEnv};
use crate::gateway::Gateway;
use crate::workspace::Directory;

/// How long the last notes may take to be written once everything else ended.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

const HELP: &str = concat!(
    "Examples:
  eice serve --config /etc/eice/serve.toml
  eice serve --config serve.toml --listen 127.0.0.1:0 --json
  EICE_ALLOWED_ORIGINS=https://acme.example EICE_DIRECTORY=directory.toml eice serve

docs/serve.example.toml explains every setting. The command line wins over the environment, the
environment over the file. Whatever is wrong is told in full before anything listens.

It speaks plain HTTP: TLS ends in front of it, in a proxy that passes Host and Origin on.
SIGTERM, SIGINT and SIGHUP end it: no new terminals, the open ones are told, then closed.

Environment:
  EICE_CONFIG              the file, as --config
  EICE_LISTEN, EICE_ALLOWED_ORIGINS, EICE_ALLOWED_HOSTS, EICE_DIRECTORY, EICE_DATABASE_URL,
  EICE_HOST_KEY, EICE_HOST_KEYS
                           the settings of these names; lists are divided by commas
  ADMIN_TOKEN, MOLECULE_ENV, MOLECULE_ORG_ID, MOLECULE_ORG_SLUG, CP_UPSTREAM_URL, CORS_ORIGINS,
  RATE_LIMIT               as for the platform; docs/access.md says who gets in
  DATABASE_URL             the platform's database, where nothing else names a directory
  WORKSPACE_EC2_OS_USER    login name of the database's instances
  AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, …  as for every AWS client
  HTTPS_PROXY, ALL_PROXY, NO_PROXY  proxy of the tunnels, as curl reads them
  NOTIFY_SOCKET            where a service manager is told of readiness, as sd_notify(3) says
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

pub(crate) async fn run(args: ServeArgs) -> Result<u8, Failure> {
    let mut signals = Signals::register()
        .map_err(|error| Failure::because(exit::INTERNAL, "cannot watch signals", &error))?;
    let config = configure(&args)?;
    let connector = build::gateway_connector(&config)?;
    let listener = build::listen(config.listen).await?;
    let address = build::local_addr(&listener)?;
    let origins: Vec<String> = config.gateway.allowed_origins.iter().map(ToString::to_string).collect();
    let directory = build::directory(config.directory);
    tokio::spawn(tell_outage(Arc::clone(&directory)));
    let gateway = Gateway::new(config.gateway, Arc::clone(&directory), connector);

    let drain = CancellationToken::new();
    let serving = tokio::spawn({
        let (gateway, drain) = (gateway.clone(), drain.clone());
        let routes = gateway.router();
        async move { gateway.serve(listener, routes, async move { drain.cancelled().await }).await }
    });
    tracing::info!(%address, ?origins, "serving");
    let announced = if args.json {
        Ready::new("serve", format!("http://{address}"))
            .write(&mut io::stdout().lock())
            .map_err(|error| Failure::because(exit::UNAVAILABLE, "cannot write to stdout", &error))
    } else {
        super::say(&format!("eice: serving at http://{address}\n"));
        Ok(())
    };
    tokio::pin!(serving);
    let mut ended = None;
    if announced.is_ok() {
        notify(notify::State::Ready);
        tokio::select! {
            reason = signals.stop(args.until_stdin_closes) => tracing::info!(?reason, "ending"),
            served = &mut serving => ended = Some(served),
        }
    }
    notify(notify::State::Stopping);
    drain.cancel();
    let served = match ended {
        Some(served) => served,
        None => serving.await,
    };
    if tokio::time::timeout(SETTLE_TIMEOUT, directory.settle()).await.is_err() {
        tracing::warn!("the directory did not take all that was noted");
    }
    announced?;
    served
        .map_err(|error| Failure::because(exit::INTERNAL, "the gateway ended", &error))?
        .map_err(|error| Failure::because(exit::UNAVAILABLE, "the gateway ended", &error))?;
    Ok(exit::OK)
}

/// Tells at once that the directory cannot answer. The gateway serves all the same, and asks again for each request.
async fn tell_outage(directory: Arc<dyn Directory>) {
    if let Err(error) = directory.check().await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "the directory does not answer; no terminal opens until it does");
    }
}

/// The configuration: the file, the environment, the flags.
fn configure(args: &ServeArgs) -> Result<Config, Failure> {
    let text = match &args.config {
        None => String::new(),
        Some(path) => read(path).map_err(|error| {
            Failure::because(exit::CONFIG, format!("cannot read {}", path.display()), &error)
        })?,
    };
    let overrides = Overrides::new(args.listen, args.directory.clone());
    Config::read(&text, &ProcessEnv, &overrides).map_err(|invalid| {
        let place =
            args.config.as_ref().map_or("the configuration".into(), |path| path.display().to_string());
        let count = invalid.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        Failure::new(exit::CONFIG, format!("{place} has {count} {noun}"))
            .with_details(invalid.problems.iter().map(ToString::to_string))
            .with_hint("docs/serve.example.toml explains every setting")
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(Config::MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > Config::MAX_LEN {
        return Err(io::Error::other(format!("it is larger than {} bytes", Config::MAX_LEN)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_configuration_is_78_and_every_problem_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[gateway]\ncolour = 1\n[directory]\ntext = '[[token]]'\n").unwrap();
        let args = ServeArgs {
            config: Some(file.path().into()),
            listen: None,
            directory: None,
            json: false,
            until_stdin_closes: false,
        };
        let failure = configure(&args).unwrap_err();
        assert_eq!(failure.code(), exit::CONFIG);
        let text = failure.render();
        assert!(text.contains("gateway.allowed_origins") && text.contains("gateway.colour"), "{text}");
        assert!(text.contains("directory.text, line"), "{text}");
    }

    #[test]
    fn a_file_that_is_not_there_is_78() {
        let args = ServeArgs {
            config: Some("/nonexistent/serve.toml".into()),
            listen: None,
            directory: None,
            json: false,
            until_stdin_closes: false,
        };
        assert_eq!(configure(&args).unwrap_err().code(), exit::CONFIG);
    }
}
