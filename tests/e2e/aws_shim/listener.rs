//! `open-tunnel --local-port`: its messages, its connection numbers, and the bugs of aws-cli that it does not have.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use eice::emulator::{Backend, CloseForm, EmulatorConfig, InstanceSpec, UpgradeFault};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::scene::{LONG, Scene, ShimOutput, instance};
use crate::lab::{eventually, wait_for_exit};

/// A listening `aws` and its output lines.
pub(super) struct Listening {
    pub(super) child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    pub(super) port: u16,
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    lines
}

impl Listening {
    /// Starts it with `more` options, on a port that was free a moment ago.
    pub(super) fn start(scene: &Scene, more: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port_text = port.to_string();
        let mut args =
            vec!["--region", "eu-west-1", "ec2-instance-connect", "open-tunnel", "--instance-id", instance()];
        args.extend(["--local-port", &port_text]);
        args.extend(more);
        let mut child = scene.aws(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let listening = Self { child, stdout, stderr, port };
        assert_eq!(listening.says(), format!("Listening for connections on port {port}."));
        listening
    }

    /// Returns the next line on stdout.
    #[track_caller]
    pub(super) fn says(&self) -> String {
        tokio::task::block_in_place(|| self.stdout.recv_timeout(LONG)).expect("a line on stdout")
    }

    /// Returns the next line on stderr.
    #[track_caller]
    fn complains(&self) -> String {
        tokio::task::block_in_place(|| self.stderr.recv_timeout(LONG)).expect("a line on stderr")
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// Sends `signal` and returns the exit status.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        tokio::task::block_in_place(|| wait_for_exit(&mut self.child)).code()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a scene, and the listener that is its instance.
pub(super) async fn target() -> (Scene, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = Backend::Forward(listener.local_addr().unwrap());
    let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
    let scene =
        Scene::with(EmulatorConfig { instances, ..EmulatorConfig::default() }, super::scene::Aws::Ours).await;
    (scene, listener)
}

pub(super) async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(LONG, listener.accept()).await.expect("a connection at the instance").unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_numbered() {
    let scene = Scene::start().await;
    let listening = Listening::start(&scene, &[]);
    for n in 1..=2 {
        let mut stream = listening.connect().await;
        let mut banner = [0; 8];
        timeout(LONG, stream.read_exact(&mut banner)).await.unwrap().unwrap();
        assert_eq!(&banner, b"SSH-2.0-");
        assert_eq!(listening.says(), format!("[{n}] Accepted new tcp connection, opening websocket tunnel."));
        drop(stream);
        assert_eq!(listening.says(), format!("[{n}] Closing tcp connection."));
    }
    assert_eq!(scene.proxy.take_targets(), vec![format!("{}:443", super::scene::ENDPOINT); 2]);
    assert_eq!(listening.end(Signal::INT), Some(130));
    eventually("no tunnel is left", || (scene.world.emulator.open_tunnels() == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn excess_connection_is_closed() {
    let scene = Scene::start().await;
    let listening = Listening::start(&scene, &["--max-websocket-connections", "1"]);
    let mut first = listening.connect().await;
    timeout(LONG, first.read_exact(&mut [0; 8])).await.unwrap().unwrap();
    assert_eq!(listening.says(), "[1] Accepted new tcp connection, opening websocket tunnel.");
    let mut second = listening.connect().await;
    let said = listening.says();
    assert_eq!(said, "Max websocket connections 1 have been reached, closing incoming connection.");
    assert_eq!(timeout(LONG, second.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
    drop(first);
    assert_eq!(listening.says(), "[1] Closing tcp connection.");
    let mut third = listening.connect().await;
    timeout(LONG, third.read_exact(&mut [0; 8])).await.unwrap().unwrap();
    assert_eq!(listening.says(), "[2] Accepted new tcp connection, opening websocket tunnel.");
}

/// aws-cli sends the last chunk twice when the local side has closed, in four of six runs.
#[tokio::test(flavor = "multi_thread")]
async fn data_before_close_arrives_once() {
    let (scene, listener) = target().await;
    let listening = Listening::start(&scene, &[]);
    for n in 0..20_u32 {
        let payload = format!("payload {n}");
        let mut client = listening.connect().await;
        client.write_all(payload.as_bytes()).await.unwrap();
        drop(client);
        let mut far = accept(&listener).await;
        let mut got = vec![0; payload.len()];
        timeout(LONG, far.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, payload.as_bytes());
        // The local side is closed, so that writing the answer fails and the tunnel closes.
        far.write_all(b"thanks").await.unwrap();
        let mut more = Vec::new();
        let _ = timeout(LONG, far.read_to_end(&mut more)).await.expect("the tunnel closes");
        assert!(more.is_empty(), "again: {:?}", String::from_utf8_lossy(&more));
    }
}

/// aws-cli fails with `cannot access local variable 'data'`.
#[tokio::test(flavor = "multi_thread")]
async fn empty_connection_is_no_error() {
    let scene = Scene::start().await;
    let listening = Listening::start(&scene, &[]);
    for n in 1..=3 {
        drop(listening.connect().await);
        assert_eq!(listening.says(), format!("[{n}] Accepted new tcp connection, opening websocket tunnel."));
        assert_eq!(listening.says(), format!("[{n}] Closing tcp connection."));
    }
    eventually("no tunnel is left", || (scene.world.emulator.open_tunnels() == 0).then_some(()));
    assert!(listening.stderr.try_recv().is_err(), "and nothing is wrong");
}

/// aws-cli tears the tunnel down when the local side stops sending.
#[tokio::test(flavor = "multi_thread")]
async fn half_closed_connection_gets_answer() {
    let (scene, listener) = target().await;
    let listening = Listening::start(&scene, &[]);
    let mut client = listening.connect().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut far = accept(&listener).await;
    timeout(LONG, far.read_exact(&mut [0; 8])).await.unwrap().unwrap();
    let answer = vec![b'a'; 200_000];
    far.write_all(&answer).await.unwrap();
    drop(far);
    let mut got = Vec::new();
    timeout(LONG, client.read_to_end(&mut got)).await.unwrap().unwrap();
    assert!(got == answer, "{} of {} bytes", got.len(), answer.len());
}

/// aws-cli ends the whole listener when one tunnel cannot be opened, and hides why a tunnel closed.
#[tokio::test(flavor = "multi_thread")]
async fn tunnel_failure_ends_one_connection() {
    let scene = Scene::start().await;
    let listening = Listening::start(&scene, &[]);
    let refused = r#"{"ErrorCode":"AccessDeniedException","Message":"because"}"#;
    let refusal = eice::emulator::UpgradeRejection {
        body: refused.into(),
        ..eice::emulator::UpgradeRejection::default()
    };
    scene.world.emulator.faults().update(|faults| faults.upgrade = Some(UpgradeFault::Refuse(refusal)));
    let mut stream = listening.connect().await;
    assert_eq!(timeout(LONG, stream.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
    let said = listening.complains();
    assert!(said.starts_with("[1] Encountered error with websocket: "), "{said}");
    assert!(said.contains("AccessDeniedException") && said.contains("because"), "{said}");

    scene.world.emulator.faults().update(|faults| {
        faults.upgrade = None;
        faults.target_failed_form =
            Some(CloseForm::Close { code: 1011, reason: "Unable to connect to target".into() });
    });
    scene
        .world
        .emulator
        .add_instance(InstanceSpec { backend: Backend::Closed, ..InstanceSpec::default() })
        .await
        .unwrap();
    drop(listening.connect().await);
    let said = listening.complains();
    assert!(
        said.starts_with("[2] Encountered error with websocket: Websocket Closure Reason: Unable"),
        "{said}"
    );

    scene.world.emulator.add_instance(InstanceSpec::default()).await.unwrap();
    let mut stream = listening.connect().await;
    timeout(LONG, stream.read_exact(&mut [0; 8])).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn port_in_use_matches_python() {
    let scene = Scene::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["ec2-instance-connect", "open-tunnel", "--instance-id", instance(), "--local-port", &port];
    let ShimOutput { code, stdout, stderr } = scene.run(&args, b"").await;
    assert_eq!((code, stdout.as_str()), (255, ""));
    assert_eq!(stderr, "\naws: [ERROR]: [Errno 98] Address already in use\n");
}
