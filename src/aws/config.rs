//! How AWS is reached.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use eice_proto::Credentials;

use super::environment::EnvSource;
use super::error::AwsError;
use super::prompt::UserPrompt;
use super::retry::Retries;

use crate::setters::setters;

/// How AWS is reached. Every absent value is taken from where the AWS tools take it: the standard environment
/// variables, then the shared configuration files, then the instance metadata.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AwsConfig {
    /// The profile. The default is `AWS_PROFILE`, then `AWS_DEFAULT_PROFILE`, then `default`. A target's own profile
    /// comes first. The credentials of a profile that is named here or by a target come before the environment's.
    pub profile: Option<String>,
    /// The region. The default is `AWS_REGION` and so on. A target's own region comes first.
    pub region: Option<String>,
    /// The region where nothing else says one: neither target nor [`Self::region`], environment, files or instance
    /// metadata. The default, `None`, makes that an error.
    pub fallback_region: Option<String>,
    /// Credentials in place of the whole chain: for the emulator and for tests. Environment and files are then not
    /// read at all.
    pub credentials: Option<Credentials>,
    /// Where all services answer. The default is `AWS_ENDPOINT_URL`, then AWS's own names.
    pub endpoint_url: Option<String>,
    /// Where one service answers; comes before [`Self::endpoint_url`]. The default is
    /// `AWS_ENDPOINT_URL_EC2` and so on.
    pub endpoint_urls: EndpointUrls,
    /// PEM roots that are trusted besides the system's. The default is `AWS_CA_BUNDLE`, then the profile's
    /// `ca_bundle`.
    pub ca_bundle: Option<PathBuf>,
    /// Whether FIPS names are used. The default is `AWS_USE_FIPS_ENDPOINT`, then the profile.
    pub use_fips: Option<bool>,
    /// Whether dual-stack names are used. The default is `AWS_USE_DUALSTACK_ENDPOINT`, then the profile.
    pub use_dualstack: Option<bool>,
    /// The one shared configuration file to read in place of `~/.aws/config` and `~/.aws/credentials`.
    pub config_file: Option<PathBuf>,
    /// How patiently failed calls are tried again.
    pub retries: Retries,
    /// Where environment variables come from. The default is the process's environment.
    pub environment: EnvSource,
    /// The person at the terminal, who can answer questions and be waited for. The default, `None`, is a program
    /// that runs on its own.
    pub prompt: Option<Arc<dyn UserPrompt>>,
}

/// Where single services answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointUrls {
    /// EC2.
    pub ec2: Option<String>,
    /// EC2 Instance Connect.
    pub ec2_instance_connect: Option<String>,
    /// STS, where a role is assumed and the caller's identity is told.
    pub sts: Option<String>,
}

/// A service, by the names under which its endpoint URL is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Ec2InstanceConnect,
    Sts,
}

impl Service {
    /// The service id, as the SDKs know it.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::Ec2InstanceConnect => "EC2 Instance Connect",
            Self::Sts => "STS",
        }
    }

    /// The service in the names of settings.
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
    /// The endpoint URL that is configured here for `service`.
    pub(super) fn explicit_url(&self, service: Service) -> Option<&str> {
        let own = match service {
            Service::Ec2 => &self.endpoint_urls.ec2,
            Service::Ec2InstanceConnect => &self.endpoint_urls.ec2_instance_connect,
            Service::Sts => &self.endpoint_urls.sts,
        };
        own.as_deref().or(self.endpoint_url.as_deref())
    }
}

/// `url` without a trailing slash, if it can be an endpoint: a scheme and an authority, no path, no user.
pub(super) fn check_url(service: Service, url: &str) -> Result<String, AwsError> {
    let bad = || AwsError::EndpointUrl { service: service.id(), url: without_user(url) };
    let parsed: http::Uri = url.parse().map_err(|_| bad())?;
    let good = matches!(parsed.scheme_str(), Some("http" | "https"))
        && parsed.path_and_query().is_none_or(|path| path.as_str() == "/")
        && parsed.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if good { Ok(url.trim_end_matches('/').to_owned()) } else { Err(bad()) }
}

/// A URL for an error text: a password in it is left out.
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
    fn a_services_own_url_comes_before_the_common_one() {
        let config = AwsConfig {
            endpoint_url: Some("http://all".into()),
            endpoint_urls: EndpointUrls { ec2: Some("http://ec2".into()), ..EndpointUrls::default() },
            ..AwsConfig::default()
        };
        assert_eq!(config.explicit_url(Service::Ec2), Some("http://ec2"));
        assert_eq!(config.explicit_url(Service::Sts), Some("http://all"));
    }

    #[test]
    fn an_endpoint_url_is_a_scheme_and_a_host() {
        assert_eq!(check_url(Service::Ec2, "http://127.0.0.1:9/").unwrap(), "http://127.0.0.1:9");
        assert_eq!(check_url(Service::Ec2, "https://ec2.example").unwrap(), "https://ec2.example");
        for bad in ["", "ec2.example", "ftp://x", "http://", "http://x/path", "http://x/?q=1"] {
            assert!(check_url(Service::Ec2, bad).is_err(), "{bad:?}");
        }
        let error = check_url(Service::Ec2, "https://user:hunter2@x").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
