//! The client side of the openTunnel request.

use std::fmt;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::sigv4::{self, PayloadHash, Scope, Signed};
use crate::{Authority, Credentials, EndpointId, MaxDuration, RemotePort, Timestamp};

/// The request path, with its capital T.
pub const OPEN_TUNNEL_PATH: &str = "/openTunnel";

/// The lifetime of aws-cli's presigned URLs, in seconds.
pub const DEFAULT_EXPIRES: u32 = 60;

/// The parameters of a tunnel: endpoint, address, port and duration.
///
/// The instance id is not one of them: the protocol carries only the address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunnelRequest {
    /// The endpoint's DNS name: the value of the Host header.
    pub authority: Authority,
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// The port on the instance.
    pub port: RemotePort,
    /// The instance's private address.
    pub address: IpAddr,
    /// The requested duration. `None` leaves the parameter out; the service then grants 3600 s, or denies the
    /// request if a policy caps the duration.
    pub max_duration: Option<MaxDuration>,
}

impl TunnelRequest {
    /// Creates a request for port 22 of `address` with the service's default duration.
    #[must_use]
    pub fn new(authority: Authority, endpoint: EndpointId, address: IpAddr) -> Self {
        Self { authority, endpoint, port: RemotePort::SSH, address, max_duration: None }
    }

    /// Sets the port.
    #[must_use]
    pub fn with_port(mut self, port: RemotePort) -> Self {
        self.port = port;
        self
    }

    /// Sets the maximum duration.
    #[must_use]
    pub fn with_max_duration(mut self, max_duration: MaxDuration) -> Self {
        self.max_duration = Some(max_duration);
        self
    }

    /// Returns the presigned URL, byte for byte as aws-cli makes it.
    ///
    /// The expiry applies to the handshake only: an open tunnel outlives it. `expires` is in seconds
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

    /// Signs the request and returns the intermediate steps too, such as the canonical request.
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

/// A bearer URL: anyone who has it can open the tunnel until it expires. `Debug` and `Display` redact the query,
/// and the URL is zeroed on drop.
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

    /// Returns the whole URL. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// Returns host and port: what to resolve, to connect to, and to verify the certificate against.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the request target of the upgrade. Never log it.
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
