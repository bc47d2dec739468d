//! The page's cookies: a random id that stands for a bearer token kept here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use super::Config;
use super::owned::Owned;
use super::secret::{Fingerprint, random};
use crate::workspace::BearerToken;

/// How many cookies of our name one request is searched for: other paths and ports of the host may add theirs.
const MAX_CANDIDATES: usize = 8;

/// What a cookie of any gateway's page is called, before its port and behind [`SECURE`].
const NAME: &str = "eice-session-";

/// Has the browser refuse a cookie that a sibling domain planted, or that came without TLS.
const SECURE: &str = "__Host-";

/// The valid cookies.
///
/// What a cookie opens is asked anew each time: it stands for the token that it was traded for, so that a token
/// that is taken back takes its cookies along. Only the fingerprint of a cookie's value is kept. Each token owns its
/// cookies: when the store is full, the token with the most cookies loses one, so that no user can sign out another.
#[derive(Debug)]
pub(super) struct Cookies {
    settings: RwLock<Arc<Settings>>,
    valid: Mutex<Store>,
}

/// The cookies by fingerprint; their owner is the token's fingerprint.
type Store = Owned<Fingerprint, Fingerprint, PageCookie>;

/// What a cookie looks like, and how long it is valid.
#[derive(Debug)]
struct Settings {
    name: String,
    attributes: &'static str,
    ttl: Duration,
}

/// A cookie: which, and the token that it stands for. The clones share whether its user signed out.
#[derive(Clone, Debug)]
pub(super) struct PageCookie {
    pub(super) fingerprint: Fingerprint,
    pub(super) token: Arc<BearerToken>,
    is_signed_out: Arc<AtomicBool>,
}

impl PageCookie {
    /// Whether its user signed out, which ends what it opened. A cookie that was evicted or is past its time opens
    /// nothing new, and ends nothing.
    pub(super) fn is_signed_out(&self) -> bool {
        self.is_signed_out.load(Ordering::Relaxed)
    }
}

impl Cookies {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            settings: RwLock::new(Arc::new(Settings::new(config))),
            valid: Mutex::new(Owned::new(config.max_cookies)),
        }
    }

    /// Makes cookies by `config` from now on. Those that are valid stay so, unless they would be called otherwise.
    pub(super) fn reconfigure(&self, config: &Config) {
        self.valid().set_max(config.max_cookies);
        let settings = Arc::new(Settings::new(config));
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long a cookie for a token is valid that is valid for `left`: a cookie never outlives its token.
    pub(super) fn ttl(&self, left: Option<Duration>) -> Duration {
        let ttl = self.settings().ttl;
        left.map_or(ttl, |left| left.min(ttl))
    }

    /// Issues a cookie for `token` that is valid for `ttl`, and the value of its `Set-Cookie`.
    pub(super) fn issue(
        &self,
        token: BearerToken,
        ttl: Duration,
        now: Instant,
    ) -> Option<(PageCookie, HeaderValue)> {
        let value = random();
        let owner = Fingerprint::of_token(&token);
        let cookie = PageCookie {
            fingerprint: Fingerprint::of_random(&value)?,
            token: Arc::new(token),
            is_signed_out: Arc::default(),
        };
        let Settings { name, attributes, .. } = &*self.settings();
        let until = now.checked_add(ttl)?;
        self.valid().insert(owner, cookie.fingerprint, cookie.clone(), until, now);
        let seconds = ttl.as_secs();
        let header = sensitive(format!("{name}={value}{attributes}; Max-Age={seconds}"))?;
        Some((cookie, header))
    }

    /// The valid cookie of the request.
    pub(super) fn find(&self, headers: &HeaderMap, now: Instant) -> Option<PageCookie> {
        let valid = self.valid();
        self.fingerprints(headers).find_map(|fingerprint| valid.get(&fingerprint, now).cloned())
    }

    /// Makes the request's cookies invalid, and gives the `Set-Cookie` that has the browser forget them.
    pub(super) fn revoke(&self, headers: &HeaderMap, now: Instant) -> Option<HeaderValue> {
        let mut valid = self.valid();
        for fingerprint in self.fingerprints(headers) {
            if let Some(cookie) = valid.remove(&fingerprint, now) {
                cookie.is_signed_out.store(true, Ordering::Relaxed);
            }
        }
        let Settings { name, attributes, .. } = &*self.settings();
        sensitive(format!("{name}={attributes}; Max-Age=0"))
    }

    fn valid(&self) -> MutexGuard<'_, Store> {
        self.valid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fingerprints<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = Fingerprint> + use<'a> {
        let settings = self.settings();
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(pairs)
            .filter_map(|pair| pair.split_once('='))
            .filter(move |(name, _)| *name == settings.name)
            .filter_map(|(_, value)| Fingerprint::of_random(value))
            .take(MAX_CANDIDATES)
    }
}

impl Settings {
    fn new(config: &Config) -> Self {
        // A browser sends a host's cookies to all of its ports: the port in the name keeps two gateways of one
        // host apart.
        let prefix = if config.secure_cookie { SECURE } else { "" };
        let port = config.allowed_origins.first().map_or(0, |origin| origin.port());
        Self {
            name: format!("{prefix}{NAME}{port}"),
            attributes: if config.secure_cookie {
                "; Path=/; HttpOnly; SameSite=Strict; Secure"
            } else {
                "; Path=/; HttpOnly; SameSite=Strict"
            },
            ttl: config.cookie_ttl,
        }
    }
}

/// The pairs of one `Cookie` line (RFC 6265, section 4.2.1).
pub(super) fn pairs(line: &str) -> impl Iterator<Item = &str> {
    line.split(';').map(|pair| pair.trim_matches([' ', '\t'])).filter(|pair| !pair.is_empty())
}

/// Whether a pair of a `Cookie` line is the cookie of a page of a gateway: of this one, or of another one on this
/// host.
pub(super) fn is_of_a_page(pair: &str) -> bool {
    pair.strip_prefix(SECURE).unwrap_or(pair).starts_with(NAME)
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
    fn cookie_has_every_attribute() {
        let now = Instant::now();
        let plain = cookies("http://localhost:8080", 9);
        let (_, a) = plain.issue(token("t"), plain.ttl(None), now).unwrap();
        let (_, b) = plain.issue(token("t"), plain.ttl(None), now).unwrap();
        assert_ne!(a, b);
        let text = a.to_str().unwrap();
        assert!(text.starts_with("eice-session-8080="), "{text}");
        assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=60"), "{text}");
        assert_eq!(text.split(['=', ';']).nth(1).unwrap().len(), 64, "256 bits");
        assert!(a.is_sensitive());

        let secure = cookies("https://acme.example", 9);
        let (_, secure) = secure.issue(token("t"), secure.ttl(None), now).unwrap();
        let text = secure.to_str().unwrap();
        assert!(text.starts_with("__Host-eice-session-443=") && text.contains("; Secure;"), "{text}");
    }

    #[test]
    fn cookie_is_valid_until_revoked() {
        let cookies = cookies("http://localhost:8080", 9);
        let now = Instant::now();
        let (cookie, set) = cookies.issue(token("t1"), cookies.ttl(None), now).unwrap();
        let headers = sent_back(&set);
        assert_eq!(cookies.find(&headers, now).unwrap().token.expose(), "t1");
        assert!(!cookie.is_signed_out());
        assert!(cookies.find(&headers, now + Duration::from_secs(60)).is_none());
        assert!(cookies.revoke(&headers, now).unwrap().to_str().unwrap().contains("Max-Age=0"));
        assert!(cookies.find(&headers, now).is_none() && cookie.is_signed_out());
        let forged = HeaderMap::from_iter([(
            COOKIE,
            format!("eice-session-8080={}", "0".repeat(64)).parse().unwrap(),
        )]);
        assert!(cookies.find(&forged, now).is_none());
    }

    #[test]
    fn cookie_does_not_outlive_its_token() {
        let cookies = cookies("http://localhost:8080", 9);
        let now = Instant::now();
        let ttl = cookies.ttl(Some(Duration::from_secs(7)));
        let (_, set) = cookies.issue(token("t"), ttl, now).unwrap();
        assert!(set.to_str().unwrap().ends_with("; Max-Age=7"), "{set:?}");
        let sent = sent_back(&set);
        assert!(cookies.find(&sent, now + Duration::from_secs(6)).is_some());
        assert!(cookies.find(&sent, now + Duration::from_secs(7)).is_none());
        assert_eq!(cookies.ttl(Some(Duration::MAX)), Duration::from_secs(60));
    }

    #[test]
    fn a_token_displaces_only_its_own_cookies() {
        let cookies = cookies("http://localhost:8080", 3);
        let now = Instant::now();
        let issue = |text: &str, seconds| {
            let now = now + Duration::from_secs(seconds);
            let (cookie, set) = cookies.issue(token(text), cookies.ttl(None), now).unwrap();
            (cookie, sent_back(&set))
        };
        let (_, ann) = issue("ann", 0);
        let eve: Vec<_> = (1..10).map(|n| issue("eve", n)).collect();
        let now = now + Duration::from_secs(10);
        assert!(cookies.find(&ann, now).is_some());
        let left = eve.iter().filter(|(_, headers)| cookies.find(headers, now).is_some());
        assert_eq!(left.count(), 2);
        // What was opened with a displaced cookie stays open.
        assert!(eve.iter().all(|(cookie, _)| !cookie.is_signed_out()));
    }

    #[test]
    fn a_pages_cookie_is_known_by_its_name() {
        let line = "a=b;  eice-session-8080=1; __Host-eice-session-443=2; \tnot-eice-session-1=3;; eice=4";
        let others: Vec<_> = pairs(line).filter(|pair| !is_of_a_page(pair)).collect();
        assert_eq!(others, ["a=b", "not-eice-session-1=3", "eice=4"]);
    }
}
