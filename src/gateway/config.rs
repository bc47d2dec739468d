//! The gateway's settings.

use std::time::Duration;

use super::{Host, Origin, Platform};
use crate::session;
use crate::setters::setters;

/// The gateway's settings. [`Config::new`] has every one but the origins at its default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The origins whose pages may open terminals, compared exactly. Without one, no browser is admitted.
    pub allowed_origins: Vec<Origin>,
    /// The values of `Host`, against DNS rebinding. The default is the hosts of the allowed origins.
    pub allowed_hosts: Vec<Host>,
    /// Whether the page's cookie carries `Secure`. The default is whether every allowed origin is https.
    pub secure_cookie: bool,
    /// Whether `GET /workspaces/{id}` returns the status without authentication, as the platform's does. The default is
    /// no.
    pub public_status: bool,
    /// Whether `GET /metrics` is served, without authentication. The default is yes, as on the platform.
    pub metrics: bool,
    /// How often the server pings a viewer: edge proxies cut sockets that are idle for about 100 s. The default
    /// is 25 s.
    pub ping_interval: Duration,
    /// How long a viewer may be silent before it counts as gone. The default is 75 s.
    pub dead_peer_timeout: Duration,
    /// The lifetime of a ticket. The default is 30 s.
    pub ticket_ttl: Duration,
    /// How long a viewer that speaks `eicterm.v1` may take to attach. The default is 10 s.
    pub attach_timeout: Duration,
    /// How many control messages a viewer may send a second, with twice that in a burst: pings, and what
    /// `eicterm.v1` has besides input. The default is 200.
    pub max_control_rate: u32,
    /// The largest message that a viewer may send, in bytes: xterm.js sends a paste as one. The default is
    /// 16 MiB. A larger one closes the socket with 1009.
    pub max_message: usize,
    /// The largest body of a request, in bytes. The default is 16 KiB.
    pub max_body: usize,
    /// The largest body of a request that writes files, in bytes of JSON. The default is 8 MiB.
    pub max_files_body: usize,
    /// How many requests that write files are served at once; more are answered 429. Each has a connection of its
    /// own, from when its body is here. The default is 16.
    pub max_file_requests: usize,
    /// How many of them may be of one user. The default is 3.
    pub max_file_requests_per_user: usize,
    /// How many of them may be for one workspace. The default is 3.
    pub max_file_requests_per_workspace: usize,
    /// How long the writing of files may take, connecting included. The default is 30 s, the platform's.
    pub files_timeout: Duration,
    /// How many diagnoses may be in progress at once, one for each workspace; more are answered 429. The default
    /// is 8.
    pub max_diagnoses: usize,
    /// How many of them one user may have started. The default is 2.
    pub max_diagnoses_per_user: usize,
    /// How long a diagnosis may take, should it not end by itself within its 30 s. The default is 35 s.
    pub diagnose_timeout: Duration,
    /// How long a request may take that is none of a terminal, of files or of a diagnosis. The default is 15 s.
    pub request_timeout: Duration,
    /// How long the directory may take to answer before that is an outage. The default is 5 s.
    pub directory_timeout: Duration,
    /// How long a peer may take to send a request's head. The default is 10 s.
    pub header_read_timeout: Duration,
    /// How long a peer may accept no pending data before its connection is closed:
    /// output of a terminal, or an answer. What flow control holds back is not there yet. The default is 120 s. Only
    /// Linux can tell.
    pub write_stall_timeout: Duration,
    /// How many connections are served at once, terminals not counted. One more takes the place of the one that has
    /// been quiet for longest, and waits while none is quiet. The default is 4,096.
    pub max_connections: usize,
    /// How long the page's cookie opens anything. The default is 12 h.
    pub cookie_ttl: Duration,
    /// How many cookies are valid at once; then the token with the most loses the one nearest to its end. The default
    /// is 10,000.
    pub max_cookies: usize,
    /// How many wrong tokens one peer may send in [`Self::wrong_token_window`] before it is answered 429. The
    /// default is 20.
    pub max_wrong_tokens: u32,
    /// The window of [`Self::max_wrong_tokens`]. The default is 60 s.
    pub wrong_token_window: Duration,
    /// How many proxies of ours stand in front: so many of the last entries of `X-Forwarded-For` are believed. The
    /// default, none, believes nothing.
    pub trusted_proxies: usize,
    /// How many requests a minute one peer may send. The default is 600.
    pub rate_limit: u32,
    /// How many requests a minute may be sent by one token, or one session of a browser, from wherever. The
    /// default is 1,200.
    pub token_rate_limit: u32,
    /// How often it is asked whether what the open terminals were opened by still holds. The default is 10 s.
    pub recheck_interval: Duration,
    /// What the platform around it is.
    pub platform: Platform,
    /// How long open terminals and requests may take to end once draining began. The default is 10 s.
    pub drain_timeout: Duration,
    /// The sessions' own settings.
    pub session: session::Config,
}

impl Config {
    /// The default settings for pages of `allowed_origins`.
    #[must_use]
    pub fn new(allowed_origins: Vec<Origin>) -> Self {
        Self {
            allowed_hosts: allowed_origins.iter().map(|origin| origin.host().clone()).collect(),
            secure_cookie: !allowed_origins.is_empty() && allowed_origins.iter().all(Origin::is_https),
            allowed_origins,
            public_status: false,
            metrics: true,
            ping_interval: Duration::from_secs(25),
            dead_peer_timeout: Duration::from_secs(75),
            ticket_ttl: Duration::from_secs(30),
            attach_timeout: Duration::from_secs(10),
            max_control_rate: 200,
            max_message: 16 << 20,
            max_body: 16 << 10,
            max_files_body: 8 << 20,
            max_file_requests: 16,
            max_file_requests_per_user: 3,
            max_file_requests_per_workspace: 3,
            files_timeout: crate::files::workspace::WRITE_TIMEOUT,
            max_diagnoses: 8,
            max_diagnoses_per_user: 2,
            diagnose_timeout: Duration::from_secs(35),
            request_timeout: Duration::from_secs(15),
            directory_timeout: Duration::from_secs(5),
            header_read_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(120),
            max_connections: 4096,
            cookie_ttl: Duration::from_secs(12 * 3600),
            max_cookies: 10_000,
            max_wrong_tokens: 20,
            wrong_token_window: Duration::from_secs(60),
            trusted_proxies: 0,
            rate_limit: 600,
            token_rate_limit: 1200,
            recheck_interval: Duration::from_secs(10),
            platform: Platform::default(),
            drain_timeout: Duration::from_secs(10),
            session: session::Config::default(),
        }
    }
}

setters! {
    Config {
        allowed_origins: Vec<Origin>,
        allowed_hosts: Vec<Host>,
        secure_cookie: bool,
        public_status: bool,
        metrics: bool,
        ping_interval: Duration,
        dead_peer_timeout: Duration,
        ticket_ttl: Duration,
        attach_timeout: Duration,
        max_control_rate: u32,
        max_message: usize,
        max_body: usize,
        max_files_body: usize,
        max_file_requests: usize,
        files_timeout: Duration,
        max_diagnoses: usize,
        diagnose_timeout: Duration,
        request_timeout: Duration,
        directory_timeout: Duration,
        header_read_timeout: Duration,
        write_stall_timeout: Duration,
        max_connections: usize,
        cookie_ttl: Duration,
        max_cookies: usize,
        max_wrong_tokens: u32,
        wrong_token_window: Duration,
        trusted_proxies: usize,
        rate_limit: u32,
        token_rate_limit: u32,
        recheck_interval: Duration,
        platform: Platform,
        drain_timeout: Duration,
        session: session::Config,
    }
}
