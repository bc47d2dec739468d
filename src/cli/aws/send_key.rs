//! `aws ec2-instance-connect send-ssh-public-key`.

use super::command::Values;
use super::error::ShimError;
use super::globals::Globals;
use super::session::{Service, Session, to_shim_error, write_response};
use super::value::Value;
use crate::aws::KeyPush;
use crate::cli::build::HostKeyOptions;
use crate::ssh;

/// The minimum lengths of the parameters (the service's API model, which aws-cli validates).
const MIN_LENGTHS: [(&str, &str, usize); 4] = [
    ("--instance-id", "InstanceId", 10),
    ("--instance-os-user", "InstanceOSUser", 1),
    ("--ssh-public-key", "SSHPublicKey", 80),
    ("--availability-zone", "AvailabilityZone", 6),
];

pub(super) async fn run(globals: &Globals, values: &Values) -> Result<u8, ShimError> {
    check(values)?;
    let keys = HostKeyOptions::in_memory();
    let session = Session::new(globals, Service::Ec2InstanceConnect, &keys, ssh::Config::default())?;
    let value = |name: &str| values.raw(name).unwrap_or_default();
    let mut push =
        KeyPush::new(value("--instance-id"), value("--instance-os-user"), value("--ssh-public-key"));
    push.availability_zone = values.raw("--availability-zone");
    let client = session.client().await?;
    let request_id = client.push_key(&push).await.map_err(|error| to_shim_error(&client, &error))?;
    let value = Value::Map(vec![
        ("RequestId".to_owned(), Value::Text(request_id)),
        ("Success".to_owned(), Value::Bool(true)),
    ]);
    write_response(globals, "SendSSHPublicKey", value)?;
    Ok(0)
}

/// Validates the lengths; the service reports all other errors.
fn check(values: &Values) -> Result<(), ShimError> {
    let short = MIN_LENGTHS.iter().filter_map(|(option, parameter, min)| {
        let len = values.raw(option)?.chars().count();
        let message =
            format!("Invalid length for parameter {parameter}, value: {len}, valid min length: {min}");
        (len < *min).then_some(message)
    });
    let short: Vec<String> = short.collect();
    if short.is_empty() {
        Ok(())
    } else {
        Err(ShimError::param(format!("Parameter validation failed:\n{}", short.join("\n"))))
    }
}
