//! The connector and the AWS client of a command, from its global options.

use std::io::{self, Write};
use std::sync::Arc;

use super::error::{ShimError, from_aws};
use super::globals::Globals;
use super::output;
use super::value::Value;
use crate::aws::{AwsClient, AwsConfig, AwsError, EndpointUrls, Retries};
use crate::cli::build::{self, HostKeyOptions};
use crate::connect::Connector;
use crate::model::Account;
use crate::ssh;

/// How often a call is tried where no setting says otherwise: aws-cli's `standard` retry mode.
const ATTEMPTS: u32 = 3;

/// The service that `--endpoint-url` is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    Ec2,
    Ec2InstanceConnect,
    Sts,
}

/// What a command works with.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connector: Arc<Connector>,
    pub(super) account: Account,
    pub(super) region: Option<String>,
}

impl Session {
    /// Nothing is asked before the first call.
    pub(super) fn new(
        globals: &Globals,
        service: Service,
        keys: &HostKeyOptions,
        ssh: ssh::Config,
    ) -> Result<Self, ShimError> {
        let mut endpoint_urls = EndpointUrls::default();
        let url = globals.endpoint_url.clone();
        match service {
            Service::Ec2 => endpoint_urls.ec2 = url,
            Service::Ec2InstanceConnect => endpoint_urls.ec2_instance_connect = url,
            Service::Sts => endpoint_urls.sts = url,
        }
        let aws = AwsConfig {
            endpoint_urls,
            ca_bundle: globals.ca_bundle.clone(),
            retries: Retries { attempts: ATTEMPTS, ..Retries::default() },
            ..AwsConfig::default()
        };
        let connector = build::connector(aws, globals.ca_bundle.clone(), keys, ssh)
            .map_err(|failure| ShimError::general(failure.message()).with_hint(failure.hint()))?;
        let account = Account::new(globals.profile.clone(), None, None);
        Ok(Self { connector, account, region: globals.region.clone() })
    }

    /// The AWS calls. Credentials are loaded first, so that their absence is reported in aws-cli's words.
    pub(super) async fn client(&self) -> Result<Arc<AwsClient>, ShimError> {
        let client = self.connector.aws().client(&self.account, self.region.as_deref()).await;
        let client = client.map_err(|error| from_aws(&error, ATTEMPTS))?;
        client.credentials().await.map_err(|error| to_shim_error(&client, &error))?;
        Ok(client)
    }
}

/// A call of `client` that failed.
pub(super) fn to_shim_error(client: &AwsClient, error: &AwsError) -> ShimError {
    from_aws(error, client.attempts())
}

/// Writes the answer of `operation` to stdout, as the options ask for.
pub(super) fn answer(globals: &Globals, operation: &str, value: Value) -> Result<(), ShimError> {
    let value = match &globals.query {
        Some(query) => query.search(&value),
        None => value,
    };
    let text = output::render(globals.output()?, operation, &value, globals.color());
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ShimError::general(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
