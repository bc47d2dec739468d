//! The openTunnel parameters as a server receives them.

use std::net::IpAddr;

use crate::id::InvalidId;
use crate::sigv4::{VerifyError, parse_query};
use crate::{EndpointId, MaxDuration, RemotePort};

/// The parameters of a received openTunnel request. Verify the signature before you use them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunnelParams {
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// The target port. [`RemotePort::is_served`] reports whether the service accepts it.
    pub port: RemotePort,
    /// The target address.
    pub address: IpAddr,
    /// The requested duration; `None` if it was not sent, which means [`MaxDuration::MAX`].
    pub max_duration: Option<MaxDuration>,
}

/// Why the parameters are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// The query is malformed or has a duplicate name.
    #[error("the query cannot be read")]
    Query(#[source] VerifyError),
    /// A parameter is absent or empty.
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    /// A parameter is present but invalid.
    #[error("the parameter {0} is not valid")]
    Invalid(&'static str, #[source] InvalidId),
    /// `privateIpAddress` is not an IPv4 or IPv6 literal without brackets.
    #[error("the parameter privateIpAddress is not an IP address")]
    Address,
}

impl TunnelParams {
    /// Parses the query of a request line, without the `?`. Names are case-sensitive; the `X-Amz-*` parameters and
    /// unknown ones are ignored.
    ///
    /// # Errors
    /// The first [`ParamError`] in the service's order: endpoint, port, address, duration.
    pub fn parse(query: &str) -> Result<Self, ParamError> {
        let params = parse_query(query).map_err(ParamError::Query)?;
        let value = |name: &'static str| {
            params
                .iter()
                .find(|param| param.name == name.as_bytes() && !param.value.is_empty())
                .map(|param| String::from_utf8_lossy(&param.value))
        };
        let required = |name: &'static str| value(name).ok_or(ParamError::Missing(name));
        let invalid = |name| move |error| ParamError::Invalid(name, error);

        let endpoint = required("instanceConnectEndpointId")?;
        let endpoint = endpoint.parse().map_err(invalid("instanceConnectEndpointId"))?;
        let port = required("remotePort")?.parse().map_err(invalid("remotePort"))?;
        let address = required("privateIpAddress")?.parse().map_err(|_| ParamError::Address)?;
        let max_duration = match value("maxTunnelDuration") {
            Some(text) => Some(text.parse().map_err(invalid("maxTunnelDuration"))?),
            None => None,
        };
        Ok(Self { endpoint, port, address, max_duration })
    }

    /// Returns the maximum lifetime of the tunnel: the requested one or the service's default.
    #[must_use]
    pub fn effective_duration(&self) -> MaxDuration {
        self.max_duration.unwrap_or(MaxDuration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "instanceConnectEndpointId=eice-1&remotePort=22&privateIpAddress=10.0.0.1";

    #[test]
    fn all_parameters_are_parsed() {
        let params = TunnelParams::parse(&format!("X-Amz-Date=x&{GOOD}&maxTunnelDuration=60")).unwrap();
        assert_eq!(params.endpoint.as_str(), "eice-1");
        assert_eq!(params.port, RemotePort::SSH);
        assert_eq!(params.address, IpAddr::from([10, 0, 0, 1]));
        assert_eq!(params.effective_duration().as_secs(), 60);
        assert_eq!(TunnelParams::parse(GOOD).unwrap().effective_duration(), MaxDuration::MAX);
        let v6 = GOOD.replace("10.0.0.1", "2600%3A1f10%3A%3A1");
        assert!(TunnelParams::parse(&v6).unwrap().address.is_ipv6());
    }

    #[test]
    fn each_fault_has_its_error() {
        use ParamError as E;
        type Check = fn(&ParamError) -> bool;
        let cases: [(String, Check); 12] = [
            (String::new(), |e| matches!(e, E::Missing("instanceConnectEndpointId"))),
            (GOOD.replace("eice-1", ""), |e| matches!(e, E::Missing("instanceConnectEndpointId"))),
            (GOOD.replace("eice-1", "i-1"), |e| matches!(e, E::Invalid("instanceConnectEndpointId", _))),
            (GOOD.replace("remotePort", "remoteport"), |e| matches!(e, E::Missing("remotePort"))),
            (GOOD.replace("=22", "=0"), |e| matches!(e, E::Invalid("remotePort", _))),
            (GOOD.replace("=22", "=%2B22"), |e| matches!(e, E::Invalid("remotePort", _))),
            (GOOD.replace("10.0.0.1", "localhost"), |e| matches!(e, E::Address)),
            (GOOD.replace("10.0.0.1", "[::1]"), |e| matches!(e, E::Address)),
            (GOOD.replace("10.0.0.1", "10.0.0.01"), |e| matches!(e, E::Address)),
            (format!("{GOOD}&maxTunnelDuration=3601"), |e| matches!(e, E::Invalid("maxTunnelDuration", _))),
            (format!("{GOOD}&remotePort=22"), |e| matches!(e, E::Query(VerifyError::DuplicateParameter(_)))),
            (format!("{GOOD}&a=%"), |e| matches!(e, E::Query(VerifyError::Malformed(_)))),
        ];
        for (query, is_expected) in cases {
            let error = TunnelParams::parse(&query).unwrap_err();
            assert!(is_expected(&error), "{query}: {error:?}");
        }
    }

    #[test]
    fn unserved_port_still_parses() {
        let params = TunnelParams::parse(&GOOD.replace("=22", "=5432")).unwrap();
        assert!(!params.port.is_served());
    }
}
