//! Builds the connector and the AWS client of a command from its global options.

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

/// The default number of attempts: that of aws-cli's `standard` retry mode.
const ATTEMPTS: u32 = 3;

/// The service that `--endpoint-url` applies to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    Ec2,
    Ec2InstanceConnect,
    Sts,
}

/// The connector and settings of a command.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connector: Arc<Connector>,
    pub(super) account: Account,
    pub(super) region: Option<String>,
}

impl Session {
    /// Creates a session. Nothing is requested before the first call.
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

    /// Returns the AWS client. Credentials are loaded first, so that missing ones are reported with aws-cli's
    /// message.
    pub(super) async fn client(&self) -> Result<Arc<AwsClient>, ShimError> {
        let client = self.connector.aws().client(&self.account, self.region.as_deref()).await;
        let client = client.map_err(|error| from_aws(&error, ATTEMPTS))?;
        client.credentials().await.map_err(|error| to_shim_error(&client, &error))?;
        Ok(client)
    }
}

/// Converts the error of a call of `client`.
pub(super) fn to_shim_error(client: &AwsClient, error: &AwsError) -> ShimError {
    from_aws(error, client.attempts())
}

/// Writes the response of `operation` to stdout, filtered and formatted by the options.
pub(super) fn write_response(globals: &Globals, operation: &str, value: Value) -> Result<(), ShimError> {
    let value = match &globals.query {
        Some(query) => query.search(&value),
        None => value,
    };
    let text = output::render(globals.output()?, operation, &value, globals.color());
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // The reader has closed the pipe on purpose.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ShimError::general(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
