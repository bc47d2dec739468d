//! Opening a tunnel: TCP, the proxy, TLS, the upgrade, each with its own timeout.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use eice_proto::tunnel::{Config as MachineConfig, Role, Tunnel as Machine};
use eice_proto::{MaxDuration, PresignedUrl};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role as CodecRole;

use crate::model::{Stage, StageObserver, StageTimer};

use super::config::Config;
use super::error::Error;
use super::lower::Lower;
use super::proxy::{Proxy, ProxyScheme};
use super::stream::{Tunnel, codec_config};
use super::upgrade::upgrade;
use super::{tcp, through, tls};

/// Opens tunnels.
#[derive(Clone)]
pub struct Dialer {
    config: Config,
    trust: tls::Trust,
}

impl Dialer {
    /// Creates a dialer and starts to load the trusted roots.
    ///
    /// # Errors
    /// The CA bundle cannot be read, or no root would be trusted.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { trust: tls::Trust::new(&config)?, config })
    }

    /// Opens the tunnel that `url` requests. Reports the stages `tcp`, `proxy` (if there is one), `tls` and
    /// `upgrade` to `observer`. `max_duration` is the duration that `url` was signed with.
    ///
    /// Success does not mean that the target is reachable: an unreachable target ends the tunnel later, with the
    /// reason in its [`TunnelStatus`](super::TunnelStatus).
    ///
    /// # Errors
    /// See [`Error`]; none contains the URL's query. Each stage has its own timeout. Dropping the future closes
    /// the connection.
    pub async fn dial(
        &self,
        url: &PresignedUrl,
        max_duration: Option<MaxDuration>,
        observer: &dyn StageObserver,
    ) -> Result<Tunnel, Error> {
        let (host, port) = (url.authority().host(), url.authority().port());
        let timeouts = &self.config.timeouts;
        let proxy = self.config.proxy.proxy_for(host, port);
        let (first_host, first_port) = proxy.map_or((host, port), |proxy| (proxy.host.as_str(), proxy.port));

        let connect = tcp::connect(first_host, first_port);
        let stream = timed(Stage::Tcp, first_host, timeouts.tcp, observer, connect).await?;
        let stream = match proxy {
            Some(proxy) => {
                let pass = self.through(proxy, Lower::Tcp(stream), host, port);
                timed(Stage::Proxy, first_host, timeouts.proxy, observer, pass).await?
            }
            None => Lower::Tcp(stream),
        };
        let secure = async {
            let connector = self.trust.connector().await?;
            tls::connect(&connector, host, stream).await.map_err(|error| match error {
                tls::TlsError::Tls(fault, source) => Error::Tls { host: host.to_owned(), fault, source },
                tls::TlsError::Broken(source) => Error::TlsBroken { host: host.to_owned(), source },
            })
        };
        let mut stream = timed(Stage::Tls, host, timeouts.tls, observer, secure).await?;
        let ask = upgrade(&mut stream, url, &self.config.user_agent);
        let accepted = timed(Stage::Upgrade, host, timeouts.upgrade, observer, ask).await?;

        let socket = WebSocketStream::from_partially_read(
            stream,
            accepted.rest,
            CodecRole::Client,
            Some(codec_config()),
        )
        .await;
        let mut machine = MachineConfig::default();
        machine.keepalive_interval = self.config.keepalive;
        machine.max_duration = Some(max_duration.unwrap_or(MaxDuration::MAX).as_duration());
        // The codec answers them.
        machine.answers_pings = false;
        let machine = Machine::new(Role::Client, machine, Instant::now());
        Ok(Tunnel::new(socket, machine, accepted.request_id))
    }

    /// Connects through `proxy` to `host:port`.
    async fn through(&self, proxy: &Proxy, stream: Lower, host: &str, port: u16) -> Result<Lower, Error> {
        let mut stream = match stream {
            Lower::Tcp(stream) if proxy.scheme == ProxyScheme::Https => {
                let connector = self.trust.connector().await?;
                let secured = tls::connect(&connector, &proxy.host, stream).await;
                Lower::Tls(Box::new(secured.map_err(|error| match error {
                    tls::TlsError::Tls(fault, source) => {
                        Error::ProxyTls { proxy: proxy.to_string(), fault, source }
                    }
                    tls::TlsError::Broken(source) => Error::ProxyBroken { proxy: proxy.to_string(), source },
                })?))
            }
            stream => stream,
        };
        through::open(proxy, &mut stream, host, port).await.map_err(|error| error.into_error(proxy, host))?;
        Ok(stream)
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Runs one stage within its deadline. If the future is dropped, the stage is abandoned.
async fn timed<T>(
    stage: Stage,
    host: &str,
    limit: Duration,
    observer: &dyn StageObserver,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let timer = StageTimer::start(stage, observer);
    let result = timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Error::Timeout { stage, host: host.to_owned(), after: limit }));
    timer.finish(result)
}
