//! Compares the shim with a real aws-cli (`make test-awscli AWS=/path/to/aws`): both match the transcripts; also
//! compares their speed. `EICE_AWSCLI_RECORD=1` writes the transcripts again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use eice::emulator::{Backend, EmulatorConfig, InstanceSpec};

use super::replay::agrees;
use super::scene::{Aws, LONG, Scene, instance};
use super::transcript::{self, TOPICS};
use crate::lab::poll;

/// Returns the aws-cli that `make test-awscli` sets.
fn aws_cli() -> Aws {
    let path = std::env::var_os("EICE_AWSCLI")
        .expect("EICE_AWSCLI names aws-cli v2: make test-awscli AWS=/path/to/aws");
    Aws::Real(PathBuf::from(path))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs aws-cli v2, which no package registry has: make test-awscli AWS=/path/to/aws"]
async fn both_match_transcripts() {
    let record = std::env::var_os("EICE_AWSCLI_RECORD").is_some();
    let mut wrong = Vec::new();
    for topic in TOPICS {
        let mut scenes: BTreeMap<String, Scene> = BTreeMap::new();
        let mut transcripts = transcript::load(topic);
        for transcript in &mut transcripts {
            if !scenes.contains_key(&transcript.world) {
                scenes.insert(transcript.world.clone(), Scene::of(&transcript.world, aws_cli()).await);
            }
            let scene = &scenes[&transcript.world];
            let said = transcript.run(scene).await;
            if record {
                transcript.said = Some(said);
            } else if transcript.said.as_ref() != Some(&said) {
                wrong.push(format!(
                    "{topic}: aws {:?}\n  recorded: {:?}\n  now:      {said:?}",
                    transcript.argv, transcript.said
                ));
            }
            let ours = transcript.run(&scene.by(Aws::Ours)).await;
            if let Err(how) = agrees(transcript, &ours) {
                wrong.push(format!("{topic}: aws {:?}\n  {how}\n  ours: {ours:?}", transcript.argv));
            }
        }
        if record {
            transcript::store(topic, &transcripts);
        }
    }
    assert!(wrong.is_empty() || record, "{}", wrong.join("\n"));
}

/// Returns the median of `times` in milliseconds, and a text with the 90th percentile and the maximum.
fn spread(mut times: Vec<Duration>) -> (f64, String) {
    times.sort();
    let ms = |n: usize| times[n.min(times.len() - 1)].as_secs_f64() * 1000.0;
    let (middle, most, worst) = (ms(times.len() / 2), ms(times.len() * 9 / 10), ms(times.len()));
    (middle, format!("{middle:7.1} {most:7.1} {worst:7.1}"))
}

fn row(what: &str, theirs: Vec<Duration>, ours: Vec<Duration>) {
    let ((a, theirs), (b, ours)) = (spread(theirs), spread(ours));
    eprintln!("{what:<28}{theirs}   {ours}   {:6.1}", a / b);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs aws-cli v2, which no package registry has: make test-awscli AWS=/path/to/aws"]
async fn speed() {
    const RUNS: usize = 7;
    eprintln!("\n{:<28}aws-cli: p50, p90, max in ms   eice: the same        ratio", "");
    let key = Scene::start().await.public_key();
    let theirs = Scene::of("default", aws_cli()).await;
    let ours = theirs.by(Aws::Ours);
    let push = [
        "ec2-instance-connect",
        "send-ssh-public-key",
        "--instance-id",
        instance(),
        "--instance-os-user",
        "ubuntu",
        "--ssh-public-key",
        &key,
    ];
    for (what, args) in [
        ("start (--version)", &["--version"][..]),
        ("get-caller-identity", &["sts", "get-caller-identity"]),
        ("send-ssh-public-key", &push),
    ] {
        let mut times = (Vec::new(), Vec::new());
        // Alternately, after one run each to warm the caches.
        for n in 0..=RUNS {
            for (scene, times) in [(&theirs, &mut times.0), (&ours, &mut times.1)] {
                let began = Instant::now();
                assert_eq!(scene.run(args, b"").await.code, 0);
                if n > 0 {
                    times.push(began.elapsed());
                }
            }
        }
        row(what, times.0, times.1);
    }

    let echo = Echo::start();
    let config = EmulatorConfig {
        instances: vec![InstanceSpec { backend: Backend::Forward(echo.addr), ..InstanceSpec::default() }],
        ..EmulatorConfig::default()
    };
    let theirs = Scene::with(config, aws_cli()).await;
    let ours = theirs.by(Aws::Ours);
    // At uneven intervals: aws-cli polls for input every 50 ms.
    for (what, idle) in [("echo, typing fast", 5..8), ("echo, after a pause", 200..300)] {
        let mut tunnels = (Tunnel::open(&theirs), Tunnel::open(&ours));
        let mut times = (Vec::new(), Vec::new());
        for n in 0..60 {
            times.0.push(tokio::task::block_in_place(|| tunnels.0.echo(pause(&idle, n))));
            times.1.push(tokio::task::block_in_place(|| tunnels.1.echo(pause(&idle, n))));
        }
        row(what, times.0, times.1);
    }
    const MIB: usize = 64;
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..3 {
        for (scene, times) in [(&theirs, &mut times.0), (&ours, &mut times.1)] {
            let tunnel = Tunnel::open(scene);
            times.push(tokio::task::block_in_place(|| tunnel.round_trip(MIB << 20)));
        }
    }
    row("64 MiB there and back", times.0, times.1);
}

/// Returns one of the milliseconds in `range`, varying with `n`.
fn pause(range: &std::ops::Range<u64>, n: u64) -> Duration {
    Duration::from_millis(range.start + n * 37 % (range.end - range.start))
}

/// An echo server.
struct Echo {
    addr: std::net::SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        // One thread for each of the few connections; they end with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        Self { addr }
    }
}

/// An `open-tunnel` on pipes.
struct Tunnel {
    child: Child,
}

impl Tunnel {
    fn open(scene: &Scene) -> Self {
        let mut command = scene.aws(&["ec2-instance-connect", "open-tunnel", "--instance-id", instance()]);
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut tunnel = Self { child };
        // The tunnel is open once a byte has come back.
        tokio::task::block_in_place(|| tunnel.echo(Duration::ZERO));
        tunnel
    }

    /// Measures the round trip of one byte after `idle`.
    fn echo(&mut self, idle: Duration) -> Duration {
        std::thread::sleep(idle);
        let (stdin, stdout) = (self.child.stdin.as_mut().unwrap(), self.child.stdout.as_mut().unwrap());
        let began = Instant::now();
        stdin.write_all(b"k").unwrap();
        stdin.flush().unwrap();
        stdout.read_exact(&mut [0]).unwrap();
        began.elapsed()
    }

    /// Measures the round trip of `len` bytes.
    fn round_trip(mut self, len: usize) -> Duration {
        let (mut stdin, stdout) = (self.child.stdin.take().unwrap(), self.child.stdout.as_mut().unwrap());
        let began = Instant::now();
        let feeding = std::thread::spawn(move || {
            let chunk = vec![7; 1 << 20];
            for _ in 0..len >> 20 {
                stdin.write_all(&chunk).unwrap();
            }
            // Kept open until everything is back: at the end of stdin aws-cli spins.
            stdin
        });
        let (mut reader, mut left) = (BufReader::with_capacity(1 << 20, stdout), len);
        while left > 0 {
            let read = reader.fill_buf().unwrap().len();
            assert!(read > 0, "the tunnel ended with {left} bytes missing");
            reader.consume(read);
            left -= read.min(left);
        }
        let took = began.elapsed();
        drop(feeding.join().unwrap());
        took
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = poll(LONG, || self.child.try_wait().ok().flatten());
    }
}
