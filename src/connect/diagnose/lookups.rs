//! Looks up the caller, the instance and the endpoint.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::diagnosis::Diagnosis;
use crate::aws::policy::{ArnScope, Describe, Grant, lookup_statement};
use crate::aws::{
    AwsClient, AwsError, ChoiceError, ChosenEndpoint, Endpoint, EndpointQuery, Instance, InstanceState,
    RouteRequest,
};
use crate::connect::explain;
use crate::connect::route::route_request;
use crate::model::{
    Account, Check, CheckOutcome, CheckResult, EndpointChoice, Fault, Fix, InstanceTarget, Stage, staged,
};

/// The time limit for STS to identify the caller. If STS is unreachable, the rest may still work.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// The most other endpoints that a message lists.
const MAX_LISTED: usize = 4;

/// The endpoint found for the instance.
pub(super) struct Found {
    /// The endpoint and the address to use.
    pub(super) chosen: Option<ChosenEndpoint>,
    /// The endpoint's description.
    pub(super) endpoint: Option<Endpoint>,
}

impl Diagnosis<'_> {
    pub(super) async fn credentials(
        &mut self,
        account: &Account,
        region: Option<&str>,
    ) -> Option<Arc<AwsClient>> {
        self.begin(Check::Credentials);
        let client = match self.connector.client(account, region, &self.stages).await {
            Ok(client) => client,
            Err(error) => {
                self.put(CheckResult::failed(Check::Credentials, &error).after(self.took()));
                return None;
            }
        };
        self.subject.region = Some(client.region().to_owned());
        let response = timeout(IDENTITY_TIMEOUT, client.caller_identity()).await;
        let took = self.took();
        match response {
            Ok(Ok(identity)) => {
                let message = format!("{} in {}", identity.arn, client.region());
                let step = CheckResult::new(Check::Credentials, CheckOutcome::Passed, message);
                self.put(step.after(took).with_request_id(identity.request_id));
                self.subject.account = Some(identity.account);
                self.subject.caller = Some(identity.arn);
            }
            Ok(Err(error)) if error.fault() == Fault::Credentials => {
                let error = explain::from_aws_call(Stage::Credentials, error);
                let mut step = CheckResult::failed(Check::Credentials, &error).after(took);
                if let Some(hint) = &mut step.hint {
                    hint.push_str(&format!("; the region is {}", client.region()));
                }
                self.put(step);
                return None;
            }
            Ok(Err(error)) => {
                let error = explain::from_aws_call(Stage::Credentials, error);
                let mut step = CheckResult::failed(Check::Credentials, &error).after(took);
                (step.outcome, step.fault) = (CheckOutcome::Warned, None);
                step.message = format!(
                    "there are credentials, but the caller could not be identified: {}",
                    step.message
                );
                self.put(step);
            }
            Err(_) => {
                let message = format!(
                    "there are credentials, but STS did not identify the caller within {} s",
                    IDENTITY_TIMEOUT.as_secs()
                );
                self.put(CheckResult::new(Check::Credentials, CheckOutcome::Warned, message).after(took));
            }
        }
        Some(client)
    }

    pub(super) async fn instance(&mut self, client: &AwsClient, target: &InstanceTarget) -> Option<Instance> {
        self.begin(Check::Instance);
        let call = client.describe_instance(&target.instance);
        let response = staged(Stage::Instance, &self.stages, call).await;
        let took = self.took();
        let answer = match response {
            Ok(answer) => answer,
            Err(error) => {
                self.lookup_failed(Check::Instance, error, target, client, target.needs_instance());
                if self.has_warned(Check::Instance) {
                    self.skip(Check::InstanceState, "the instance could not be looked up");
                }
                return None;
            }
        };
        let instance = answer.value;
        let place = [instance.vpc_id.clone(), instance.subnet_id.clone()].into_iter().flatten();
        let addresses = [instance.private_ipv4, instance.ipv6].into_iter().flatten().map(|ip| ip.to_string());
        let known: Vec<_> = place.chain(addresses).collect();
        let message = format!("{} {}", instance.id, known.join(", "));
        let step = CheckResult::new(Check::Instance, CheckOutcome::Passed, message);
        self.put(step.after(took).with_request_id(answer.request_id));
        if instance.state == InstanceState::Running {
            self.pass(Check::InstanceState, None, "running");
        } else {
            let error = ChoiceError::InstanceState { id: instance.id.clone(), state: instance.state.clone() };
            let error = explain::from_aws(Stage::Instance, error.into(), target, Some(client.region()));
            self.put(CheckResult::failed(Check::InstanceState, &error));
        }
        Some(instance)
    }

    pub(super) async fn endpoint(
        &mut self,
        client: &AwsClient,
        target: &InstanceTarget,
        instance: Option<&Instance>,
    ) -> Found {
        self.begin(Check::Endpoint);
        // A stopped instance is reported already and does not prevent the other checks.
        let running = instance.map(|instance| Instance { state: InstanceState::Running, ..instance.clone() });
        let request = route_request(target, running.as_ref());
        let vpc_id = instance.and_then(|instance| instance.vpc_id.as_deref());
        let query = match (&target.endpoint, vpc_id) {
            (EndpointChoice::Id(id) | EndpointChoice::Known { id, .. }, _) => {
                EndpointQuery::by_id(id.clone())
            }
            (EndpointChoice::Automatic, Some(vpc_id)) => EndpointQuery::in_vpc(vpc_id),
            (EndpointChoice::Automatic, None) => EndpointQuery::all(),
        };
        let query = query.any_state();
        let call = client.describe_endpoints(&query);
        let response = staged(Stage::Endpoint, &self.stages, call).await;
        let took = self.took();
        let answer = match response {
            Ok(answer) => answer,
            Err(error) => {
                let is_known = target.endpoint.is_known();
                self.lookup_failed(Check::Endpoint, error, target, client, !is_known);
                if !self.has_warned(Check::Endpoint) {
                    return Found { chosen: None, endpoint: None };
                }
                for check in [Check::EndpointState, Check::AddressFamily] {
                    self.skip(check, "the endpoint could not be looked up");
                }
                let chosen = client.choose(&request, &[]).ok();
                self.choose(chosen.as_ref());
                return Found { chosen, endpoint: None };
            }
        };
        let seen = CheckResult::new(Check::Endpoint, CheckOutcome::Passed, "")
            .after(took)
            .with_request_id(answer.request_id);
        self.put(seen);
        match judge(client, target, &request, &answer.value) {
            Ok(chosen) => {
                let endpoint = answer.value.iter().find(|endpoint| endpoint.id == chosen.id).cloned();
                self.endpoint_passed(&chosen, endpoint.as_ref(), &answer.value);
                Found { chosen: Some(chosen), endpoint }
            }
            Err(error) => {
                self.endpoint_failed(error, target, client, &answer.value);
                Found { chosen: None, endpoint: None }
            }
        }
    }

    fn choose(&mut self, chosen: Option<&ChosenEndpoint>) {
        self.subject.endpoint = chosen.map(|chosen| chosen.id.to_string());
        self.subject.address = chosen.map(|chosen| chosen.address);
    }

    fn has_warned(&self, check: Check) -> bool {
        self.steps.get(&check).is_some_and(|step| step.outcome == CheckOutcome::Warned)
    }

    fn endpoint_passed(&mut self, chosen: &ChosenEndpoint, endpoint: Option<&Endpoint>, all: &[Endpoint]) {
        self.choose(Some(chosen));
        let place =
            endpoint.and_then(|endpoint| endpoint.subnet_id.as_deref()).unwrap_or("an unknown subnet");
        self.say(Check::Endpoint, format!("{} in {place}", chosen.id));
        let Some(endpoint) = endpoint else { return };
        let others: Vec<_> = all
            .iter()
            .filter(|other| other.id != endpoint.id && !other.state.is_usable())
            .take(MAX_LISTED)
            .map(|other| format!("; {} is {} and is ignored", other.id, other.state))
            .collect();
        self.pass(Check::EndpointState, None, format!("{}{}", endpoint.state, others.concat()));
        let carries = endpoint.ip_address_type.as_str();
        self.pass(Check::AddressFamily, None, format!("{carries} endpoint, {}", chosen.address));
    }

    /// Reports which check of the endpoint failed.
    fn endpoint_failed(
        &mut self,
        error: ChoiceError,
        target: &InstanceTarget,
        client: &AwsClient,
        all: &[Endpoint],
    ) {
        if let ChoiceError::NoVpc = error {
            let message = match (&target.endpoint, all.len()) {
                (EndpointChoice::Automatic, count) => {
                    format!(
                        "{count} in the region; without the instance it is unknown which of them serves it"
                    )
                }
                _ => "it exists; the instance's private address is unknown".to_owned(),
            };
            self.say(Check::Endpoint, message);
            return;
        }
        let check = match &error {
            ChoiceError::BeingCreated { .. }
            | ChoiceError::EndpointState { .. }
            | ChoiceError::NoName { .. } => Check::EndpointState,
            ChoiceError::AddressFamily { .. } | ChoiceError::NoAddress { .. } => Check::AddressFamily,
            _ => Check::Endpoint,
        };
        let state_of = |error: &ChoiceError| match error {
            ChoiceError::BeingCreated { id }
            | ChoiceError::EndpointState { id, .. }
            | ChoiceError::NoName { id }
            | ChoiceError::AddressFamily { id, .. } => all.iter().find(|endpoint| endpoint.id == *id),
            _ => None,
        };
        if let Some(endpoint) = state_of(&error) {
            self.subject.endpoint = Some(endpoint.id.to_string());
            self.say(Check::Endpoint, endpoint.id.as_str());
            if check == Check::AddressFamily {
                self.pass(Check::EndpointState, None, endpoint.state.to_string());
            }
        }
        let reason = match &error {
            ChoiceError::EndpointState { message: Some(message), .. } => Some(message.clone()),
            _ => None,
        };
        let before = self.steps.get(&check).cloned();
        let error = explain::from_aws(Stage::Endpoint, AwsError::from(error), target, Some(client.region()));
        let mut step = CheckResult::failed(check, &error);
        if let Some(reason) = reason {
            step.message = format!("{}: AWS says {reason:?}", step.message);
        }
        if let Some(before) = before {
            step = step.after(before.took).with_request_id(before.request_id);
        }
        self.put(step);
    }

    /// Reports a failed describe call; if connecting does not need it, a denied one is only a warning.
    fn lookup_failed(
        &mut self,
        check: Check,
        error: AwsError,
        target: &InstanceTarget,
        client: &AwsClient,
        is_needed: bool,
    ) {
        let stage = if check == Check::Instance { Stage::Instance } else { Stage::Endpoint };
        let error = explain::from_aws(stage, error, target, Some(client.region()));
        let mut step = CheckResult::failed(check, &error).after(self.took());
        if error.fault() == Fault::NotFound {
            let account = self.subject.account.as_deref().unwrap_or("unknown");
            step.hint =
                Some(format!("check the id, the region ({}) and the account ({account})", client.region()));
        }
        step = self.with_lookup_fix(step, error.fault());
        if !is_needed && error.fault() == Fault::Denied {
            (step.outcome, step.fault) = (CheckOutcome::Warned, None);
            step.message.push_str("; it is not needed, since endpoint and address are given");
        }
        self.put(step);
    }

    /// Adds the permission for the describe calls of connecting, if one was denied.
    pub(super) fn with_lookup_fix(&self, step: CheckResult, fault: Fault) -> CheckResult {
        let describe = match step.name {
            Check::Instance => Describe::Instances,
            Check::Endpoint => Describe::Endpoints,
            Check::SecurityGroups => Describe::SecurityGroups,
            _ => return step,
        };
        if fault != Fault::Denied {
            return step;
        }
        step.with_fix(Fix::IamStatement { statement: lookup_statement(&BTreeSet::from([describe])) })
    }

    /// Returns the grant for exactly this connection.
    pub(super) fn grant(
        &self,
        client: &AwsClient,
        target: &InstanceTarget,
        instance: Option<&Instance>,
    ) -> Grant {
        let scope = ArnScope::new(Some(client.region().to_owned()), self.account(instance));
        let mut grant = Grant::new(scope, target.os_user.clone());
        grant.instance = Some(target.instance.clone());
        grant.port = target.port;
        grant.max_duration = target.max_duration.unwrap_or(grant.max_duration);
        grant
    }

    /// Adds the tag that a policy may require to `step`, if `resource` does not carry it.
    pub(super) fn with_tag_fix(
        &self,
        step: CheckResult,
        resource: &str,
        value: impl Fn(&str) -> Option<String>,
    ) -> CheckResult {
        match &self.options.tag {
            Some(tag) if value(&tag.key).as_deref() != Some(&tag.value) => step.with_fix(Fix::Tag {
                resource: resource.to_owned(),
                key: tag.key.clone(),
                value: tag.value.clone(),
            }),
            _ => step,
        }
    }
}

/// Makes the same choice as the connector. An endpoint given by the caller is checked like one that is looked
/// up, and then used with the given name.
fn judge(
    client: &AwsClient,
    target: &InstanceTarget,
    request: &RouteRequest<'_>,
    all: &[Endpoint],
) -> Result<ChosenEndpoint, ChoiceError> {
    if let EndpointChoice::Known { id, .. } = &target.endpoint {
        let by_id = EndpointChoice::Id(id.clone());
        let mut looked_up = request.clone();
        looked_up.endpoint = &by_id;
        match client.choose(&looked_up, all) {
            Ok(_) | Err(ChoiceError::NoName { .. } | ChoiceError::NoFipsName { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    client.choose(request, all)
}
