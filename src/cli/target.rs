//! The arguments that name an instance and the way to it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use eice_proto::{EndpointId, InstanceId, MaxDuration, RemotePort};

use super::exit;
use super::failure::Failure;
use crate::terminal::{Account, AddressFamily, EndpointChoice, InstanceTarget, OsUser};

/// Whose AWS account, which region, which servers.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "AWS")]
pub(crate) struct AwsArgs {
    /// AWS region; else AWS_REGION, the profile, the instance's metadata
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Profile of ~/.aws/config; else AWS_PROFILE
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

    /// Port on the instance; AWS serves 22 and 3389
    #[arg(long, visible_alias = "remote-port", short = 'p', value_name = "PORT", default_value = "22")]
    pub(crate) port: RemotePort,

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

/// An instance, perhaps with a login name: `[user@]i-…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The login name before the `@`.
    pub(crate) user: Option<OsUser>,
    /// The instance.
    pub(crate) instance: InstanceId,
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The last `@`: a login name may hold one itself.
        let (user, instance) = match text.rsplit_once('@') {
            Some((user, instance)) => (Some(user.parse::<OsUser>().map_err(|e| e.to_string())?), instance),
            None => (None, text),
        };
        Ok(Self { user, instance: instance.parse::<InstanceId>().map_err(|e| e.to_string())? })
    }
}

/// The target that the arguments name.
pub(crate) fn target(
    instance: InstanceId,
    os_user: Option<OsUser>,
    aws: &AwsArgs,
    endpoint: &EndpointArgs,
) -> Result<InstanceTarget, Failure> {
    let mut target = InstanceTarget::new(instance);
    target.account = Account::new(aws.profile.clone(), aws.role_arn.clone(), aws.external_id.clone());
    target.region.clone_from(&aws.region);
    target.endpoint = match (&endpoint.endpoint_id, &endpoint.endpoint_dns_name) {
        (None, None) => EndpointChoice::Automatic,
        (Some(id), None) => EndpointChoice::Id(id.clone()),
        (Some(id), Some(name)) => EndpointChoice::Known { id: id.clone(), dns_name: name.clone() },
        (None, Some(_)) => {
            return Err(Failure::new(exit::USAGE, "--endpoint-dns-name needs --endpoint-id"));
        }
    };
    target.private_address = endpoint.private_ip_address;
    target.address_family = match endpoint.address_family {
        Family::Any => AddressFamily::Any,
        Family::Ipv4 => AddressFamily::Ipv4,
        Family::Ipv6 => AddressFamily::Ipv6,
    };
    if let Some(user) = os_user {
        target.os_user = user;
    }
    target.port = endpoint.port;
    target.max_duration = endpoint.max_tunnel_duration;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_an_instance_with_or_without_a_user() {
        let plain: Destination = "i-0123456789abcdef0".parse().unwrap();
        assert_eq!(plain.user, None);
        let named: Destination = "ubuntu@i-0123456789abcdef0".parse().unwrap();
        assert_eq!(named.user, Some("ubuntu".parse().unwrap()));
        assert_eq!(named.instance, plain.instance);
        for bad in ["", "@i-1", "ubuntu@", "ubuntu@10.0.0.1", "-oProxyCommand=x@i-1", "i-1;id"] {
            assert!(bad.parse::<Destination>().is_err(), "{bad:?}");
        }
    }
}
