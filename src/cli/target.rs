//! The arguments that name an instance and the way to it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use eice_proto::{EndpointId, MaxDuration, RemotePort};

use super::exit;
use super::failure::Failure;
use crate::connect::Connector;
use crate::model::{
    Account, AddressFamily, EndpointChoice, InstanceName, InstanceTarget, OsUser, StageError, StageObserver,
    Target,
};
use crate::workspace::{Directory, FileDirectory, WorkspaceId};

/// Whose AWS account, which region, which servers.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "AWS")]
pub(crate) struct AwsArgs {
    /// AWS region; else AWS_REGION, the profile, the instance's metadata
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Profile of ~/.aws/config, with its own credentials; else AWS_PROFILE
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// Role to assume first
    #[arg(long, value_name = "ARN")]
    pub(crate) role_arn: Option<String>,

    /// External id that the role's trust policy asks for
    #[arg(long, value_name = "ID", requires = "role_arn")]
    pub(crate) external_id: Option<String>,

    /// Where the AWS APIs answer, for all services; else AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_SERVICE
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,

    /// PEM file of certificate authorities to trust besides the system's; else AWS_CA_BUNDLE
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_bundle: Option<PathBuf>,
}

/// Which endpoint and which address.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Endpoint")]
pub(crate) struct EndpointArgs {
    /// Endpoint to use; else one in the instance's subnet, else the first in its VPC
    #[arg(long, visible_alias = "instance-connect-endpoint-id", value_name = "EICE-ID")]
    pub(crate) endpoint_id: Option<EndpointId>,

    /// DNS name of that endpoint, with :PORT where it is not 443; spares DescribeInstanceConnectEndpoints
    #[arg(
        long,
        visible_alias = "instance-connect-endpoint-dns-name",
        value_name = "NAME",
        requires = "endpoint_id"
    )]
    pub(crate) endpoint_dns_name: Option<String>,

    /// The instance's private address; with both options above nothing is looked up
    #[arg(long, value_name = "IP")]
    pub(crate) private_ip_address: Option<IpAddr>,

    /// Which of the instance's addresses
    #[arg(long, value_enum, default_value_t = Family::Any, value_name = "FAMILY")]
    pub(crate) address_family: Family,

    /// Port on the instance, 22 when absent; AWS serves 22 and 3389
    #[arg(long, visible_alias = "remote-port", short = 'p', value_name = "PORT")]
    pub(crate) port: Option<RemotePort>,

    /// Longest life of the tunnel in seconds, 1 to 3600; needed where a policy caps it
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_tunnel_duration: Option<MaxDuration>,
}

/// An address family by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    /// IPv4 where there is one, else IPv6
    #[default]
    Any,
    /// IPv4 only
    Ipv4,
    /// IPv6 only
    Ipv6,
}

/// Everything that leads to an instance, once it is named.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(crate) aws: AwsArgs,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,

    #[command(flatten)]
    pub(crate) workspaces: WorkspaceArgs,
}

/// How workspaces are found.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Workspaces")]
pub(crate) struct WorkspaceArgs {
    /// TOML file of workspaces, as `eice serve` reads it: an id then stands for all that the file says of it
    #[arg(long, value_name = "FILE", env = "EICE_DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,

    /// Tag that holds an instance's workspace id, where no directory is given
    #[arg(long, value_name = "KEY", env = "EICE_WORKSPACE_TAG", default_value = WORKSPACE_TAG)]
    pub(crate) workspace_tag: String,
}

/// The tag that a workspace is looked for by.
pub(crate) const WORKSPACE_TAG: &str = "WorkspaceId";

/// An instance, perhaps with a login name: `[user@]instance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The login name before the `@`.
    pub(crate) user: Option<OsUser>,
    /// The instance.
    pub(crate) instance: InstanceName,
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The last `@`: a login name may hold one itself.
        let (user, instance) = match text.rsplit_once('@') {
            Some((user, instance)) => (Some(user.parse::<OsUser>().map_err(|e| e.to_string())?), instance),
            None => (None, text),
        };
        Ok(Self { user, instance: instance.parse::<InstanceName>().map_err(|e| e.to_string())? })
    }
}

impl Destination {
    /// The login name, whether it stands before the `@` or is an option of its own.
    ///
    /// # Errors
    /// When both are given and differ.
    pub(crate) fn login(&self, option: Option<&OsUser>) -> Result<Option<OsUser>, Failure> {
        match (&self.user, option) {
            (Some(a), Some(b)) if a != b => {
                Err(Failure::new(exit::USAGE, format!("the login name is both {a} and {b}")))
            }
            (a, b) => Ok(a.as_ref().or(b).cloned()),
        }
    }
}

impl TargetArgs {
    /// The same as words of a command line, save for the port. `path` writes a path.
    ///
    /// # Errors
    /// Those of `path`.
    pub(crate) fn to_arguments(
        &self,
        path: impl Fn(&Path) -> Result<String, Failure>,
    ) -> Result<Vec<String>, Failure> {
        // Every field by its name: one that is added must be added here.
        let Self { aws, endpoint, workspaces } = self;
        let AwsArgs { region, profile, role_arn, external_id, endpoint_url, ca_bundle } = aws;
        let EndpointArgs {
            endpoint_id,
            endpoint_dns_name,
            private_ip_address,
            address_family,
            port: _,
            max_tunnel_duration,
        } = endpoint;
        let WorkspaceArgs { directory, workspace_tag } = workspaces;
        let family = match address_family {
            Family::Any => None,
            Family::Ipv4 => Some("ipv4".to_owned()),
            Family::Ipv6 => Some("ipv6".to_owned()),
        };
        let tag =
            (workspace_tag != WORKSPACE_TAG && !workspace_tag.is_empty()).then(|| workspace_tag.clone());
        let values = [
            ("region", region.clone()),
            ("profile", profile.clone()),
            ("role-arn", role_arn.clone()),
            ("external-id", external_id.clone()),
            ("endpoint-url", endpoint_url.clone()),
            ("ca-bundle", ca_bundle.as_deref().map(&path).transpose()?),
            ("endpoint-id", endpoint_id.as_ref().map(ToString::to_string)),
            ("endpoint-dns-name", endpoint_dns_name.clone()),
            ("private-ip-address", private_ip_address.map(|address| address.to_string())),
            ("address-family", family),
            ("max-tunnel-duration", max_tunnel_duration.map(|duration| duration.to_string())),
            ("directory", directory.as_deref().map(&path).transpose()?),
            ("workspace-tag", tag),
        ];
        let given = values.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?)));
        Ok(given.collect())
    }

    /// The target that `name` means: from the directory, by a look-up, or as it stands. What the command line says
    /// goes before what the directory says.
    ///
    /// # Errors
    /// There is none, or several, or the lookup failed.
    pub(crate) async fn locate(
        &self,
        connector: &Connector,
        name: &InstanceName,
        os_user: Option<OsUser>,
        observer: &dyn StageObserver,
    ) -> Result<InstanceTarget, Failure> {
        Ok(self.try_locate(connector, name, os_user, observer).await??)
    }

    /// The same, with a failure of AWS's apart from one of the command line or the directory.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub(crate) async fn try_locate(
        &self,
        connector: &Connector,
        name: &InstanceName,
        os_user: Option<OsUser>,
        observer: &dyn StageObserver,
    ) -> Result<Result<InstanceTarget, StageError>, Failure> {
        let mut target = match self.in_directory(name).await? {
            Some(target) => target,
            None => {
                let (account, region) = (self.account(), self.aws.region.as_deref());
                let tag = &self.workspaces.workspace_tag;
                match connector.locate(name, tag, &account, region, observer).await {
                    Ok(id) => InstanceTarget::new(id),
                    Err(error) => return Ok(Err(error)),
                }
            }
        };
        self.apply(&mut target)?;
        if let Some(user) = os_user {
            target.os_user = user;
        }
        Ok(Ok(target))
    }

    /// Whose credentials are asked for.
    pub(crate) fn account(&self) -> Account {
        let aws = &self.aws;
        Account::new(aws.profile.clone(), aws.role_arn.clone(), aws.external_id.clone())
    }

    /// What the directory says of `name`, where there is one and `name` is a workspace's id.
    async fn in_directory(&self, name: &InstanceName) -> Result<Option<InstanceTarget>, Failure> {
        let (Some(file), InstanceName::Workspace(id)) = (&self.workspaces.directory, name) else {
            return Ok(None);
        };
        let (place, directory) = (file.display(), load_directory(file)?);
        let id: WorkspaceId = id
            .parse()
            .map_err(|error| Failure::because(exit::USAGE, format!("{id} is no workspace"), &error))?;
        let found = directory.find(id).await.map_err(|error| {
            Failure::because(exit::UNAVAILABLE, format!("{place} cannot be asked"), &error)
        })?;
        let workspace = found.ok_or_else(|| {
            Failure::new(exit::NOT_FOUND, format!("{place} has no workspace {id}"))
                .with_hint("add it there, or leave --directory out to look for an instance with its tag")
        })?;
        match workspace.target {
            Target::Instance(target) => Ok(Some(*target)),
            Target::Local(_) => Err(Failure::new(
                exit::USAGE,
                format!("the workspace {id} of {place} is a container beside the gateway, not an instance"),
            )),
        }
    }

    /// Writes what the command line says over `target`.
    fn apply(&self, target: &mut InstanceTarget) -> Result<(), Failure> {
        let account = self.account();
        if account != Account::default() {
            target.account = account;
        }
        if self.aws.region.is_some() {
            target.region.clone_from(&self.aws.region);
        }
        let endpoint = &self.endpoint;
        match (&endpoint.endpoint_id, &endpoint.endpoint_dns_name) {
            (None, None) => {}
            (Some(id), None) => target.endpoint = EndpointChoice::Id(id.clone()),
            (Some(id), Some(name)) => {
                target.endpoint = EndpointChoice::Known { id: id.clone(), dns_name: name.clone() };
            }
            (None, Some(_)) => {
                return Err(Failure::new(exit::USAGE, "--endpoint-dns-name needs --endpoint-id"));
            }
        }
        if endpoint.private_ip_address.is_some() {
            target.private_address = endpoint.private_ip_address;
        }
        match endpoint.address_family {
            Family::Any => {}
            Family::Ipv4 => target.address_family = AddressFamily::Ipv4,
            Family::Ipv6 => target.address_family = AddressFamily::Ipv6,
        }
        if let Some(port) = endpoint.port {
            target.port = port;
        }
        if endpoint.max_tunnel_duration.is_some() {
            target.max_duration = endpoint.max_tunnel_duration;
        }
        Ok(())
    }
}

/// The directory in `file`.
pub(crate) fn load_directory(file: &Path) -> Result<FileDirectory, Failure> {
    FileDirectory::load(file).map_err(|error| {
        let message = format!("the directory of workspaces {} cannot be used", file.display());
        Failure::because(exit::CONFIG, message, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_may_name_a_user() {
        let plain: Destination = "i-0123456789abcdef0".parse().unwrap();
        assert_eq!(plain.user, None);
        let named: Destination = "ubuntu@i-0123456789abcdef0".parse().unwrap();
        assert_eq!(named.user, Some("ubuntu".parse().unwrap()));
        assert_eq!(named.instance, plain.instance);
        let tagged: Destination = "ubuntu@web server".parse().unwrap();
        assert_eq!(tagged.instance, InstanceName::Tag("web server".into()));
        for bad in ["", "@i-1", "ubuntu@", "-oProxyCommand=x@i-1", "i-1;id"] {
            assert!(bad.parse::<Destination>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn two_login_names_must_be_one() {
        let destination: Destination = "ubuntu@i-1".parse().unwrap();
        let user = |name: &str| name.parse::<OsUser>().unwrap();
        assert_eq!(destination.login(None).unwrap(), Some(user("ubuntu")));
        assert_eq!(destination.login(Some(&user("ubuntu"))).unwrap(), Some(user("ubuntu")));
        assert_eq!(destination.login(Some(&user("root"))).unwrap_err().code(), exit::USAGE);
        assert_eq!("i-1".parse::<Destination>().unwrap().login(None).unwrap(), None);
    }

    #[tokio::test]
    async fn directory_workspace_sets_the_target() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let id = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";
        let text = format!(
            "[[workspace]]\nid = \"{id}\"\nname = \"a\"\ninstance = \"i-1\"\nos_user = \"ubuntu\"\n\
             region = \"eu-west-1\"\ncontainer = \"web\"\n"
        );
        std::fs::write(file.path(), text).unwrap();
        let workspaces =
            WorkspaceArgs { directory: Some(file.path().to_owned()), ..WorkspaceArgs::default() };
        let args = TargetArgs { workspaces, ..TargetArgs::default() };
        let found = args.in_directory(&id.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((found.instance.as_str(), found.os_user.as_str()), ("i-1", "ubuntu"));
        assert!(matches!(found.shell, crate::model::Shell::Container(_)));
        let mut overridden = found.clone();
        let aws = AwsArgs { region: Some("us-east-1".into()), ..AwsArgs::default() };
        TargetArgs { aws, ..args.clone() }.apply(&mut overridden).unwrap();
        assert_eq!(overridden.region.as_deref(), Some("us-east-1"));
        assert_eq!(overridden.os_user, found.os_user);

        let unknown = "1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9".parse().unwrap();
        assert_eq!(args.in_directory(&unknown).await.unwrap_err().code(), exit::NOT_FOUND);
        assert!(args.in_directory(&"i-1".parse().unwrap()).await.unwrap().is_none());
        std::fs::write(file.path(), "[[workspace]]\n").unwrap();
        assert_eq!(args.in_directory(&id.parse().unwrap()).await.unwrap_err().code(), exit::CONFIG);
    }
}
