//! Configuration of AWS access.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use eice_proto::Credentials;

use super::environment::EnvSource;
use super::error::AwsError;
use super::prompt::UserPrompt;
use super::retry::Retries;

use crate::setters::setters;

/// Configuration of AWS access. Absent values come from the same sources as in the AWS tools: the standard
/// environment variables, then the shared configuration files, then the instance metadata.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AwsConfig {
    /// The profile. The default is `AWS_PROFILE`, then `AWS_DEFAULT_PROFILE`, then `default`. A target's own
    /// profile takes precedence. Credentials of a profile given here or by a target take precedence over the
    /// environment's.
    pub profile: Option<String>,
    /// The region. The default is `AWS_REGION` and so on. A target's own region takes precedence.
    pub region: Option<String>,
    /// The region to use if neither the target, [`Self::region`], environment, files nor instance metadata give
    /// one. With the default, `None`, that is an error.
    pub fallback_region: Option<String>,
    /// Credentials that replace the whole chain, for the emulator and for tests. Environment and files are then not
    /// read at all.
    pub credentials: Option<Credentials>,
    /// Base URL of all services. The default is `AWS_ENDPOINT_URL`, then AWS's own names.
    pub endpoint_url: Option<String>,
    /// Base URLs of single services; take precedence over [`Self::endpoint_url`]. The default is
    /// `AWS_ENDPOINT_URL_EC2` and so on.
    pub endpoint_urls: EndpointUrls,
    /// A PEM file of roots to trust in addition to the system's. The default is `AWS_CA_BUNDLE`, then the profile's
    /// `ca_bundle`.
    pub ca_bundle: Option<PathBuf>,
    /// Whether FIPS names are used. The default is `AWS_USE_FIPS_ENDPOINT`, then the profile.
    pub use_fips: Option<bool>,
    /// Whether dual-stack names are used. The default is `AWS_USE_DUALSTACK_ENDPOINT`, then the profile.
    pub use_dualstack: Option<bool>,
    /// A shared configuration file to read instead of `~/.aws/config` and `~/.aws/credentials`.
    pub config_file: Option<PathBuf>,
    /// How failed calls are retried.
    pub retries: Retries,
    /// Where environment variables come from. The default is the process's environment.
    pub environment: EnvSource,
    /// Asks the user at the terminal. The default, `None`, is for unattended programs.
    pub prompt: Option<Arc<dyn UserPrompt>>,
}

/// Base URLs of single services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointUrls {
    /// EC2.
    pub ec2: Option<String>,
    /// EC2 Instance Connect.
    pub ec2_instance_connect: Option<String>,
    /// STS: role assumption and the caller's identity.
    pub sts: Option<String>,
}

/// A service, identified by the names its endpoint URL is configured under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Ec2InstanceConnect,
    Sts,
}

impl Service {
    /// Returns the service id, as in the SDKs.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::Ec2InstanceConnect => "EC2 Instance Connect",
            Self::Sts => "STS",
        }
    }

    /// Returns the service's name in settings.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Ec2InstanceConnect => "ec2_instance_connect",
            Self::Sts => "sts",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl AwsConfig {
    /// Returns the endpoint URL that this configuration sets for `service`.
    pub(super) fn explicit_url(&self, service: Service) -> Option<&str> {
        let own = match service {
            Service::Ec2 => &self.endpoint_urls.ec2,
            Service::Ec2InstanceConnect => &self.endpoint_urls.ec2_instance_connect,
            Service::Sts => &self.endpoint_urls.sts,
        };
        own.as_deref().or(self.endpoint_url.as_deref())
    }
}

/// Validates an endpoint URL (scheme and authority, no path, no user) and strips a trailing slash.
pub(super) fn check_url(service: Service, url: &str) -> Result<String, AwsError> {
    let bad = || AwsError::EndpointUrl { service: service.id(), url: without_user(url) };
    let parsed: http::Uri = url.parse().map_err(|_| bad())?;
    let good = matches!(parsed.scheme_str(), Some("http" | "https"))
        && parsed.path_and_query().is_none_or(|path| path.as_str() == "/")
        && parsed.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if good { Ok(url.trim_end_matches('/').to_owned()) } else { Err(bad()) }
}

/// Redacts a password in `url`, for error messages.
fn without_user(url: &str) -> String {
    const MAX_LEN: usize = 200;
    let cut: String = url.chars().take(MAX_LEN).collect();
    match (cut.find("://"), cut.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}://***{}", &cut[..scheme], &cut[at..])
        }
        _ => cut,
    }
}

setters! {
    AwsConfig {
        profile: Option<String>,
        region: Option<String>,
        fallback_region: Option<String>,
        credentials: Option<Credentials>,
        endpoint_url: Option<String>,
        endpoint_urls: EndpointUrls,
        ca_bundle: Option<PathBuf>,
        use_fips: Option<bool>,
        use_dualstack: Option<bool>,
        config_file: Option<PathBuf>,
        retries: Retries,
    }
}

setters! {
    EndpointUrls {
        ec2: Option<String>,
        ec2_instance_connect: Option<String>,
        sts: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_url_wins() {
        let config = AwsConfig {
            endpoint_url: Some("http://all".into()),
            endpoint_urls: EndpointUrls { ec2: Some("http://ec2".into()), ..EndpointUrls::default() },
            ..AwsConfig::default()
        };
        assert_eq!(config.explicit_url(Service::Ec2), Some("http://ec2"));
        assert_eq!(config.explicit_url(Service::Sts), Some("http://all"));
    }

    #[test]
    fn endpoint_url_has_scheme_and_host_only() {
        assert_eq!(check_url(Service::Ec2, "http://127.0.0.1:9/").unwrap(), "http://127.0.0.1:9");
        assert_eq!(check_url(Service::Ec2, "https://ec2.example").unwrap(), "https://ec2.example");
        for bad in ["", "ec2.example", "ftp://x", "http://", "http://x/path", "http://x/?q=1"] {
            assert!(check_url(Service::Ec2, bad).is_err(), "{bad:?}");
        }
        let error = check_url(Service::Ec2, "https://user:hunter2@x").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
