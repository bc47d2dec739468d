//! The page's cookies: a random id that stands for a bearer token kept here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use rand::RngExt as _;

use super::Config;
use crate::workspace::{BearerToken, TokenDigest};

/// How many cookies of our name one request is searched for: other paths and ports of the host may add theirs.
const MAX_CANDIDATES: usize = 8;

/// What the value of a cookie is made of, in bytes.
const ID_LEN: usize = 32;

/// The valid cookies.
///
/// What a cookie opens is asked anew each time: it stands for the token that it was traded for, so that a token
/// that is taken back takes its cookies along. Only the digest of a cookie's value is kept.
#[derive(Debug)]
pub(super) struct Cookies {
    name: String,
    attributes: &'static str,
    ttl: Duration,
    max: usize,
    valid: Mutex<HashMap<[u8; 32], Entry>>,
}

#[derive(Debug)]
struct Entry {
    token: Arc<BearerToken>,
    until: Instant,
}

impl Cookies {
    pub(super) fn new(config: &Config) -> Self {
        // A browser sends a host's cookies to all of its ports: the port in the name keeps two gateways of one
        // host apart. `__Host-` has the browser refuse a cookie that a sibling domain planted.
        let prefix = if config.secure_cookie { "__Host-" } else { "" };
        let port = config.allowed_origins.first().map_or(0, |origin| origin.port());
        Self {
            name: format!("{prefix}eice-session-{port}"),
            attributes: if config.secure_cookie {
                "; Path=/; HttpOnly; SameSite=Strict; Secure"
            } else {
                "; Path=/; HttpOnly; SameSite=Strict"
            },
            ttl: config.cookie_ttl,
            max: config.max_cookies.max(1),
            valid: Mutex::default(),
        }
    }

    /// Makes a cookie that stands for `token`: the value of `Set-Cookie`.
    pub(super) fn issue(&self, token: BearerToken, now: Instant) -> Option<HeaderValue> {
        let id = random_id();
        let digest = digest(&id)?;
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        if valid.len() >= self.max {
            valid.retain(|_, entry| entry.until > now);
        }
        if valid.len() >= self.max
            && let Some(first) = valid.iter().min_by_key(|(_, entry)| entry.until).map(|(id, _)| *id)
        {
            valid.remove(&first);
        }
        valid.insert(digest, Entry { token: Arc::new(token), until: now.checked_add(self.ttl)? });
        let seconds = self.ttl.as_secs();
        sensitive(format!("{}={id}{}; Max-Age={seconds}", self.name, self.attributes))
    }

    /// The token that a cookie of the request stands for.
    pub(super) fn token(&self, headers: &HeaderMap, now: Instant) -> Option<Arc<BearerToken>> {
        let valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        self.digests(headers).find_map(|digest| {
            valid.get(&digest).filter(|entry| entry.until > now).map(|entry| Arc::clone(&entry.token))
        })
    }

    /// Makes the request's cookies invalid, and gives the `Set-Cookie` that has the browser forget them.
    pub(super) fn revoke(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in self.digests(headers) {
            valid.remove(&digest);
        }
        sensitive(format!("{}={}; Max-Age=0", self.name, self.attributes))
    }

    fn digests<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = [u8; 32]> + 'a {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim_matches(' ').split_once('='))
            .filter(|(name, _)| *name == self.name)
            .filter_map(|(_, value)| digest(value))
            .take(MAX_CANDIDATES)
    }
}

/// 256 random bits as text: the value of a cookie, or of a ticket.
pub(super) fn random_id() -> String {
    let mut id = [0_u8; ID_LEN];
    rand::rng().fill(&mut id);
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest under which such a value is kept; `None` for what cannot be one.
pub(super) fn digest(value: &str) -> Option<[u8; 32]> {
    (value.len() == 2 * ID_LEN).then(|| BearerToken::new(value))?.map(|id| {
        let digest: TokenDigest = id.digest();
        *digest.as_bytes()
    })
}

fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(origin: &str, max: usize) -> Cookies {
        let mut config = Config::new(vec![origin.parse().unwrap()]);
        config.max_cookies = max;
        config.cookie_ttl = Duration::from_secs(60);
        Cookies::new(&config)
    }

    fn token(text: &str) -> BearerToken {
        BearerToken::new(text).unwrap()
    }

    fn sent_back(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, format!("a=b; {pair}; c=d").parse().unwrap())])
    }

    #[test]
    fn a_cookie_is_random_httponly_strict_and_secure_behind_https() {
        let now = Instant::now();
        let plain = cookies("http://localhost:8080", 9);
        let a = plain.issue(token("t"), now).unwrap();
        let b = plain.issue(token("t"), now).unwrap();
        assert_ne!(a, b);
        let text = a.to_str().unwrap();
        assert!(text.starts_with("eice-session-8080="), "{text}");
        assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=60"), "{text}");
        assert_eq!(text.split(['=', ';']).nth(1).unwrap().len(), 64, "256 bits");
        assert!(a.is_sensitive());

        let secure = cookies("https://acme.example", 9).issue(token("t"), now).unwrap();
        let text = secure.to_str().unwrap();
        assert!(text.starts_with("__Host-eice-session-443=") && text.contains("; Secure;"), "{text}");
    }

    #[test]
    fn a_cookie_stands_for_its_token_until_it_ends_or_is_revoked() {
        let cookies = cookies("http://localhost:8080", 9);
        let now = Instant::now();
        let headers = sent_back(&cookies.issue(token("t1"), now).unwrap());
        assert_eq!(cookies.token(&headers, now).unwrap().expose(), "t1");
        assert!(cookies.token(&headers, now + Duration::from_secs(60)).is_none());
        assert!(cookies.revoke(&headers).unwrap().to_str().unwrap().contains("Max-Age=0"));
        assert!(cookies.token(&headers, now).is_none());
        let forged = HeaderMap::from_iter([(
            COOKIE,
            format!("eice-session-8080={}", "0".repeat(64)).parse().unwrap(),
        )]);
        assert!(cookies.token(&forged, now).is_none());
    }

    #[test]
    fn the_store_is_bounded_and_the_oldest_makes_room() {
        let cookies = cookies("http://localhost:8080", 2);
        let now = Instant::now();
        let sent: Vec<_> = (0..3)
            .map(|n| sent_back(&cookies.issue(token("t"), now + Duration::from_secs(n)).unwrap()))
            .collect();
        assert!(cookies.token(&sent[0], now).is_none());
        assert!(cookies.token(&sent[1], now).is_some() && cookies.token(&sent[2], now).is_some());
    }
}
