//! Asks the control plane whose session the cookies of a browser are
//! (docs/canvas.md, section 1.8).
//!
//! Its answers are kept for a moment, what fails is not, and the same question is asked once at a time.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::ControlPlane;
use super::auth::AuthMode;
use super::bounded::Bounded;
use super::cookies::{is_of_a_page, pairs};
use super::secret::Fingerprint;
use crate::model::escape_control;
use crate::roots::roots;
use crate::workspace::{Access, CredentialKind, Principal};

/// Who asks, as the control plane knows it.
const AGENT: HeaderValue = HeaderValue::from_static("molecule-tenant-platform/session-verifier");

/// How long an answer may take in all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long it is believed that somebody is a member, and that they are none.
const MEMBER_TTL: Duration = Duration::from_secs(30);
const STRANGER_TTL: Duration = Duration::from_secs(5);

/// How many answers are kept; the one nearest to its end makes room.
const MAX_ANSWERS: usize = 10_000;

/// How many questions are under way at once; more wait, within the time for an answer.
pub(super) const MAX_QUESTIONS: usize = 32;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 << 10;

/// The most cookies that are passed on, in bytes.
const MAX_COOKIES: usize = 16 << 10;

/// The longest user's id, in bytes.
const MAX_USER_ID: usize = 200;

/// How long a connection without a question is kept.
const KEPT_CONNECTION: Duration = Duration::from_secs(30);

/// The cookies of a request that may be a session with the control plane: all but those of our own page, which are
/// no others. `Debug` does not show them; they are wiped on drop.
#[derive(Clone)]
pub(super) struct SessionCookies(Arc<Zeroizing<String>>);

impl SessionCookies {
    /// Those of a request; `None` when it has none, or more than are passed on.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut passed_on = Zeroizing::new(String::new());
        for line in headers.get_all(COOKIE) {
            for pair in pairs(line.to_str().ok()?).filter(|pair| !is_of_a_page(pair)) {
                if !passed_on.is_empty() {
                    passed_on.push_str("; ");
                }
                passed_on.push_str(pair);
            }
        }
        let is_sound = (1..=MAX_COOKIES).contains(&passed_on.len());
        is_sound.then(|| Self(Arc::new(passed_on)))
    }

    /// What they are known by here.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[self.0.as_bytes()])
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for SessionCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionCookies(..)")
    }
}

/// The control plane did not say whether somebody is a member: it is down, slow, or says something else.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the control plane did not say who is a member")]
pub(super) struct ControlPlaneError {
    source: Arc<dyn Error + Send + Sync>,
}

impl ControlPlaneError {
    fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into().into() }
    }
}

/// Somebody's id when they are a member, and `None` when they are not.
type Answer = Result<Option<String>, ControlPlaneError>;

/// Who is a member, by what the control plane says.
pub(super) struct Members {
    client: OnceCell<Client<HttpsConnector<HttpConnector>, Body>>,
    /// Who may sign for the control plane instead of the system's authorities.
    trusted: Option<Vec<CertificateDer<'static>>>,
    answers: Mutex<Bounded<Fingerprint, Option<String>>>,
    flights: Mutex<HashMap<Fingerprint, Arc<Flight>>>,
    room: Semaphore,
}

/// A question that is under way, and when it was answered last.
type Flight = tokio::sync::Mutex<Option<(Instant, Answer)>>;

impl Members {
    /// Asks control planes that the system's authorities sign for.
    pub(super) fn new() -> Self {
        Self {
            client: OnceCell::new(),
            trusted: None,
            answers: Mutex::new(Bounded::new(MAX_ANSWERS)),
            flights: Mutex::default(),
            room: Semaphore::new(MAX_QUESTIONS),
        }
    }

    /// Forgets every answer.
    pub(super) fn forget(&self) {
        self.answers().clear();
    }

    /// Returns the organization's member whose session `cookies` are; `None` if they are no member's.
    pub(super) async fn member(
        &self,
        plane: &ControlPlane,
        cookies: &SessionCookies,
        purpose: AuthMode,
    ) -> Result<Option<Principal>, ControlPlaneError> {
        let id = self.answer(plane, cookies, purpose).await?;
        Ok(id.map(|id| {
            Principal::of_kind(format!("member:{}", escape_control(&id)), CredentialKind::Member, Access::All)
        }))
    }

    async fn answer(&self, plane: &ControlPlane, cookies: &SessionCookies, purpose: AuthMode) -> Answer {
        let asked = Instant::now();
        let key = Fingerprint::of(&[plane.slug().as_bytes(), cookies.0.as_bytes()]);
        if purpose == AuthMode::Use
            && let Some(known) = self.answers().get(&key, asked)
        {
            return Ok(known.clone());
        }
        let flight = self.board(key);
        let mut last = flight.flight.lock().await;
        // An answer that came while this one waited for its turn is as good, and so is a failure.
        if let Some((at, answer)) = &*last
            && *at >= asked
        {
            return answer.clone();
        }
        let answer = self.question(plane, cookies).await;
        let now = Instant::now();
        if let Ok(id) = &answer {
            let ttl = if id.is_some() { MEMBER_TTL } else { STRANGER_TTL };
            self.answers().insert(key, id.clone(), now + ttl);
        }
        *last = Some((now, answer.clone()));
        answer
    }

    /// Asks, within the time for an answer.
    async fn question(&self, plane: &ControlPlane, cookies: &SessionCookies) -> Answer {
        let asking = async {
            let _room = self.room.acquire().await.map_err(ControlPlaneError::new)?;
            self.ask(plane, cookies).await
        };
        let answer = timeout(ANSWER_TIMEOUT, asking).await;
        answer.unwrap_or_else(|_| Err(ControlPlaneError::new("it did not answer in time")))
    }

    async fn ask(&self, plane: &ControlPlane, cookies: &SessionCookies) -> Answer {
        let client = self.client.get_or_try_init(|| client(self.trusted.clone())).await?;
        let cookies = cookies.header().ok_or_else(|| ControlPlaneError::new("the cookies are no header"))?;
        let request = Request::builder()
            .method(Method::GET)
            .uri(plane.question())
            .header(USER_AGENT, AGENT)
            .header(COOKIE, cookies)
            .body(Body::empty())
            .map_err(ControlPlaneError::new)?;
        // A redirect is not followed: the cookies are for the control plane alone.
        let response = client.request(request).await.map_err(ControlPlaneError::new)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => return Ok(None),
            other => return Err(ControlPlaneError::new(format!("it answered {}", other.as_u16()))),
        }
        let body = to_bytes(Body::new(response.into_body()), MAX_ANSWER).await;
        membership(&body.map_err(ControlPlaneError::new)?)
    }

    /// Takes a seat in the flight for `key`, which is shared by everybody who asks the same.
    fn board(&self, key: Fingerprint) -> Seat<'_> {
        let flight = Arc::clone(self.flights().entry(key).or_default());
        Seat { members: self, key, flight }
    }

    fn answers(&self) -> MutexGuard<'_, Bounded<Fingerprint, Option<String>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Fingerprint, Arc<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

/// A seat in a flight. The last one to leave takes the flight away.
struct Seat<'a> {
    members: &'a Members,
    key: Fingerprint,
    flight: Arc<Flight>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flights = self.members.flights();
        // Ours and the table's.
        if Arc::strong_count(&self.flight) <= 2 {
            flights.remove(&self.key);
        }
    }
}

/// What the control plane says of somebody. It may say more.
#[derive(Deserialize)]
struct Membership {
    #[serde(default)]
    member: bool,
    #[serde(default)]
    user_id: String,
}

/// Whose session it is, by the body of the answer: a member has an id.
fn membership(body: &[u8]) -> Answer {
    let said: Membership = serde_json::from_slice(body).map_err(|error| {
        ControlPlaneError::new(format!("it answered no membership, at column {}", error.column()))
    })?;
    if said.user_id.len() > MAX_USER_ID {
        return Err(ControlPlaneError::new(format!("it answered a user's id above {MAX_USER_ID} bytes")));
    }
    Ok(Some(said.user_id).filter(|id| said.member && !id.is_empty()))
}

async fn client(
    trusted: Option<Vec<CertificateDer<'static>>>,
) -> Result<Client<HttpsConnector<HttpConnector>, Body>, ControlPlaneError> {
    // Reading the system's roots takes as long as several round trips.
    let tls = tokio::task::spawn_blocking(move || tls(trusted)).await.map_err(ControlPlaneError::new)??;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEPT_CONNECTION)
        .pool_max_idle_per_host(MAX_QUESTIONS)
        .build(connector))
}

fn tls(trusted: Option<Vec<CertificateDer<'static>>>) -> Result<ClientConfig, ControlPlaneError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(trusted.unwrap_or_else(|| roots().certificates.clone()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ControlPlaneError::new)?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
pub(super) mod script;
#[cfg(test)]
mod tests;
