//! Decides which credentials apply, without network access.
//!
//! The order is that of aws-cli 2 (`botocore/credentials.py`): the environment's keys, unless a profile is given
//! explicitly; then the profile's role, web identity, single sign-on, shared keys, login, process, keys; then the
//! container's and the instance's role.

use std::path::PathBuf;

use aws_credential_types::Credentials;

use super::super::error::AwsError;
use super::super::profiles::Section;
use super::super::settings::Settings;
use super::super::sts::{Role, SESSION_NAME};

/// A source of credentials.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Static keys.
    Keys(Credentials),
    /// The profile's `credential_process`.
    Process { command: String, profile: String },
    /// Single sign-on.
    Sso(Box<Sso>),
    /// A role assumed with a token of an identity provider.
    WebIdentity { role_arn: String, session_name: String, token_file: PathBuf },
    /// A role assumed with other credentials.
    Role { base: Box<Source>, role: Box<Role> },
    /// The role of the container.
    Container,
    /// The role of the instance.
    Instance,
}

/// Single sign-on settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sso {
    pub(super) profile: String,
    pub(super) session: Option<String>,
    pub(super) start_url: String,
    pub(super) region: String,
    pub(super) account_id: String,
    pub(super) role_name: String,
}

/// Returns the source that applies under `settings`.
///
/// # Errors
/// Credentials are incomplete, or the profile contradicts itself.
pub(super) fn source(settings: &Settings) -> Result<Source, AwsError> {
    let env_keys = if settings.is_explicit { None } else { environment_keys(settings)? };
    if let Some(keys) = env_keys {
        return Ok(Source::Keys(keys));
    }
    let name = settings.profile.as_str();
    if is_role(settings.properties()) {
        return role(settings, name, &mut vec![name.to_owned()]);
    }
    let found = of_profile(settings, name, !settings.is_explicit)?;
    Ok(match found {
        Some(source) => source,
        None if has_container(settings) => Source::Container,
        None => Source::Instance,
    })
}

fn has_container(settings: &Settings) -> bool {
    ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        .iter()
        .any(|name| settings.env.path(name).is_some())
}

/// Returns the environment's keys, if an access key id is set.
fn environment_keys(settings: &Settings) -> Result<Option<Credentials>, AwsError> {
    let text = |name| settings.env.text(name);
    let Some(id) = text("AWS_ACCESS_KEY_ID")? else { return Ok(None) };
    let missing = "AWS_SECRET_ACCESS_KEY";
    let secret = text(missing)?.ok_or(AwsError::PartialCredentials { provider: "env", missing })?;
    let token = match text("AWS_SESSION_TOKEN")? {
        Some(token) => Some(token),
        None => text("AWS_SECURITY_TOKEN")?,
    };
    Ok(Some(Credentials::new(id, secret, token, None, "Environment")))
}

fn is_role(profile: &Section) -> bool {
    profile.contains_key("role_arn") && !profile.contains_key("web_identity_token_file")
}

/// Returns the role of the profile `name` and its base credentials; `visited` holds the profiles of the chain so
/// far, to detect loops.
fn role(settings: &Settings, name: &str, visited: &mut Vec<String>) -> Result<Source, AwsError> {
    let profile = settings.other(name).unwrap_or_default();
    let invalid = |why: String| AwsError::ProfileSettings { profile: name.to_owned(), why };
    let text = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
    let arn = text("role_arn").ok_or_else(|| invalid("its `role_arn` is empty".into()))?;
    let mut role = Role::new(arn);
    if let Some(session_name) = text("role_session_name") {
        role.session_name = session_name;
    }
    role.external_id = text("external_id");
    role.mfa_serial = text("mfa_serial");
    if let Some(seconds) = text("duration_seconds") {
        let parsed = seconds.parse::<i32>().ok().filter(|seconds| *seconds > 0);
        let wrong = || invalid(format!("its `duration_seconds` {seconds:?} is not a number of seconds"));
        role.duration_secs = Some(parsed.ok_or_else(wrong)?);
    }
    let base = match (text("source_profile"), text("credential_source")) {
        (Some(_), Some(_)) => {
            return Err(invalid("it has both source_profile and credential_source".into()));
        }
        (None, None) => {
            return Err(AwsError::PartialCredentials {
                provider: "assume-role",
                missing: "source_profile or credential_source",
            });
        }
        (None, Some(named)) => named_source(settings, &named).and_then(|found| {
            found.ok_or_else(|| invalid(format!("its credential_source {named:?} is unknown")))
        })?,
        (Some(next), None) => of_source_profile(settings, name, next, visited)?,
    };
    Ok(Source::Role { base: Box::new(base), role: Box::new(role) })
}

/// Returns the source that a `credential_source` value means.
fn named_source(settings: &Settings, name: &str) -> Result<Option<Source>, AwsError> {
    Ok(Some(match name.to_ascii_lowercase().as_str() {
        "environment" => {
            let keys = environment_keys(settings)?;
            Source::Keys(
                keys.ok_or(AwsError::PartialCredentials { provider: "env", missing: "AWS_ACCESS_KEY_ID" })?,
            )
        }
        "ecscontainer" => Source::Container,
        "ec2instancemetadata" => Source::Instance,
        _ => return Ok(None),
    }))
}

/// Returns the credentials of the profile `next`, which the role of `name` is assumed with.
fn of_source_profile(
    settings: &Settings,
    name: &str,
    next: String,
    visited: &mut Vec<String>,
) -> Result<Source, AwsError> {
    let invalid = |why: String| AwsError::ProfileSettings { profile: name.to_owned(), why };
    let Some(profile) = settings.other(&next) else {
        return Err(invalid(format!("its source_profile {next:?} does not exist")));
    };
    let has_keys = profile.contains_key("aws_access_key_id") || profile.contains_key("aws_secret_access_key");
    // A profile may name itself: its role is then assumed with its own keys.
    if visited.contains(&next) && !(next == name && has_keys) {
        visited.push(next);
        return Err(invalid(format!("its source profiles form a loop: {}", visited.join(" -> "))));
    }
    visited.push(next.clone());
    if is_role(&profile) && !has_keys {
        return role(settings, &next, visited);
    }
    of_profile(settings, &next, false)?
        .ok_or_else(|| invalid(format!("its source_profile {next:?} has no credentials")))
}

/// Returns the credentials of the profile `name` itself; with `reads_env`, the environment's web identity applies
/// too.
fn of_profile(settings: &Settings, name: &str, reads_env: bool) -> Result<Option<Source>, AwsError> {
    let profile = settings.other(name).unwrap_or_default();
    let text = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
    let invalid = |why: String| AwsError::ProfileSettings { profile: name.to_owned(), why };
    let web = |variable: &str, key: &str| match settings.env.text(variable) {
        Ok(Some(value)) if reads_env => Ok(Some(value)),
        Err(error) if reads_env => Err(error),
        _ => Ok(text(key)),
    };
    if let Some(token_file) = web("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file")? {
        let role_arn = web("AWS_ROLE_ARN", "role_arn")?;
        let role_arn = role_arn.ok_or_else(|| invalid("a web identity needs a role_arn".into()))?;
        let session_name = web("AWS_ROLE_SESSION_NAME", "role_session_name")?;
        let session_name = session_name.unwrap_or_else(|| SESSION_NAME.to_owned());
        return Ok(Some(Source::WebIdentity { role_arn, session_name, token_file: token_file.into() }));
    }
    if profile.contains_key("sso_role_name") || profile.contains_key("sso_account_id") {
        return Ok(Some(Source::Sso(Box::new(sso(settings, name, &profile)?))));
    }
    if let Some(found) =
        settings.profiles.credentials(name).map(|profile| keys("shared-credentials-file", profile))
        && let Some(keys) = found?
    {
        return Ok(Some(Source::Keys(keys)));
    }
    if profile.contains_key("login_session") {
        return Err(AwsError::LoginSession(name.to_owned()));
    }
    if let Some(command) = text("credential_process") {
        return Ok(Some(Source::Process { command, profile: name.to_owned() }));
    }
    let found = settings.profiles.config(name).map(|profile| keys("config-file", profile));
    Ok(found.transpose()?.flatten().map(Source::Keys))
}

/// Returns the keys of `profile`, if it has a key id; `provider` names its file in errors.
fn keys(provider: &'static str, profile: &Section) -> Result<Option<Credentials>, AwsError> {
    if !profile.contains_key("aws_access_key_id") {
        return Ok(None);
    }
    let text = |key: &str| profile.get(key).filter(|value| !value.is_empty());
    let required = |missing| text(missing).ok_or(AwsError::PartialCredentials { provider, missing });
    let (id, secret) = (required("aws_access_key_id")?, required("aws_secret_access_key")?);
    let token = text("aws_session_token").or_else(|| text("aws_security_token"));
    Ok(Some(Credentials::new(id, secret, token.cloned(), None, "Profile")))
}

/// Returns the single sign-on settings of the profile `name`.
fn sso(settings: &Settings, name: &str, profile: &Section) -> Result<Sso, AwsError> {
    let invalid = |why: String| AwsError::ProfileSettings { profile: name.to_owned(), why };
    let mut merged = profile.clone();
    let session = profile.get("sso_session").cloned();
    if let Some(session) = &session {
        let section = settings.profiles.sso_session(session);
        let section =
            section.ok_or_else(|| invalid(format!("its sso_session {session:?} does not exist")))?;
        for (key, value) in section {
            if merged.insert(key.clone(), value.clone()).is_some_and(|before| before != *value) {
                return Err(invalid(format!("its {key} is not that of its sso_session {session:?}")));
            }
        }
    }
    let required = |key: &str| {
        let value = merged.get(key).filter(|value| !value.is_empty()).cloned();
        value.ok_or_else(|| invalid(format!("its single sign-on has no {key}")))
    };
    Ok(Sso {
        profile: name.to_owned(),
        session,
        start_url: required("sso_start_url")?,
        region: required("sso_region")?,
        account_id: required("sso_account_id")?,
        role_name: required("sso_role_name")?,
    })
}

#[cfg(test)]
mod tests;
