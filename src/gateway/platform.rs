//! Settings from the platform's environment variables (docs/canvas.md, sections 1 and 4).

use std::fmt;
use std::str::FromStr;

use axum::http::Uri;

use crate::setters::setters;
use crate::workspace::TokenDigest;

/// The platform's settings. The default is no platform: only the directory's tokens are accepted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Platform {
    /// The digest of the administrator's token, `ADMIN_TOKEN`. `None` disables it.
    pub admin_token: Option<TokenDigest>,
    /// The environment, `MOLECULE_ENV`. The default is production.
    pub environment: Environment,
    /// The peers that need no credential in development mode. The default is this machine.
    pub at_hand: TrustedNetwork,
    /// The tenant's organization, `MOLECULE_ORG_ID`: requests for another one are refused. `None` refuses none.
    pub org_id: Option<String>,
    /// The control plane that verifies members by their cookies. With `None`, those cookies open nothing.
    pub control_plane: Option<ControlPlane>,
}

impl Platform {
    /// Returns whether local peers need no credential: in a development environment without an administrator's token.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.environment == Environment::Development && self.admin_token.is_none()
    }
}

/// The platform's environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Environment {
    /// Everything else.
    #[default]
    Production,
    /// A developer's machine: `development` or `dev`, in any case.
    Development,
}

impl FromStr for Environment {
    type Err = std::convert::Infallible;

    /// Parses the two names of a development environment; every other name is production.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is = |name| text.trim().eq_ignore_ascii_case(name);
        Ok(if is("development") || is("dev") { Self::Development } else { Self::Production })
    }
}

/// The peers that development mode admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustedNetwork {
    /// Peers on this machine.
    #[default]
    Loopback,
    /// Peers in private networks as well (RFC 1918, RFC 3927, RFC 4193), such as a container engine's bridge.
    Private,
}

/// A text that is not a set of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be \"loopback\" or \"private\"")]
#[non_exhaustive]
pub struct InvalidTrustedNetwork;

impl FromStr for TrustedNetwork {
    type Err = InvalidTrustedNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedNetwork> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "private" => Ok(Self::Private),
            _ => Err(InvalidTrustedNetwork),
        }
    }
}

/// The control plane of an organization.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlPlane {
    question: Uri,
    slug: String,
}

/// An invalid control plane. The text omits the address, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidControlPlane {
    /// The address is invalid.
    #[error("it must be http:// or https:// with a host, and without user, query and fragment")]
    Url,
    /// The organization's name is invalid.
    #[error(
        "an organisation's slug is 1 to {} letters, digits, hyphens, underscores and dots",
        ControlPlane::MAX_SLUG
    )]
    Slug,
}

impl ControlPlane {
    /// The longest slug, in bytes.
    pub const MAX_SLUG: usize = 100;

    /// Returns the control plane at `url` (`CP_UPSTREAM_URL`) for the organization `slug` (`MOLECULE_ORG_SLUG`).
    ///
    /// # Errors
    /// [`InvalidControlPlane`] if either is invalid.
    pub fn new(url: &str, slug: &str) -> Result<Self, InvalidControlPlane> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !(1..=Self::MAX_SLUG).contains(&slug.len()) || !slug.bytes().all(named) {
            return Err(InvalidControlPlane::Slug);
        }
        let base: Uri = url.parse().map_err(|_| InvalidControlPlane::Url)?;
        let is_plain = matches!(base.scheme_str(), Some("http" | "https"))
            && base.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && base.host().is_some_and(|host| !host.is_empty())
            && !url.contains(['?', '#']);
        if !is_plain {
            return Err(InvalidControlPlane::Url);
        }
        let question = format!("{}/cp/auth/tenant-member?slug={slug}", url.trim_end_matches('/'));
        let question = question.parse().map_err(|_| InvalidControlPlane::Url)?;
        Ok(Self { question, slug: slug.to_owned() })
    }

    /// Returns the URL of the query.
    pub(super) fn question(&self) -> &Uri {
        &self.question
    }

    /// Returns the organization's name.
    pub(super) fn slug(&self) -> &str {
        &self.slug
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane").field("question", &self.question).finish_non_exhaustive()
    }
}

setters! {
    Platform {
        admin_token: Option<TokenDigest>,
        environment: Environment,
        at_hand: TrustedNetwork,
        org_id: Option<String>,
        control_plane: Option<ControlPlane>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::BearerToken;

    #[test]
    fn admin_token_ends_development_mode() {
        let is = |name: &str| {
            let environment = name.parse().unwrap();
            Platform { environment, ..Platform::default() }.is_development()
        };
        for name in ["development", "dev", "Development", "DEV", " dev "] {
            assert!(is(name), "{name}");
        }
        for name in ["", "production", "staging", "develop", "dev1", "devel"] {
            assert!(!is(name), "{name}");
        }
        assert!(!Platform::default().is_development());
        let admin_token = BearerToken::new("secret").map(|token| token.digest());
        let platform = Platform { environment: Environment::Development, admin_token, ..Platform::default() };
        assert!(!platform.is_development());
    }

    #[test]
    fn query_url_is_the_control_plane() {
        let plane = |url: &str| ControlPlane::new(url, "acme").map(|plane| plane.question.to_string());
        let expected = "https://cp.example/cp/auth/tenant-member?slug=acme";
        assert_eq!(plane("https://cp.example").unwrap(), expected);
        assert_eq!(plane("https://cp.example/").unwrap(), expected);
        assert_eq!(
            plane("http://cp.internal:8080/base/").unwrap(),
            "http://cp.internal:8080/base/cp/auth/tenant-member?slug=acme"
        );
        for bad in [
            "",
            "cp.example",
            "/cp",
            "ftp://cp.example",
            "https://",
            "https://user:hunter2@cp.example",
            "https://cp.example?x",
            "https://cp.example/#x",
            "https://cp example",
        ] {
            let error = plane(bad).unwrap_err();
            assert_eq!(error, InvalidControlPlane::Url, "{bad}");
            assert!(!error.to_string().contains("hunter2"));
        }
        let long = "a".repeat(ControlPlane::MAX_SLUG + 1);
        for bad in ["", "a b", "a&slug=b", "a/b", "\u{e4}", &long] {
            assert_eq!(ControlPlane::new("https://cp.example", bad), Err(InvalidControlPlane::Slug), "{bad}");
        }
    }
}
