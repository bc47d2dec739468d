//! `eice policy`: the least-privilege IAM policy for opening terminals.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use eice_proto::{EndpointId, InstanceId, MaxDuration, RemotePort};
use serde::Serialize;

use super::build::{self, HostKeyOptions};
use super::exit;
use super::failure::Failure;
use super::help::{aws_help, exit_help};
use super::progress::{Mode, Progress};
use super::target::{
    AwsArgs, Destination, EndpointArgs, TargetArgs, WORKSPACE_TAG, WorkspaceArgs, load_directory,
};
use crate::aws::Cidr;
use crate::aws::policy::{ArnScope, Describe, Extras, Grant, PolicyDocument, Tag};
use crate::model::{EndpointChoice, InstanceTarget, OsUser};
use crate::ssh;

const HELP: &str = aws_help!(
    "Examples:
  eice policy --region eu-west-1 --account 123456789012 \\
      --endpoint-id eice-0123456789abcdef0 --os-user ubuntu --address 10.0.0.0/16
                                       for every instance that is tagged Role=workspace
  eice policy --region eu-west-1 --account 123456789012 --instance-id i-0123456789abcdef0
  eice policy ubuntu@web-1             for this instance alone; the rest is looked up
  eice policy --directory workspaces.toml --account 123456789012 --doctor

Nothing is asked of AWS unless an instance is named. OpenTunnel is authorised on the endpoint and
SendSSHPublicKey on the instance, so --endpoint-tag reads the tags of the endpoint and --tag those
of the instance. A policy that caps --max-tunnel-duration below 3600 needs the same duration to be
asked for (`eice ssh --max-tunnel-duration`): a request without one counts as 3600.

With --directory there is a policy for each identity that the workspaces use. Where that is one, the
policy itself is printed; otherwise a list of {profile, role_arn, policy}."
);

/// Prints the IAM policy that allows terminals and nothing more.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, after_help = "`eice policy --help` has examples, environment and exit codes.")]
pub(crate) struct PolicyArgs {
    /// Look this instance up, and allow it alone
    #[arg(value_name = "[USER@]INSTANCE", conflicts_with_all = ["instance_id", "account"])]
    destination: Option<Destination>,

    /// Allow every workspace of this TOML file, as `eice serve` reads it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["instance_id", "endpoint_id"])]
    directory: Option<PathBuf>,

    /// Account of instances and endpoints; any when absent
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,

    /// Partition of the ARNs; else the region's
    #[arg(long, value_name = "NAME", value_parser = partition)]
    partition: Option<String>,

    /// Endpoint that may be used, more than once for several; any when absent
    #[arg(long, value_name = "EICE-ID")]
    endpoint_id: Vec<EndpointId>,

    /// Instance that may be reached, more than once for several; any with the tag when absent
    #[arg(long, value_name = "I-ID")]
    instance_id: Vec<InstanceId>,

    /// Tag that an instance must have; Role=workspace when no instance is named
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Option<Tag>,

    /// No tag is asked for
    #[arg(long, conflicts_with = "tag")]
    no_tag: bool,

    /// Tag that an endpoint must have
    #[arg(long, value_name = "KEY=VALUE")]
    endpoint_tag: Option<Tag>,

    /// Login name that may be used, more than once for several; ec2-user when absent
    #[arg(long, short = 'l', value_name = "USER")]
    os_user: Vec<OsUser>,

    /// Port that may be reached, more than once for both; 22 when absent
    #[arg(long, short = 'p', value_name = "PORT")]
    port: Vec<RemotePort>,

    /// Private addresses that may be reached, as a CIDR block, more than once for several; any when absent
    #[arg(long, value_name = "CIDR")]
    address: Vec<Cidr>,

    /// Longest life of a tunnel in seconds, 1 to 3600
    #[arg(long, value_name = "SECONDS")]
    max_tunnel_duration: Option<MaxDuration>,

    /// Allow reading the console output, for host keys
    #[arg(long)]
    console: bool,

    /// Allow what `eice doctor` reads besides
    #[arg(long)]
    doctor: bool,

    /// Instances are named by tag or address; matters with --no-lookup only
    #[arg(long)]
    names: bool,

    /// Endpoint, its DNS name and the private address are always given
    #[arg(long)]
    no_lookup: bool,

    #[command(flatten)]
    aws: AwsArgs,
}

/// A policy and the identity that needs it, if there are several.
#[derive(Serialize)]
struct For {
    profile: Option<String>,
    role_arn: Option<String>,
    policy: PolicyDocument,
}

pub(crate) async fn run(args: PolicyArgs) -> Result<u8, Failure> {
    let policies = match (&args.destination, &args.directory) {
        (Some(destination), _) => vec![args.alone(args.of_instance(destination).await?)],
        (None, Some(_)) => args.of_directory()?,
        (None, None) => vec![args.alone(args.of_options())],
    };
    for policy in
        policies.iter().map(|one| &one.policy).filter(|policy| policy.len() > PolicyDocument::MAX_LEN)
    {
        super::say(&format!(
            "eice: the policy has {} characters without white space; IAM takes {} in a managed one. Name \
             instances by a tag instead of one by one\n",
            policy.len(),
            PolicyDocument::MAX_LEN
        ));
    }
    let text = match policies.as_slice() {
        [one] => serde_json::to_string_pretty(&one.policy),
        several => serde_json::to_string_pretty(several),
    };
    let text =
        text.map_err(|error| Failure::because(exit::INTERNAL, "the policy cannot be written", &error))?;
    io::stdout()
        .lock()
        .write_all(format!("{text}\n").as_bytes())
        .map_err(|error| Failure::because(exit::UNAVAILABLE, "the policy cannot be written", &error))?;
    Ok(exit::OK)
}

impl PolicyArgs {
    fn alone(&self, grants: Vec<Grant>) -> For {
        let policy = PolicyDocument::of(&grants, &self.extras(&grants, self.lookups()));
        For { profile: None, role_arn: None, policy }
    }

    /// Returns a grant for each combination of the options.
    fn of_options(&self) -> Vec<Grant> {
        let region = self.region();
        for (what, option, is_absent) in
            [("region", "--region", region.is_none()), ("account", "--account", self.account.is_none())]
        {
            if is_absent {
                super::say(&format!(
                    "eice: no {what} is given, so every one is allowed; {option} narrows it\n"
                ));
            }
        }
        let mut scope = ArnScope::new(region, self.account.clone());
        scope.partition.clone_from(&self.partition);
        let mut grants = vec![Grant::new(scope, OsUser::default())];
        let users = if self.os_user.is_empty() { vec![OsUser::default()] } else { self.os_user.clone() };
        grants = cross(&grants, &users, |grant, user| grant.os_user = user);
        let some = |ids: &[EndpointId]| ids.iter().cloned().map(Some).collect::<Vec<_>>();
        grants = cross(&grants, &or_any(some(&self.endpoint_id)), |grant, id| grant.endpoint = id);
        let instances = self.instance_id.iter().cloned().map(Some).collect();
        grants = cross(&grants, &or_any(instances), |grant, id| grant.instance = id);
        self.narrowed(grants)
    }

    /// Returns the grants for one instance, after looking it up.
    async fn of_instance(&self, destination: &Destination) -> Result<Vec<Grant>, Failure> {
        let connector =
            build::client_connector(&self.aws, &HostKeyOptions::in_memory(), ssh::Config::default())?;
        if self.endpoint_id.len() > 1 {
            return Err(Failure::new(exit::USAGE, "one instance is reached by one --endpoint-id"));
        }
        let progress = Progress::new(Mode::choose(false, false));
        let to = TargetArgs {
            aws: self.aws.clone(),
            endpoint: EndpointArgs {
                endpoint_id: self.endpoint_id.first().cloned(),
                ..EndpointArgs::default()
            },
            workspaces: WorkspaceArgs {
                directory: self.directory.clone(),
                workspace_tag: WORKSPACE_TAG.to_owned(),
            },
        };
        let user = destination.login(self.os_user.first())?;
        let looking = async {
            let target = to.locate(&connector, &destination.instance, user, &progress).await?;
            let way = connector.tunnel_target(&target, &progress).await?;
            Ok::<_, Failure>((target, way))
        };
        let looked_up = looking.await;
        progress.clear();
        let (target, way) = looked_up?;
        let mut scope = ArnScope::new(Some(way.region), Some(way.account));
        scope.partition.clone_from(&self.partition);
        let mut grant = granted(&target, scope);
        grant.endpoint = Some(way.endpoint);
        grant.addresses = [way.address.into()].into();
        let users = if self.os_user.is_empty() { vec![grant.os_user.clone()] } else { self.os_user.clone() };
        Ok(self.narrowed(cross(&[grant], &users, |grant, user| grant.os_user = user)))
    }

    /// Returns the grants for every workspace of the directory, by identity.
    fn of_directory(&self) -> Result<Vec<For>, Failure> {
        let Some(file) = &self.directory else { return Ok(Vec::new()) };
        let directory = load_directory(file)?;
        let mut targets: BTreeMap<(Option<String>, Option<String>), Vec<InstanceTarget>> = BTreeMap::new();
        let mut roles: BTreeMap<Option<String>, BTreeSet<String>> = BTreeMap::new();
        for workspace in directory.workspaces() {
            let Some(target) = workspace.target.instance() else { continue };
            let account = &target.account;
            if let Some(role) = &account.role_arn {
                roles.entry(account.profile.clone()).or_default().insert(role.clone());
                // The identity that assumes the role needs a policy as well.
                targets.entry((account.profile.clone(), None)).or_default();
            }
            let identity = (account.profile.clone(), account.role_arn.clone());
            targets.entry(identity).or_default().push(target.clone());
        }
        if targets.is_empty() {
            return Err(Failure::new(
                exit::USAGE,
                format!("{} has no workspace on an instance", file.display()),
            ));
        }
        let policies = targets.into_iter().map(|((profile, role_arn), targets)| {
            let grants: Vec<_> =
                targets.iter().map(|target| self.of_target(target, role_arn.as_deref())).collect();
            let grants = self.narrowed(grants);
            let mut describes = BTreeSet::new();
            describes
                .extend(targets.iter().any(InstanceTarget::needs_instance).then_some(Describe::Instances));
            describes.extend(targets.iter().any(|t| !t.endpoint.is_known()).then_some(Describe::Endpoints));
            if self.names && !targets.is_empty() {
                describes.insert(Describe::Instances);
            }
            let mut extras = self.extras(&grants, describes);
            if role_arn.is_none() {
                extras.roles = roles.get(&profile).cloned().unwrap_or_default();
            }
            For { profile, role_arn, policy: PolicyDocument::of(&grants, &extras) }
        });
        Ok(policies.collect())
    }

    fn of_target(&self, target: &InstanceTarget, role_arn: Option<&str>) -> Grant {
        // arn:PARTITION:iam::ACCOUNT:role/NAME
        let part = |n: usize| role_arn.and_then(|arn| arn.split(':').nth(n)).map(str::to_owned);
        let region = target.region.clone().or_else(|| self.region());
        let mut scope = ArnScope::new(region, part(4).or_else(|| self.account.clone()));
        scope.partition = self.partition.clone().or_else(|| part(1).filter(|_| scope.region.is_none()));
        let mut grant = granted(target, scope);
        grant.addresses = target.private_address.map(Cidr::from).into_iter().collect();
        grant
    }

    /// Restricts the grants by the options for ports, addresses and durations.
    fn narrowed(&self, mut grants: Vec<Grant>) -> Vec<Grant> {
        for grant in &mut grants {
            if !self.address.is_empty() {
                grant.addresses = self.address.iter().copied().collect();
            }
            grant.max_duration = self.max_tunnel_duration.unwrap_or(grant.max_duration);
        }
        if self.port.is_empty() {
            grants
        } else {
            cross(&grants, &self.port, |grant, port| grant.port = port)
        }
    }

    fn lookups(&self) -> BTreeSet<Describe> {
        match (self.no_lookup, self.names) {
            (false, _) => [Describe::Instances, Describe::Endpoints].into(),
            (true, true) => [Describe::Instances].into(),
            (true, false) => BTreeSet::new(),
        }
    }

    fn extras(&self, grants: &[Grant], mut describes: BTreeSet<Describe>) -> Extras {
        if self.doctor && !grants.is_empty() {
            describes.insert(Describe::SecurityGroups);
        }
        let is_any = grants.iter().any(|grant| grant.instance.is_none());
        let default = || "Role=workspace".parse().ok();
        let tag = self.tag.clone().or_else(|| default().filter(|_| is_any && !self.no_tag));
        Extras {
            describes,
            console: self.console,
            roles: BTreeSet::new(),
            instance_tag: tag,
            endpoint_tag: self.endpoint_tag.clone(),
        }
    }

    /// Returns the region by option or environment. Profiles are not read, and no API is called.
    fn region(&self) -> Option<String> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.aws.region.clone().or_else(|| var("AWS_REGION")).or_else(|| var("AWS_DEFAULT_REGION"))
    }
}

/// Returns the grant for `target`.
fn granted(target: &InstanceTarget, scope: ArnScope) -> Grant {
    let mut grant = Grant::new(scope, target.os_user.clone());
    grant.instance = Some(target.instance.clone());
    grant.endpoint = match &target.endpoint {
        EndpointChoice::Id(id) | EndpointChoice::Known { id, .. } => Some(id.clone()),
        EndpointChoice::Automatic => None,
    };
    grant.port = target.port;
    grant.max_duration = target.max_duration.unwrap_or(grant.max_duration);
    grant
}

/// Combines each of `grants` with each of `values`.
fn cross<T: Clone>(grants: &[Grant], values: &[T], set: impl Fn(&mut Grant, T)) -> Vec<Grant> {
    let each = |grant: &Grant, value: &T| {
        let mut grant = grant.clone();
        set(&mut grant, value.clone());
        grant
    };
    grants.iter().flat_map(|grant| values.iter().map(move |value| each(grant, value))).collect()
}

/// Returns `ids`, or `None` for any.
fn or_any<T: Clone>(ids: Vec<Option<T>>) -> Vec<Option<T>> {
    if ids.is_empty() { vec![None] } else { ids }
}

fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("an account is twelve digits".to_owned())
    }
}

fn partition(text: &str) -> Result<String, String> {
    if text.len() <= 32
        && text.starts_with("aws")
        && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    {
        Ok(text.to_owned())
    } else {
        Err("a partition reads like aws, aws-cn or aws-us-gov".to_owned())
    }
}
