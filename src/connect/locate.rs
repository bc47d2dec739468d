//! Finds the instance id for the name that a user gave.

use std::net::IpAddr;

use eice_proto::InstanceId;

use super::connector::Connector;
use super::explain;
use crate::aws::{AwsClient, Instance, InstanceFilter, InstanceState};
use crate::model::{Account, Fault, InstanceName, Stage, StageError, StageObserver, staged};

/// The most instances that an error lists.
const MAX_LISTED: usize = 8;

/// The tag that EC2 shows as an instance's name.
const NAME_TAG: &str = "Name";

impl Connector {
    /// Returns the instance that `name` refers to in `account` and `region`. A workspace is found by the tag
    /// `workspace_tag`. For an id, AWS is not called.
    ///
    /// A running instance is preferred to stopped ones.
    ///
    /// # Errors
    /// Errors of the stages credentials and instance: a rejected call, no match, or an ambiguous one.
    pub async fn locate(
        &self,
        name: &InstanceName,
        workspace_tag: &str,
        account: &Account,
        region: Option<&str>,
        observer: &dyn StageObserver,
    ) -> Result<InstanceId, StageError> {
        let filter = match name {
            InstanceName::Id(id) => return Ok(id.clone()),
            InstanceName::Address(address) => InstanceFilter::PrivateAddress(*address),
            InstanceName::Workspace(id) => tagged(workspace_tag, id),
            InstanceName::Tag(value) => tagged(NAME_TAG, value),
        };
        let client = self.client(account, region, observer).await?;
        let found = staged(Stage::Instance, observer, client.find_instances(&filter)).await;
        let found = found.map_err(|error| explain::from_aws_call(Stage::Instance, error))?;
        the_one(&found, name, workspace_tag, &client).map(|instance| instance.id.clone())
    }
}

fn tagged(key: &str, value: &str) -> InstanceFilter {
    InstanceFilter::Tag { key: key.to_owned(), value: value.to_owned() }
}

/// Returns the only one of `found`, or the only one that runs.
fn the_one<'a>(
    found: &'a [Instance],
    name: &InstanceName,
    workspace_tag: &str,
    client: &AwsClient,
) -> Result<&'a Instance, StageError> {
    let running: Vec<_> = found.iter().filter(|i| i.state == InstanceState::Running).collect();
    let wanted = match name {
        InstanceName::Id(id) => format!("the id {id}"),
        InstanceName::Address(IpAddr::V4(address)) => format!("the private address {address}"),
        InstanceName::Address(IpAddr::V6(address)) => format!("the address {address}"),
        InstanceName::Workspace(id) => format!("the tag {workspace_tag}={id}"),
        InstanceName::Tag(value) => format!("the tag {NAME_TAG}={value}"),
    };
    match (running.as_slice(), found) {
        ([one], _) => Ok(one),
        ([], [one]) => Ok(one),
        ([], []) => {
            let message = format!("no instance in {} has {wanted}", client.region());
            let hint = match name {
                InstanceName::Workspace(_) => {
                    "name it by its instance id, or give a directory of workspaces with --directory"
                }
                _ => "check spelling, region and profile; names are case-sensitive",
            };
            Err(StageError::new(Stage::Instance, Fault::NotFound, message).with_hint(hint))
        }
        ([], several) => Err(ambiguous(&wanted, several.iter())),
        (several, _) => Err(ambiguous(&wanted, several.iter().copied())),
    }
}

fn ambiguous<'a>(wanted: &str, found: impl Iterator<Item = &'a Instance>) -> StageError {
    let mut listed: Vec<String> = found.map(|i| format!("{} ({})", i.id, i.state)).collect();
    let count = listed.len();
    if count > MAX_LISTED {
        listed.truncate(MAX_LISTED);
        listed.push("…".to_owned());
    }
    let message = format!("{count} instances have {wanted}: {}", listed.join(", "));
    StageError::new(Stage::Instance, Fault::Usage, message).with_hint("name the one you mean by its id")
}
