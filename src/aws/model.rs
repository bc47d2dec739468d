//! Instances and endpoints, as far as a tunnel needs them.

use std::net::IpAddr;

use eice_proto::{EndpointId, InstanceId};

/// An instance, from `DescribeInstances`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its state: `running`, `stopped` and so on.
    pub state: InstanceState,
    /// The account that owns it.
    pub owner: Option<String>,
    /// Its primary private IPv4 address.
    pub private_ipv4: Option<IpAddr>,
    /// Its primary IPv6 address.
    pub ipv6: Option<IpAddr>,
    /// Its public IPv4 address.
    pub public_ipv4: Option<IpAddr>,
    /// Its VPC. A terminated instance has none.
    pub vpc_id: Option<String>,
    /// Its subnet. A terminated instance has none.
    pub subnet_id: Option<String>,
    /// Its availability zone.
    pub availability_zone: Option<String>,
    /// `windows`, or absent.
    pub platform: Option<String>,
    /// Its security groups' ids.
    pub security_groups: Vec<String>,
    /// Its tags, in the order of the answer.
    pub tags: Vec<(String, String)>,
}

impl Instance {
    /// Creates an instance `id` in `state`, all other fields empty.
    #[must_use]
    pub fn new(id: InstanceId, state: InstanceState) -> Self {
        Self {
            id,
            state,
            owner: None,
            private_ipv4: None,
            ipv6: None,
            public_ipv4: None,
            vpc_id: None,
            subnet_id: None,
            availability_zone: None,
            platform: None,
            security_groups: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Returns the value of the tag `key`.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        tag(&self.tags, key)
    }
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A value unknown to this version.
            Other(String),
        }

        impl $name {
            /// Returns AWS's name for it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.chars().take(MAX_WORD_LEN).collect()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.as_str().escape_default())
            }
        }
    };
}

/// The maximum length of an unknown value, in characters.
const MAX_WORD_LEN: usize = 64;

states! {
    /// The state of an instance.
    InstanceState {
        /// It is starting.
        Pending = "pending",
        /// It is running.
        Running = "running",
        /// It is being terminated.
        ShuttingDown = "shutting-down",
        /// It is terminated.
        Terminated = "terminated",
        /// It is stopping.
        Stopping = "stopping",
        /// It is stopped.
        Stopped = "stopped",
    }
}

states! {
    /// The state of an endpoint.
    EndpointState {
        /// It is being created.
        CreateInProgress = "create-in-progress",
        /// It is ready.
        CreateComplete = "create-complete",
        /// Creation failed.
        CreateFailed = "create-failed",
        /// It is being deleted.
        DeleteInProgress = "delete-in-progress",
        /// It is deleted.
        DeleteComplete = "delete-complete",
        /// Deletion failed.
        DeleteFailed = "delete-failed",
        /// It is being modified and remains usable.
        UpdateInProgress = "update-in-progress",
        /// It was modified.
        UpdateComplete = "update-complete",
        /// A modification failed; it works as before.
        UpdateFailed = "update-failed",
    }
}

impl EndpointState {
    /// The states that allow a tunnel, in the order of aws-cli's filter (`eicefetcher.py`; protocol reference,
    /// section e).
    pub const USABLE: [Self; 4] =
        [Self::CreateComplete, Self::UpdateInProgress, Self::UpdateFailed, Self::UpdateComplete];

    /// Returns whether this state allows a tunnel.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        Self::USABLE.contains(self)
    }
}

/// The address families an endpoint carries: its `ipAddressType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpAddressType {
    /// IPv4 targets only.
    Ipv4,
    /// Both.
    Dualstack,
    /// IPv6 targets only.
    Ipv6,
    /// Absent or unknown to this version: no family is ruled out.
    #[default]
    Unknown,
}

impl IpAddressType {
    /// Returns whether an endpoint of this type carries `address`.
    #[must_use]
    pub fn carries(self, address: IpAddr) -> bool {
        match self {
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
            Self::Dualstack | Self::Unknown => true,
        }
    }

    /// Returns AWS's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Dualstack => "dualstack",
            Self::Ipv6 => "ipv6",
            Self::Unknown => "unknown",
        }
    }
}

impl From<&str> for IpAddressType {
    fn from(text: &str) -> Self {
        match text {
            "ipv4" => Self::Ipv4,
            "dualstack" => Self::Dualstack,
            "ipv6" => Self::Ipv6,
            _ => Self::Unknown,
        }
    }
}

/// A DNS name and its FIPS variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsNames {
    /// The ordinary name.
    pub dns_name: Option<String>,
    /// The name with FIPS-validated TLS.
    pub fips_dns_name: Option<String>,
}

impl DnsNames {
    /// Creates the pair of names; empty ones count as absent.
    #[must_use]
    pub fn new(dns_name: Option<String>, fips_dns_name: Option<String>) -> Self {
        let some = |name: Option<String>| name.filter(|name| !name.is_empty());
        Self { dns_name: some(dns_name), fips_dns_name: some(fips_dns_name) }
    }
}

/// An EC2 Instance Connect Endpoint, from `DescribeInstanceConnectEndpoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Its state.
    pub state: EndpointState,
    /// The reason for the state, if AWS gives one.
    pub state_message: Option<String>,
    /// Its ARN, the resource of `ec2-instance-connect:OpenTunnel`.
    pub arn: Option<String>,
    /// Its names.
    pub names: DnsNames,
    /// Its dual-stack names (`publicDnsNames.dualstack`).
    pub dualstack_names: DnsNames,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Its subnet.
    pub subnet_id: Option<String>,
    /// The address families it carries.
    pub ip_address_type: IpAddressType,
    /// Whether the target sees the client's own address.
    pub preserve_client_ip: bool,
    /// Its security groups' ids.
    pub security_groups: Vec<String>,
    /// Its tags, in the order of the answer.
    pub tags: Vec<(String, String)>,
}

impl Endpoint {
    /// Creates an endpoint `id` in `state`, all other fields empty.
    #[must_use]
    pub fn new(id: EndpointId, state: EndpointState) -> Self {
        Self {
            id,
            state,
            state_message: None,
            arn: None,
            names: DnsNames::default(),
            dualstack_names: DnsNames::default(),
            vpc_id: None,
            subnet_id: None,
            ip_address_type: IpAddressType::Unknown,
            preserve_client_ip: false,
            security_groups: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Returns the value of the tag `key`.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        tag(&self.tags, key)
    }
}

fn tag<'a>(tags: &'a [(String, String)], key: &str) -> Option<&'a str> {
    tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}
