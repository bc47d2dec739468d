//! `aws sts get-caller-identity`.

use super::error::ShimError;
use super::globals::Globals;
use super::session::{Service, Session, to_shim_error, write_response};
use super::value::Value;
use crate::cli::build::HostKeyOptions;
use crate::ssh;

pub(super) async fn run(globals: &Globals) -> Result<u8, ShimError> {
    let session = Session::new(globals, Service::Sts, &HostKeyOptions::in_memory(), ssh::Config::default())?;
    let client = session.client().await?;
    let identity = client.caller_identity().await.map_err(|error| to_shim_error(&client, &error))?;
    let entry = |key: &str, value: String| (key.to_owned(), Value::Text(value));
    let value = Value::Map(vec![
        entry("UserId", identity.user_id),
        entry("Account", identity.account),
        entry("Arn", identity.arn),
    ]);
    write_response(globals, "GetCallerIdentity", value)?;
    Ok(0)
}
