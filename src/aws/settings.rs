//! Settings from environment and profile, with aws-cli's precedence.

use std::path::PathBuf;
use std::sync::Arc;

use super::config::{AwsConfig, Service, check_url};
use super::environment::EnvSource;
use super::error::AwsError;
use super::profiles::{DEFAULT, Profiles, Section};
use super::retry::{NamedSetting, Retries};

/// The variables that select the profile, in order of precedence (aws-cli 2, `botocore/configprovider.py`).
const PROFILE_VARIABLES: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];

/// The settings of one profile.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) env: EnvSource,
    pub(super) profiles: Profiles,
    /// The profile's name.
    pub(super) profile: String,
    /// Whether the caller chose it, by option or workspace: its credentials then precede the environment's.
    pub(super) is_explicit: bool,
    properties: Section,
}

impl Settings {
    /// Reads the settings of the profile `explicit`, else of the one that the environment selects, else of
    /// `default`.
    ///
    /// # Errors
    /// [`AwsError::NoProfile`] when a selected profile does not exist; [`AwsError::Profile`] and
    /// [`AwsError::Setting`].
    pub(super) fn read(config: &AwsConfig, explicit: Option<&str>) -> Result<Self, AwsError> {
        if config.credentials.is_some() {
            // The user's own configuration must have no effect.
            return Ok(Self::without_profile(EnvSource::empty(), Profiles::default()));
        }
        let env = config.environment.clone();
        let mut name = explicit.map(str::to_owned);
        for variable in PROFILE_VARIABLES {
            if name.is_none() {
                // An empty value counts: a script with an unset variable must not act as another account.
                name = env.maybe_empty(variable)?;
            }
        }
        let profiles = Profiles::read(&env, config.config_file.as_deref())?;
        let Some(name) = name else { return Ok(Self::without_profile(env, profiles)) };
        let properties = profiles.profile(&name).ok_or_else(|| profiles.missing(&name))?;
        Ok(Self { env, profiles, profile: name, is_explicit: explicit.is_some(), properties })
    }

    /// Like [`Self::read`], without blocking the runtime.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) async fn load(config: &Arc<AwsConfig>, explicit: Option<&str>) -> Result<Self, AwsError> {
        let (config, explicit) = (Arc::clone(config), explicit.map(str::to_owned));
        let reading = tokio::task::spawn_blocking(move || Self::read(&config, explicit.as_deref()));
        reading.await.unwrap_or_else(|error| Err(AwsError::setting("the configuration", error.to_string())))
    }

    fn without_profile(env: EnvSource, profiles: Profiles) -> Self {
        let properties = profiles.profile(DEFAULT).unwrap_or_default();
        Self { env, profiles, profile: DEFAULT.to_owned(), is_explicit: false, properties }
    }

    /// Returns another profile of the files; `None` when it does not exist.
    pub(super) fn other(&self, profile: &str) -> Option<Section> {
        self.profiles.profile(profile)
    }

    /// Returns the profile's properties.
    pub(super) fn properties(&self) -> &Section {
        &self.properties
    }

    /// Returns the profile's property `key`, unless it is empty.
    pub(super) fn property(&self, key: &str) -> Option<&str> {
        self.properties.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the value of `variable`, else of the profile's `key`, with its origin.
    fn named(&self, variable: &str, key: &str) -> Result<Option<NamedSetting>, AwsError> {
        if let Some(value) = self.env.text(variable)? {
            return Ok(Some((variable.to_owned(), value)));
        }
        let origin = || format!("`{key}` of the profile {:?}", self.profile);
        Ok(self.property(key).map(|value| (origin(), value.to_owned())))
    }

    fn value(&self, variable: &str, key: &str) -> Result<Option<String>, AwsError> {
        Ok(self.named(variable, key)?.map(|(_, value)| value))
    }

    /// Returns whether the setting is "true", by aws-cli's rules.
    fn flag(&self, variable: &str, key: &str) -> Result<Option<bool>, AwsError> {
        Ok(self.value(variable, key)?.map(|value| value.eq_ignore_ascii_case("true")))
    }

    /// Returns the region.
    pub(super) fn region(&self) -> Result<Option<String>, AwsError> {
        if let Some(region) = self.env.text("AWS_REGION")? {
            return Ok(Some(region));
        }
        self.value("AWS_DEFAULT_REGION", "region")
    }

    pub(super) fn use_fips(&self) -> Result<Option<bool>, AwsError> {
        self.flag("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")
    }

    pub(super) fn use_dualstack(&self) -> Result<Option<bool>, AwsError> {
        self.flag("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")
    }

    pub(super) fn ca_bundle(&self) -> Option<PathBuf> {
        self.env.path("AWS_CA_BUNDLE").or_else(|| self.property("ca_bundle").map(PathBuf::from))
    }

    /// Applies the settings to `default`.
    pub(super) fn retries(&self, default: Retries) -> Result<Retries, AwsError> {
        let mode = self.named("AWS_RETRY_MODE", "retry_mode")?;
        default.configured(mode, self.named("AWS_MAX_ATTEMPTS", "max_attempts")?)
    }

    /// Returns the configured URL of `service`.
    pub(super) fn url(&self, service: Service) -> Result<Option<String>, AwsError> {
        let ignored = self.flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls")?;
        if ignored == Some(true) {
            return Ok(None);
        }
        let key = service.key();
        let variable = format!("AWS_ENDPOINT_URL_{}", key.to_ascii_uppercase());
        let mut url = self.env.text(&variable)?;
        if url.is_none() {
            url = self.env.text("AWS_ENDPOINT_URL")?;
        }
        let section = || self.profiles.service(self.property("services")?, key, "endpoint_url");
        let url = url.or_else(|| section().filter(|url| !url.is_empty()).map(str::to_owned));
        let url = url.or_else(|| self.property("endpoint_url").map(str::to_owned));
        url.map(|url| check_url(service, &url)).transpose()
    }

    /// Returns the URL of the instance metadata service.
    pub(super) fn metadata_url(&self) -> Result<String, AwsError> {
        let url = self.value("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint")?;
        if let Some(url) = url {
            return Ok(url);
        }
        let mode =
            self.value("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode")?;
        let is_ipv6 = mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
        Ok(if is_ipv6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" }.to_owned())
    }
}

/// Returns the property `key` of the profile `explicit`, else of the one that the environment selects, else of
/// `default`. Errors count as unset: a later call reports them.
#[must_use]
pub fn profile_property(explicit: Option<&str>, key: &str) -> Option<String> {
    let settings = Settings::read(&AwsConfig::default(), explicit).ok()?;
    settings.property(key).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        variables: &[(&str, &str)],
        file: &str,
        explicit: Option<&str>,
    ) -> Result<Settings, AwsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, file).unwrap();
        let environment = EnvSource::of(variables);
        let config = AwsConfig { environment, config_file: Some(path), ..AwsConfig::default() };
        Settings::read(&config, explicit)
    }

    #[test]
    fn profile_name_follows_precedence() {
        let file = "[profile a]\n[profile b]\n[profile c]\n";
        let both = [("AWS_PROFILE", "a"), ("AWS_DEFAULT_PROFILE", "b")];
        for (variables, explicit, expected) in [
            (&both[..], Some("c"), "c"),
            (&both[..], None, "a"),
            (&both[1..], None, "b"),
            (&[][..], None, "default"),
        ] {
            let found = settings(variables, file, explicit).unwrap();
            assert_eq!((found.profile.as_str(), found.is_explicit), (expected, explicit.is_some()));
        }
    }

    #[test]
    fn named_profile_must_exist() {
        for (variables, explicit) in [
            (&[("AWS_PROFILE", "nope")][..], None),
            (&[("AWS_DEFAULT_PROFILE", "nope")], None),
            (&[("AWS_PROFILE", "")], None),
            (&[("AWS_PROFILE", "default")], None),
            (&[], Some("nope")),
        ] {
            let error = settings(variables, "[profile a]\n", explicit).unwrap_err();
            assert!(matches!(error, AwsError::NoProfile { .. }), "{variables:?}: {error:?}");
        }
    }

    #[test]
    fn environment_precedes_profile() {
        let file = "[default]\nregion = file-region-1\nmax_attempts = 5\nuse_fips_endpoint = true\nca_bundle = /f\n\
                    endpoint_url = http://file\nservices = s\n[services s]\nsts =\n  endpoint_url = http://section\n";
        let empty = [
            ("AWS_REGION", ""),
            ("AWS_MAX_ATTEMPTS", ""),
            ("AWS_ENDPOINT_URL", ""),
            ("AWS_ENDPOINT_URL_STS", ""),
            ("AWS_CA_BUNDLE", ""),
        ];
        for variables in [&[][..], &empty] {
            let found = settings(variables, file, None).unwrap();
            assert_eq!(found.region().unwrap().as_deref(), Some("file-region-1"));
            assert_eq!(found.retries(Retries::default()).unwrap().attempts, 5);
            assert_eq!(found.use_fips().unwrap(), Some(true));
            assert_eq!(found.ca_bundle(), Some("/f".into()));
            assert_eq!(found.url(Service::Ec2).unwrap().as_deref(), Some("http://file"));
            assert_eq!(found.url(Service::Sts).unwrap().as_deref(), Some("http://section"));
        }
        let full = [
            ("AWS_DEFAULT_REGION", "env-region-1"),
            ("AWS_MAX_ATTEMPTS", "7"),
            ("AWS_USE_FIPS_ENDPOINT", "False"),
            ("AWS_ENDPOINT_URL", "http://env"),
            ("AWS_ENDPOINT_URL_EC2", "http://ec2"),
        ];
        let found = settings(&full, file, None).unwrap();
        assert_eq!(found.region().unwrap().as_deref(), Some("env-region-1"));
        assert_eq!(found.retries(Retries::default()).unwrap().attempts, 7);
        assert_eq!(found.use_fips().unwrap(), Some(false));
        assert_eq!(found.url(Service::Ec2).unwrap().as_deref(), Some("http://ec2"));
        assert_eq!(found.url(Service::Sts).unwrap().as_deref(), Some("http://env"));
        let ignoring = [&full[..], &[("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]].concat();
        assert_eq!(settings(&ignoring, file, None).unwrap().url(Service::Ec2).unwrap(), None);
    }

    #[test]
    fn explicit_credentials_ignore_settings() {
        let config = AwsConfig {
            credentials: Some(eice_proto::Credentials::new("AKID", "secret", None)),
            environment: EnvSource::of(&[("AWS_PROFILE", "nope"), ("AWS_MAX_ATTEMPTS", "x")]),
            ..AwsConfig::default()
        };
        let found = Settings::read(&config, None).unwrap();
        assert_eq!(found.retries(Retries::default()).unwrap(), Retries::default());
    }
}
