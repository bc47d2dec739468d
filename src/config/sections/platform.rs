//! `[platform]`: the platform around the gateway, with its own environment variables.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{SettingsReader, set};
use crate::gateway::{ControlPlane, InvalidControlPlane, Platform};
use crate::workspace::{BearerToken, TokenDigest};

/// Reads `[platform]`.
pub(in crate::config) fn platform(reader: &mut SettingsReader<'_>) -> Platform {
    let mut section = reader.section("platform");
    let mut platform = Platform::default();
    let file: Option<PathBuf> = reader.value(&mut section, "admin_token_file", None);
    platform.admin_token = admin_token(reader, file.as_deref());
    set(&mut platform.environment, reader.value(&mut section, "environment", Some("MOLECULE_ENV")));
    set(&mut platform.at_hand, reader.value(&mut section, "at_hand", Some("EICE_AT_HAND")));
    let org_id: Option<String> = reader.value(&mut section, "org_id", Some("MOLECULE_ORG_ID"));
    platform.org_id = org_id.map(|id| id.trim().to_owned());
    if platform.org_id.as_ref().is_some_and(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_graphic())) {
        reader.problem("platform.org_id", "it must be visible ASCII characters");
    }
    let slug: Option<String> = reader.value(&mut section, "org_slug", Some("MOLECULE_ORG_SLUG"));
    let url: Option<String> = reader.value(&mut section, "control_plane_url", Some("CP_UPSTREAM_URL"));
    reader.end(section);
    if let Some(url) = url {
        let plane = match slug {
            Some(slug) => ControlPlane::new(&url, &slug),
            None => {
                let message = "it needs org_slug (MOLECULE_ORG_SLUG) as well: the organization to query";
                reader.problem("platform.control_plane_url", message);
                return platform;
            }
        };
        match plane {
            Ok(plane) => platform.control_plane = Some(plane),
            Err(error @ InvalidControlPlane::Slug) => reader.problem("platform.org_slug", error.to_string()),
            Err(error) => reader.problem("platform.control_plane_url", error.to_string()),
        }
    }
    platform
}

/// Reads the administrator's token: `ADMIN_TOKEN`, else the content of `file`. Problems do not repeat it.
fn admin_token(reader: &mut SettingsReader<'_>, file: Option<&Path>) -> Option<TokenDigest> {
    let (place, text): (String, Zeroizing<String>) = match (reader.env("ADMIN_TOKEN"), file) {
        (Some(text), _) => ("ADMIN_TOKEN".to_owned(), text.into()),
        (None, Some(file)) => {
            let place = file.display().to_string();
            match read(file) {
                Ok(text) => (place, text),
                Err(error) => {
                    reader.problem(place, format!("it cannot be read: {error}"));
                    return None;
                }
            }
        }
        (None, None) => return None,
    };
    let token = BearerToken::new(text.trim());
    if token.is_none() {
        reader.problem(place, format!("a token is 1 to {} visible ASCII characters", BearerToken::MAX_LEN));
    }
    token.map(|token| token.digest())
}

/// Reads `file`, up to the length of a token and its line end.
fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let max = BearerToken::MAX_LEN as u64 + 2;
    std::fs::File::open(file)?.take(max + 1).read_to_string(&mut text)?;
    Ok(text)
}
