//! What AWS says of an instance and of an endpoint, as far as a tunnel needs it.

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
    /// An instance `id` in `state` with nothing else known.
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

    /// The value of the tag `key`.
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
            /// A word that this version does not know.
            Other(String),
        }

        impl $name {
            /// AWS's word for it.
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

/// How much of an unknown word is kept, in characters.
const MAX_WORD_LEN: usize = 64;

states! {
    /// The state of an instance.
    InstanceState {
        /// It starts.
        Pending = "pending",
        /// It runs.
        Running = "running",
        /// It is being terminated.
        ShuttingDown = "shutting-down",
        /// It is gone.
        Terminated = "terminated",
        /// It stops.
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
        /// It could not be created.
        CreateFailed = "create-failed",
        /// It is being deleted.
        DeleteInProgress = "delete-in-progress",
        /// It is gone.
        DeleteComplete = "delete-complete",
        /// It could not be deleted.
        DeleteFailed = "delete-failed",
        /// It is being changed, and works meanwhile.
        UpdateInProgress = "update-in-progress",
        /// It was changed.
        UpdateComplete = "update-complete",
        /// A change failed; it works as it was.
        UpdateFailed = "update-failed",
    }
}

impl EndpointState {
    /// The states in which a tunnel can be opened, in the order in which aws-cli asks for them
    /// (`eicefetcher.py`; protocol reference, section e).
    pub const USABLE: [Self; 4] =
        [Self::CreateComplete, Self::UpdateInProgress, Self::UpdateFailed, Self::UpdateComplete];

    /// Whether a tunnel can be opened in this state.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        Self::USABLE.contains(self)
    }
}

/// Which address families an endpoint carries: its `ipAddressType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpAddressType {
    /// IPv4 targets only.
    Ipv4,
    /// Both.
    Dualstack,
    /// IPv6 targets only.
    Ipv6,
    /// Not told, or told in a word that this version does not know: nothing is ruled out.
    #[default]
    Unknown,
}

impl IpAddressType {
    /// Whether an endpoint of this type carries `address`.
    #[must_use]
    pub fn carries(self, address: IpAddr) -> bool {
        match self {
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
            Self::Dualstack | Self::Unknown => true,
        }
    }

    /// AWS's word for it.
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
    /// The name whose TLS is FIPS validated.
    pub fips_dns_name: Option<String>,
}

impl DnsNames {
    /// The two names; an empty one counts as absent.
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
    /// Why it is in that state, when AWS says so.
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
    /// Which address families it carries.
    pub ip_address_type: IpAddressType,
    /// Whether the target sees the client's own address.
    pub preserve_client_ip: bool,
    /// Its security groups' ids.
    pub security_groups: Vec<String>,
    /// Its tags, in the order of the answer.
    pub tags: Vec<(String, String)>,
}

impl Endpoint {
    /// An endpoint `id` in `state` with nothing else known.
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

    /// The value of the tag `key`.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        tag(&self.tags, key)
    }
}

fn tag<'a>(tags: &'a [(String, String)], key: &str) -> Option<&'a str> {
    tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}
