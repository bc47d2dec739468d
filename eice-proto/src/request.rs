//! The openTunnel request, as a client makes it.

use std::fmt;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::sigv4::{self, PayloadHash, Scope, Signed};
use crate::{Authority, Credentials, EndpointId, MaxDuration, RemotePort, Timestamp};

/// The path, with its capital T.
pub const OPEN_TUNNEL_PATH: &str = "/openTunnel";

/// How long aws-cli's presigned URL is good for, in seconds.
pub const DEFAULT_EXPIRES: u32 = 60;

/// What a tunnel is asked for: through which endpoint, to which address and port, for how long.
///
/// The instance's id is not part of it: the service knows the address only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelRequest {
    /// The endpoint's DNS name, as it will stand in the Host header.
    pub authority: Authority,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The port on the instance.
    pub port: RemotePort,
    /// The instance's private address.
    pub address: IpAddr,
    /// `None` leaves the parameter out, which means 3600 s at the service and fails under a policy that caps it.
    pub max_duration: Option<MaxDuration>,
}

impl TunnelRequest {
    /// A tunnel to port 22 of `address`, as long as the service allows.
    #[must_use]
    pub fn new(authority: Authority, endpoint: EndpointId, address: IpAddr) -> Self {
        Self { authority, endpoint, port: RemotePort::SSH, address, max_duration: None }
    }

    /// The same to another port.
    #[must_use]
    pub fn with_port(mut self, port: RemotePort) -> Self {
        self.port = port;
        self
    }

    /// The same, asking for at most `max_duration`.
    #[must_use]
    pub fn with_max_duration(mut self, max_duration: MaxDuration) -> Self {
        self.max_duration = Some(max_duration);
        self
    }

    /// The presigned URL, byte for byte as aws-cli makes it.
    ///
    /// It gates the handshake only: a tunnel that is open outlives it. `expires` is in seconds
    /// ([`DEFAULT_EXPIRES`] is aws-cli's); `None` leaves `X-Amz-Expires` out.
    #[must_use]
    pub fn presign(
        &self,
        credentials: &Credentials,
        region: &str,
        now: Timestamp,
        expires: Option<u32>,
    ) -> PresignedUrl {
        let signed = self.sign(credentials, region, now, expires);
        PresignedUrl::new(self.authority.clone(), signed.query())
    }

    /// The steps of [`presign`](Self::presign), for who wants to see the canonical request.
    #[must_use]
    pub fn sign(
        &self,
        credentials: &Credentials,
        region: &str,
        now: Timestamp,
        expires: Option<u32>,
    ) -> Signed {
        let (port, address) = (self.port.to_string(), self.address.to_string());
        let duration = self.max_duration.map(|duration| duration.to_string());
        let mut params = vec![
            ("instanceConnectEndpointId", self.endpoint.as_str()),
            ("remotePort", port.as_str()),
            ("privateIpAddress", address.as_str()),
        ];
        if let Some(duration) = &duration {
            params.push(("maxTunnelDuration", duration));
        }
        let request = sigv4::Request {
            method: "GET",
            path: OPEN_TUNNEL_PATH,
            params: &params,
            headers: &[("host", self.authority.as_str())],
            payload: PayloadHash::EMPTY,
        };
        let scope = Scope::new(region, Scope::EC2_INSTANCE_CONNECT);
        sigv4::presign(&request, credentials, &scope, now, expires)
    }
}

/// A `wss://` URL that opens a tunnel for whoever has it, until it expires. `Debug` and `Display` leave its query
/// out, and it is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PresignedUrl {
    authority: Authority,
    url: Zeroizing<String>,
}

const SCHEME: &str = "wss://";

impl PresignedUrl {
    fn new(authority: Authority, query: &str) -> Self {
        let url = Zeroizing::new(format!("{SCHEME}{authority}{OPEN_TUNNEL_PATH}?{query}"));
        Self { authority, url }
    }

    /// The whole URL. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// Host and port: what to resolve, to connect to, to ask the certificate for, and the Host header.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The request target of the upgrade. Never log it.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.url.get(SCHEME.len() + self.authority.as_str().len()..).unwrap_or_default()
    }
}

impl fmt::Display for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{OPEN_TUNNEL_PATH}?[redacted]", self.authority)
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresignedUrl({self})")
    }
}
