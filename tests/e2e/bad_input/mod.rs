//! Faults on the way to a shell: each fails within its deadline, names the stage and a hint, and leaks nothing. The
//! real client stack runs against the emulator's injected faults.

mod calls;
mod endpoint;
mod instance;
mod proxy;

use std::time::{Duration, Instant};

use eice::emulator::Faults;
use eice::model::{Connect, Fault, InstanceTarget, Stage, StageError, StageEvent, Target};
use eice::{aws, connect, tunnel};

use crate::lab::World;

/// How long a fault that is answered may take to be reported.
const AT_ONCE: Duration = Duration::from_secs(8);

/// The timeout of each stage in tests that wait for one.
const SHORT: Duration = Duration::from_millis(700);

/// How often each fault is repeated, so that a small leak adds up.
const ATTEMPTS: usize = 5;

/// The connection pools of the APIs: each starts one task when it first has an idle connection.
const POOLS: usize = 2;

/// Sets every timeout that a silent peer can exhaust to [`SHORT`].
fn impatient(_: &mut aws::AwsConfig, tunnel: &mut tunnel::Config, connect: &mut connect::ConnectConfig) {
    tunnel.timeouts.tcp = SHORT;
    tunnel.timeouts.proxy = SHORT;
    tunnel.timeouts.tls = SHORT;
    tunnel.timeouts.upgrade = SHORT;
    connect.ssh.timeouts.banner = SHORT;
    connect.ssh.timeouts.key_exchange = SHORT;
}

/// What a test expects of a failure.
struct Expected<'a> {
    stage: Stage,
    fault: Fault,
    /// Words that the message, its causes or the hint must contain.
    words: &'a [&'a str],
}

/// Asserts that connecting fails as expected, repeatedly, and leaks nothing.
#[track_caller]
fn refused<'a>(
    world: &'a World,
    connector: &'a dyn Connect,
    target: &'a InstanceTarget,
    expected: Expected<'a>,
) -> impl Future<Output = StageError> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let target = Target::from(target.clone());
        let mut before = None;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let began = Instant::now();
            let attempt = connector.connect(&target, &|_: StageEvent| {});
            let error = match tokio::time::timeout(Duration::from_secs(60), attempt).await {
                Ok(Err(error)) => error,
                Ok(Ok(host)) => panic!("{caller}: it succeeded: {host:?}"),
                Err(_) => panic!("{caller}: no end after 60 s"),
            };
            let took = began.elapsed();
            let text = format!("{error}; {}; hint: {:?}", error.chain(), error.hint());
            assert!(took < AT_ONCE, "{caller}: it took {took:?}: {text}");
            assert_eq!((error.stage(), error.fault()), (expected.stage, expected.fault), "{caller}: {text}");
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{caller}: nothing to do: {text}");
            for word in expected.words {
                assert!(text.contains(word), "{caller}: no {word:?} in: {text}");
            }
            let access = world.emulator.access();
            for secret in [access.secret_access_key(), "X-Amz-Signature="] {
                assert!(!text.contains(secret), "{caller}: a secret in: {text}");
            }
            last = Some(error);
            // The first attempt fills caches and pools.
            if before.is_none() {
                before = Some(world.settled().await);
            }
        }
        before.unwrap().assert_leaks_at_most(POOLS).await;
        assert_eq!(world.emulator.open_tunnels(), 0, "{caller}");
        last.unwrap()
    }
}

async fn fails(world: &World, stage: Stage, fault: Fault, words: &[&str]) -> StageError {
    let target = world.target();
    refused(world, &*world.connector, &target, Expected { stage, fault, words }).await
}

async fn fails_with(faults: Faults, stage: Stage, fault: Fault, words: &[&str]) {
    let world = World::builtin().await;
    world.emulator.faults().set(faults);
    let connector = world.client(impatient);
    let target = world.target();
    refused(&world, &connector, &target, Expected { stage, fault, words }).await;
    // Connecting works again once the fault is gone.
    world.emulator.faults().clear();
    world.host(&world.target()).await.close().await;
    world.emulator.shutdown().await;
}
