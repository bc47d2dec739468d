//! A database that is down, slow or full.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use eice::workspace::{Directory, DirectoryError, WorkspaceId};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{add_org_token, add_workspace, bearer, directory, token, tuned};
use crate::lab::Postgres;

/// The gateway's query timeout.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(5);

fn chain(error: &DirectoryError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Returns the text of the outage that `answer` is expected to be.
async fn outage<T>(question: impl Future<Output = Result<T, DirectoryError>>) -> String {
    let begun = Instant::now();
    let Err(error) = question.await else { panic!("an answer") };
    assert!(begun.elapsed() < GATEWAY_PATIENCE, "{:?}: {}", begun.elapsed(), chain(&error));
    chain(&error)
}

#[tokio::test]
async fn restart_is_a_temporary_outage() {
    let mut postgres = Postgres::start();
    let (name, url, id) = {
        let database = postgres.platform();
        add_org_token(&database, &token("org"));
        (database.name.clone(), database.url(), add_workspace(&database, "a", &[]))
    };
    // The first query happens while the database is down.
    let early = directory(&url);
    let directory = directory(&url);
    let org = bearer(&token("org"));
    assert!(directory.find(id).await.unwrap().is_some());

    postgres.stop();
    let down = [
        outage(directory.find(id)).await,
        outage(directory.authenticate(&org)).await,
        outage(directory.lineage(id)).await,
        outage(directory.check()).await,
        outage(early.find(id)).await,
    ];
    for told in down {
        assert!(
            told.starts_with(
                "the directory of workspaces is unavailable: cannot connect to the database at 127.0.0.1:"
            ) && told.contains(&format!("/{name}"))
                && told.contains("Connection refused"),
            "{told}"
        );
    }

    postgres.resume();
    assert!(directory.find(id).await.unwrap().is_some(), "and no restart was needed");
    assert!(directory.authenticate(&org).await.unwrap().is_some());
    assert!(early.find(id).await.unwrap().is_some());

    // Pooled connections do not survive an unnoticed restart; the first query after it succeeds anyway.
    for _ in 0..2 {
        postgres.crash();
        postgres.resume();
        assert!(directory.find(id).await.unwrap().is_some());
        let many = (0..8).map(|_| directory.find(id));
        assert!(futures_util::future::join_all(many).await.into_iter().all(|found| found.unwrap().is_some()));
    }
}

#[tokio::test]
async fn locked_table_is_a_temporary_outage() {
    let database = Postgres::shared().platform();
    let id = add_workspace(&database, "a", &[]);
    let directory = tuned(&database.url(), |config| config.max_connections = 2);
    assert!(directory.find(id).await.unwrap().is_some());
    let lock = database.lock_workspaces();
    let told = outage(directory.find(id)).await;
    assert!(told.contains("statement timeout"), "{told}");
    let told = futures_util::future::join_all((0..6).map(|_| outage(directory.find(id)))).await;
    assert!(told.iter().any(|told| told.contains("no connection to the database became free")), "{told:?}");
    drop(lock);
    // Queries now wait at most until the lock is released.
    assert!(directory.find(id).await.unwrap().is_some());
}

/// A relay to a database that can stop forwarding its open connections.
struct Network {
    address: SocketAddr,
    silent: watch::Sender<()>,
}

impl Network {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = watch::Sender::new(());
        tokio::spawn({
            let silent = silent.clone();
            async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let mut falls_silent = silent.subscribe();
                    tokio::spawn(async move {
                        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                        tokio::select! {
                            _ = copy_bidirectional(&mut client, &mut server) => {}
                            // The sockets stay open and unread.
                            _ = falls_silent.changed() => std::future::pending().await,
                        }
                    });
                }
            }
        });
        Self { address, silent }
    }

    /// Stops forwarding the open connections; new ones work.
    fn fall_silent(&self) {
        self.silent.send(()).unwrap();
    }
}

#[tokio::test]
async fn silent_connection_is_replaced() {
    let postgres = Postgres::shared();
    let database = postgres.platform();
    let id = add_workspace(&database, "a", &[]);
    let network = Network::to(postgres.port).await;
    let url = database.url().replace(&format!("127.0.0.1:{}", postgres.port), &network.address.to_string());
    let directory = tuned(&url, |config| config.max_connections = 1);
    assert!(directory.find(id).await.unwrap().is_some());

    // Cut while idle or on its way back to the pool: the next query may fail with it.
    network.fall_silent();
    let begun = Instant::now();
    let _ = directory.find(id).await;
    assert!(begun.elapsed() < GATEWAY_PATIENCE, "{:?}", begun.elapsed());
    assert!(directory.find(id).await.unwrap().is_some());

    // Cut during a query, which times out or is canceled by the caller.
    for patience in [GATEWAY_PATIENCE, Duration::from_millis(500)] {
        let lock = database.lock_workspaces();
        let asked = tokio::time::timeout(patience, directory.find(id));
        let (asked, ()) = tokio::join!(asked, async {
            let is_waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                              AND datname = current_database()";
            while database.run(is_waiting) != "1" {
                tokio::task::yield_now().await;
            }
            network.fall_silent();
        });
        assert!(!matches!(asked, Ok(Ok(_))), "{asked:?}");
        drop(lock);
        assert!(directory.find(id).await.unwrap().is_some(), "given up after {patience:?}");
    }
}

#[tokio::test]
async fn silent_server_is_an_outage() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let directory = directory(&format!("postgres://u@{address}/d?sslmode=disable"));
    let told = outage(directory.find(WorkspaceId::random())).await;
    assert!(told.contains("does not answer within 2000 ms"), "{told}");
}

#[tokio::test]
async fn password_never_appears() {
    const CANARY: &str = "canary-5c0ffee5";
    let database = Postgres::shared().platform();
    let id = add_workspace(&database, "a", &[]);
    let good = database.url_by_password(CANARY);
    let with = directory(&good);
    assert!(with.find(id).await.unwrap().is_some(), "the password is right");
    assert!(
        !format!("{with:?} {:?}", eice::workspace::postgres::Config::new(good.parse().unwrap()))
            .contains("canary")
    );

    let wrong = good.replace(CANARY, "canary-wrong");
    let elsewhere = good.replace(&database.name, "nowhere");
    let unreachable = "postgres://u:canary@127.0.0.1:1/d".to_owned();
    let no_name = "postgres://u:canary@nowhere.invalid/d".to_owned();
    for (url, want) in [
        (&wrong, "password authentication failed"),
        (&elsewhere, "does not exist"),
        (&unreachable, "Connection refused"),
        (&no_name, "nowhere.invalid"),
    ] {
        let error = directory(url).find(id).await.unwrap_err();
        let told = format!("{} {error:?}", chain(&error));
        assert!(told.contains(want), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}
