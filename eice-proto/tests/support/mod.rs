//! Reads fixtures/sigv4 and signs with aws-sigv4.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken fixture ends the test")]

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use eice_proto::sigv4::{Scope, Signed};
use eice_proto::{Credentials, Timestamp};
use serde::Deserialize;

type Pair = (String, String);

#[derive(Debug, Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) form: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) clock: String,
    pub(crate) unix: u64,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) expires: Option<u32>,
    pub(crate) endpoint: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) address: Option<String>,
    pub(crate) max_duration: Option<u16>,
    pub(crate) url: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) given_headers: Option<Vec<Pair>>,
    pub(crate) headers: Option<Vec<Pair>>,
    pub(crate) canonical_request: String,
    pub(crate) canonical_request_sha256: String,
    pub(crate) string_to_sign: String,
    pub(crate) signature: String,
}

impl Vector {
    pub(crate) fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/sigv4");
        let mut paths: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
            .collect()
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::new(&self.access_key_id, &self.secret_access_key, self.session_token.clone())
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::new(&self.region, &self.service)
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.unix)
    }

    /// Returns the request target and the headers that a server receives.
    pub(crate) fn received(&self) -> (String, Vec<Pair>) {
        match (&self.url, &self.query, &self.headers) {
            (Some(url), _, _) => {
                let target = url.strip_prefix(&format!("wss://{}", self.host)).unwrap();
                (target.to_owned(), vec![("Host".into(), self.host.clone())])
            }
            (None, Some(query), Some(headers)) if query.is_empty() => (self.path.clone(), headers.clone()),
            (None, Some(query), Some(headers)) => (format!("{}?{query}", self.path), headers.clone()),
            _ => panic!("{} has neither a URL nor headers", self.name),
        }
    }

    /// Returns the query of a header vector, without the crate's own decoder.
    pub(crate) fn decoded_query(&self) -> Vec<Pair> {
        let query = self.query.as_deref().unwrap_or_default();
        let decode = |text: &str| text.replace("%2F", "/").replace("%20", " ");
        let pieces = query.split('&').filter(|piece| !piece.is_empty());
        pieces.map(|piece| piece.split_once('=').map(|(n, v)| (decode(n), decode(v))).unwrap()).collect()
    }

    pub(crate) fn assert_steps(&self, signed: &Signed) {
        assert_eq!(signed.canonical_request().as_str(), self.canonical_request, "{}", self.name);
        assert_eq!(signed.canonical_request().hash(), self.canonical_request_sha256, "{}", self.name);
        assert_eq!(signed.string_to_sign(), self.string_to_sign, "{}", self.name);
        assert_eq!(signed.signature(), self.signature, "{}", self.name);
    }
}

pub(crate) fn pairs(owned: &[Pair]) -> Vec<(&str, &str)> {
    owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Returns the signature that aws-sigv4 computes for a query vector, given the URL without its signing parameters.
pub(crate) fn aws_sigv4_signature(vector: &Vector) -> String {
    let credentials = aws_credential_types::Credentials::new(
        &vector.access_key_id,
        &vector.secret_access_key,
        vector.session_token.clone(),
        None,
        "vector",
    );
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(u64::from(vector.expires.unwrap())));
    settings.session_token_mode = SessionTokenMode::Include;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&vector.region)
        .name(&vector.service)
        .time(UNIX_EPOCH + Duration::from_secs(vector.unix))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    // aws-sigv4 does not know the default port of wss; the host is passed as sent, so https gives the same result.
    let url = vector.url.as_ref().unwrap().replacen("wss://", "https://", 1);
    let (url, _) = url.split_once("&X-Amz-Algorithm").unwrap();
    let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[])).unwrap();
    sign(request, &params).unwrap().into_parts().1
}
