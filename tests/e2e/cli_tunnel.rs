//! `eice tunnel` on stdin and stdout, and as a listener.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;

use eice::emulator::{Backend, EmulatorConfig, InstanceSpec};
use rustix::process::Signal;

use crate::lab::{ClientShell, INSTANCE, Program, World, eventually, noise, read_exact};

/// Returns an account whose instance serves each connection to port 22 by `serve`.
async fn world_with(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = Backend::Forward(listener.local_addr().unwrap());
    let serve = std::sync::Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = std::sync::Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    let instances = vec![InstanceSpec { backend, ..InstanceSpec::default() }];
    World::with(EmulatorConfig { instances, ..EmulatorConfig::default() }).await
}

fn echo(mut stream: TcpStream) {
    let mut copy = stream.try_clone().unwrap();
    let _ = std::io::copy(&mut stream, &mut copy);
}

#[track_caller]
fn talks(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_limits_connections() {
    let world = world_with(echo).await;
    let args = [
        "tunnel",
        INSTANCE,
        "--listen",
        "127.0.0.1:0",
        "--max-connections",
        "3",
        "--half-close-timeout",
        "1",
        "--json",
    ];
    let mut tunnel = Program::start(&args, &world.emulator.access().env());
    assert_eq!((tunnel.ready.verb.as_str(), tunnel.ready.instance.as_deref()), ("tunnel", Some(INSTANCE)));
    let address = tunnel.addr();
    let open: Vec<TcpStream> = (0..3).map(|_| talks(address)).collect();
    assert_eq!(world.emulator.open_tunnels(), 3);
    let mut fourth = TcpStream::connect(address).unwrap();
    assert_eq!(fourth.read(&mut [0]).unwrap_or(0), 0, "the fourth is closed");
    eventually("the reason is printed", || tunnel.stderr().contains("--max-connections").then_some(()));
    // The endpoint has no half-close, so each connection stays until the half-close timeout.
    drop(open);
    world.emulator.faults().update(|faults| faults.quota = Some(0));
    eventually("a failure is printed with its reason", || {
        let _ = TcpStream::connect(address).unwrap().read(&mut [0]);
        let said = tunnel.stderr();
        (said.contains("failed\neice: upgrade: ") && said.contains("  hint: ")).then_some(())
    });
    assert!(tunnel.part.is_running(), "the listener goes on");
    world.emulator.faults().clear();
    drop(talks(address));
    assert_eq!(tunnel.part.terminate().code(), Some(0));
}

/// Starts a listener for `INSTANCE` with `args`.
fn listening(world: &World, address: &str, args: &[&str]) -> Program {
    let args = [&["tunnel", INSTANCE, "--json", "--listen", address], args].concat();
    Program::start(&args, &world.emulator.access().env())
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_21_fails_with_reason() {
    let world = world_with(echo).await;
    let tunnel = listening(&world, "127.0.0.1:0", &["--max-connections", "30", "--half-close-timeout", "1"]);
    let mut open: Vec<TcpStream> = (0..20).map(|_| talks(tunnel.addr())).collect();
    let mut late = TcpStream::connect(tunnel.addr()).unwrap();
    let name = late.local_addr().unwrap();
    assert_eq!(late.read(&mut [0]).unwrap_or(0), 0);
    eventually("the reason is printed", || {
        let said = tunnel.stderr();
        let error = said.split_once(&format!("eice: connection from {name} failed\n"))?.1;
        (error.contains("20") && error.contains("hint: ")).then_some(())
    });
    for stream in &mut open {
        stream.write_all(b"still").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
    }
    drop(open.pop());
    eventually("its tunnel is closed", || (world.emulator.open_tunnels() == 19).then_some(()));
    drop(talks(tunnel.addr()));
}

#[tokio::test(flavor = "multi_thread")]
async fn listen_accepts_name_and_ipv6() {
    let world = world_with(echo).await;
    let named = listening(&world, "localhost:0", &["--half-close-timeout", "1"]);
    assert!(named.addr().ip().is_loopback());
    drop(talks(named.addr()));
    // All addresses of the name, on one port, as with ssh -L.
    let all = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", named.addr().port())).unwrap();
    all.for_each(|address| drop(talks(address)));
    let v6 = listening(&world, "[::1]:0", &["--half-close-timeout", "1"]);
    assert!(v6.addr().is_ipv6());
    drop(talks(v6.addr()));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_drains_open_connections() {
    // Sends much data after the second message.
    let world = world_with(|mut stream| {
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(&heard).unwrap();
        if stream.read_exact(&mut heard).is_ok() {
            let _ = stream.write_all(&noise(3, 1 << 20));
        }
    })
    .await;
    // A connection that the check below makes just before the stop must not delay the end.
    let args = ["--drain-timeout", "60", "--half-close-timeout", "1"];
    let mut tunnel = listening(&world, "127.0.0.1:0", &args);
    let mut open = talks(tunnel.addr());
    tunnel.part.process.signal(Signal::TERM);
    eventually("new connections are refused", || TcpStream::connect(tunnel.addr()).is_err().then_some(()));
    open.write_all(b"go on").unwrap();
    let mut said = Vec::new();
    open.read_to_end(&mut said).unwrap();
    assert!(said == noise(3, 1 << 20), "{} bytes", said.len());
    eventually("it ends after the last connection", || (!tunnel.part.is_running()).then_some(()));
    assert_eq!(tunnel.part.terminate().code(), Some(0));
    // A second signal closes what is still open.
    let mut tunnel = listening(&world, "127.0.0.1:0", &["--drain-timeout", "3600"]);
    let _open = talks(tunnel.addr());
    tunnel.part.process.signal(Signal::INT);
    eventually("it says what it waits for", || tunnel.stderr().contains("1 open have 3600 s").then_some(()));
    assert_eq!(tunnel.part.terminate().code(), Some(0));
    eventually("the tunnel is closed", || (world.emulator.open_tunnels() == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn until_stdin_closes_ends_listener() {
    let world = world_with(echo).await;
    let args = [
        "tunnel",
        INSTANCE,
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--until-stdin-closes",
        "--drain-timeout",
        "0",
    ];
    let mut command = ClientShell::new(&world).command(&args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: eice::cli::ready::Ready = serde_json::from_str(&line).unwrap();
    let _open = talks(ready.url.strip_prefix("tcp://").unwrap().parse().unwrap());
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    let status = eventually("it ends with its stdin", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_after_stdin_eof_is_complete() {
    const QUESTION: usize = 300_000;
    // Answers with twice the question when it is complete, and closes.
    let world = world_with(|mut stream| {
        let mut question = vec![0; QUESTION];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(&question.repeat(2)).unwrap();
    })
    .await;
    let question = noise(2, QUESTION);
    let said = ClientShell::new(&world).run(&["tunnel", INSTANCE], &question).await;
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(said.stdout == question.repeat(2), "{} bytes", said.stdout.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_eof_does_not_spin() {
    let world = world_with(echo).await;
    let mut command = ClientShell::new(&world).command(&["tunnel", INSTANCE]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"hello").unwrap();
    read_exact(&mut stdout, &mut [0; 5]);
    drop(stdin);
    // Processor time in ticks of 10 ms over an idle second: the absence of work has no event to wait for.
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let fields: Vec<u64> =
            stat.rsplit_once(") ").unwrap().1.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        fields[11] + fields[12]
    };
    let before = used();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(used() - before < 20, "it is busy waiting: {} ticks", used() - before);
    drop(stdout);
    let status = eventually("it ends with its stdout", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}
