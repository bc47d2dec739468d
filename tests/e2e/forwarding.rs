//! `-L`, `-R`, `-D` and `-A` of `eice ssh`, through a real sshd: whole, held up, refused, bounded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use eice::cli::ready::ForwardKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::lab::{Agent, INSTANCE, Program, Said, Shell, Station, World, eventually, noise, run, run_ok};

/// Longer than any of this takes, on a machine with other things to do.
const LONG: Duration = Duration::from_secs(120);

/// `eice ssh -N` with something forwarded.
struct Forwarder(Program);

impl Forwarder {
    #[track_caller]
    fn start(station: &Station, options: &[&str]) -> Self {
        let args = [&["ssh", "-N", "--json"], options, &[station.destination.as_str()]].concat();
        Self(Program::start(&args, &station.env()))
    }

    /// Where the first of `kind` listens.
    #[track_caller]
    fn at(&self, kind: ForwardKind) -> SocketAddr {
        let forward = self.0.ready.forwards.iter().find(|forward| forward.kind == kind).unwrap();
        forward.listen.replace("localhost", "127.0.0.1").parse().unwrap()
    }

    /// Waits until it said `text` on stderr.
    #[track_caller]
    fn says(&self, text: &str) {
        eventually(&format!("it says {text:?}"), || self.0.stderr().contains(text).then_some(()));
    }

    /// Ends it, and sees that nothing is left.
    #[track_caller]
    fn ends(mut self, station: &Station) {
        assert_eq!(tokio::task::block_in_place(|| self.0.part.terminate()).code(), Some(143));
        station.is_idle();
    }
}

/// A server on a port of this machine that `serve` answers.
async fn server<F, W>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    at
}

/// Sends back what it hears, up to its end, and then ends.
async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Sends `data` and its end, and reads to the end meanwhile.
async fn talks(stream: TcpStream, data: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = stream.into_split();
    let mut heard = Vec::new();
    let sending = async {
        to.write_all(data).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (_, read) =
        timeout(LONG, async { tokio::join!(sending, from.read_to_end(&mut heard)) }).await.unwrap();
    read.unwrap();
    heard
}

/// Goes to `to` by the SOCKS 5 server at `at`; the server's answer where it is a refusal.
async fn by_socks(at: SocketAddr, name: &str, port: u16) -> Result<TcpStream, u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut ask = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    ask.extend_from_slice(name.as_bytes());
    ask.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&ask).await.unwrap();
    let mut told = [0; 12];
    timeout(LONG, stream.read_exact(&mut told)).await.unwrap().unwrap();
    assert_eq!(told[..3], [5, 0, 5]);
    if told[3] == 0 { Ok(stream) } else { Err(told[3]) }
}

fn spec(to: SocketAddr) -> String {
    format!("0:localhost:{}", to.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_connections_at_once_are_whole_both_ways_over_one_tunnel() {
    const LEN: usize = 2 << 20;
    let station = Station::start().await;
    let to = server(echo).await;
    let forwarder = Forwarder::start(&station, &["-L", &spec(to), "-D", "0"]);
    let (local, socks) = (forwarder.at(ForwardKind::Local), forwarder.at(ForwardKind::Dynamic));
    let all = (0..50_u64).map(|n| {
        tokio::spawn(async move {
            let stream = match n % 2 {
                0 => TcpStream::connect(local).await.unwrap(),
                _ => by_socks(socks, "localhost", to.port()).await.unwrap(),
            };
            let data = noise(n, LEN);
            let heard = talks(stream, &data).await;
            assert!(heard == data, "connection {n}: {} of {LEN} bytes, or others", heard.len());
        })
    });
    for one in futures_util::future::join_all(all).await {
        one.unwrap();
    }
    assert_eq!(station.world.emulator.open_tunnels(), 1, "they share it");
    assert_eq!(forwarder.0.stderr().matches("eice: ").count(), 2, "{}", forwarder.0.stderr());
    forwarder.ends(&station);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_each_direction_is_carried_by_itself() {
    let station = Station::start().await;
    // Answers only when it has heard the end of the question.
    let after = server(|mut stream: TcpStream| async move {
        let mut question = Vec::new();
        stream.read_to_end(&mut question).await.unwrap();
        question.reverse();
        stream.write_all(&question).await.unwrap();
    })
    .await;
    // Ends first, and then takes note of what it hears.
    let (note, mut noted) = tokio::sync::mpsc::channel(1);
    let before = server(move |mut stream: TcpStream| {
        let note = note.clone();
        async move {
            stream.write_all(b"that is all").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            note.send(heard).await.unwrap();
        }
    })
    .await;
    let forwarder = Forwarder::start(&station, &["-L", &spec(after)]);
    let mut data = noise(7, 300_000);
    let heard = talks(TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap(), &data).await;
    data.reverse();
    assert!(heard == data);
    forwarder.ends(&station);

    let forwarder = Forwarder::start(&station, &["-L", &spec(before)]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    let mut all = Vec::new();
    timeout(LONG, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all, b"that is all");
    stream.write_all(&data).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(timeout(LONG, noted.recv()).await.unwrap().unwrap() == data);
    forwarder.ends(&station);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_goes_by_every_kind_of_socks() {
    let station = Station::start().await;
    let page = noise(3, 1 << 20);
    let served = page.clone();
    let web = server(move |mut stream: TcpStream| {
        let page = served.clone();
        async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&page).await.unwrap();
        }
    })
    .await;
    let forwarder = Forwarder::start(&station, &["-D", "0"]);
    let socks = forwarder.at(ForwardKind::Dynamic).to_string();
    let url = format!("http://localhost:{}/", web.port());
    let curl = async |kind: &str, url: &str| {
        let args = ["-sS", "--noproxy", "", "--max-time", "60", kind, &socks, url].map(str::to_owned);
        tokio::task::spawn_blocking(move || run("curl", args)).await.unwrap()
    };
    for kind in ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"] {
        let output = curl(kind, &url).await;
        assert!(output.stdout == page, "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Nobody listens there: the proxy says so, in each version's words.
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://localhost:{}/", dead.port());
    for kind in ["--socks4a", "--socks5-hostname"] {
        let output = curl(kind, &url).await;
        assert_eq!(output.status.code(), Some(97), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(by_socks(forwarder.at(ForwardKind::Dynamic), "localhost", dead.port()).await.unwrap_err(), 5);
    forwarder.says(&format!("localhost:{}: the server cannot connect to it", dead.port()));
    // What is no SOCKS is told so, and hangs nobody.
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Dynamic)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);
    forwarder.says(&format!("-D {socks}: the client does not speak SOCKS"));
    forwarder.ends(&station);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_instance_refuses_reaches_the_client_and_the_user() {
    let station = Station::start().await;
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let forwarder = Forwarder::start(&station, &["-L", &spec(dead)]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0])).await.unwrap().unwrap_or(0), 0, "it is closed");
    forwarder.says("the server cannot connect to it: nobody listens there");
    forwarder.ends(&station);

    let strict = Station::with("AllowTcpForwarding no").await;
    let forwarder = Forwarder::start(&strict, &["-L", &spec(dead), "-D", "0"]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    forwarder.says("the server does not allow it: AllowTcpForwarding");
    assert_eq!(
        by_socks(forwarder.at(ForwardKind::Dynamic), "localhost", 9).await.unwrap_err(),
        2,
        "by a rule"
    );
    forwarder.ends(&strict);
    let args = ["ssh", "-N", "-R", "0:localhost:9", &strict.destination];
    let said = Said::from(strict.run(&args, b"").await);
    assert_eq!(said.code, Some(69), "{}", said.stderr);
    assert!(
        said.stderr.contains("-R localhost:0 to localhost:9") && said.stderr.contains("AllowTcpForwarding")
    );
    strict.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_listen_ends_the_program_before_anything_is_asked_of_aws() {
    let station = Station::start().await;
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let begun = station.world.emulator.open_tunnels();
    for option in [["-L", &format!("{port}:localhost:9")], ["-D", &port]] {
        let said = station.ssh(&option, "echo ran", b"").await;
        assert_eq!((said.code, said.stdout.as_slice()), (Some(69), &b""[..]), "{option:?}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("cannot listen on localhost:{port}")), "{}", said.stderr);
        assert!(said.stderr.contains("hint: something listens there already"), "{}", said.stderr);
    }
    assert_eq!(begun, 0);
    // The far side's port as well, before the command runs; sshd is content with one of the loopback's two addresses.
    let _also = StdListener::bind(format!("[::1]:{port}"));
    let said = station.ssh(&["-R", &format!("{port}:localhost:9")], "echo ran", b"").await;
    assert_eq!((said.code, said.stdout.as_slice()), (Some(69), &b""[..]), "{}", said.stderr);
    assert!(said.stderr.contains("something listens there already"), "{}", said.stderr);
    for wrong in [vec!["-L", "1:2"], vec!["-R", "80"], vec!["-D", "/x"], vec!["-N"], vec!["--json"]] {
        let args = [&["ssh"], wrong.as_slice(), &[station.destination.as_str()]].concat();
        assert_eq!(Said::from(station.run(&args, b"").await).code, Some(64), "{wrong:?}");
    }
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_instance_leads_here() {
    let station = Station::start().await;
    let to = server(echo).await;
    let dead = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let forwarder = Forwarder::start(&station, &["-R", &spec(to), "-R", &spec(dead)]);
    let told: Vec<_> = forwarder.0.ready.forwards.iter().map(|forward| forward.listen.clone()).collect();
    forwarder.says(&format!("listens on {} of the instance", told[0]));
    let all = (0..8_u64).map(|n| {
        let at = forwarder.at(ForwardKind::Remote);
        tokio::spawn(async move {
            let data = noise(n, 1 << 20);
            assert!(talks(TcpStream::connect(at).await.unwrap(), &data).await == data, "connection {n}");
        })
    });
    for one in futures_util::future::join_all(all).await {
        one.unwrap();
    }
    let nowhere = told[1].replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(nowhere).await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0])).await.unwrap().unwrap_or(0), 0, "it is closed");
    forwarder.says("cannot connect: ");
    forwarder.ends(&station);
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_are_forwarded_both_ways() {
    let station = Station::start().await;
    let to = server(echo).await;
    let there = station.sshd.home().join("socket").display().to_string();
    let here = station.here().join("socket").display().to_string();
    // Here a socket, there a socket: what goes in here comes out at `to`, by way of the other forward.
    let forwarder = Forwarder::start(&station, &["-R", &format!("{there}:localhost:{}", to.port())]);
    let second = Forwarder::start(&station, &["-L", &format!("{here}:{there}")]);
    let data = noise(5, 200_000);
    let sent = data.clone();
    let path = here.clone();
    let heard = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        writing.join().unwrap();
        heard
    });
    assert!(timeout(LONG, heard).await.unwrap().unwrap() == data);
    assert_eq!(
        tokio::task::block_in_place(|| {
            let mut second = second;
            second.0.part.terminate()
        })
        .code(),
        Some(143)
    );
    assert!(!std::path::Path::new(&here).exists(), "the socket's file goes with it");
    forwarder.ends(&station);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_freezes_neither_the_shell_nor_what_comes_after_it() {
    const LEN: usize = 32 << 20;
    let station = Station::start().await;
    let flood = server(|mut stream: TcpStream| async move {
        let _ = stream.write_all(&noise(9, LEN)).await;
    })
    .await;
    let to = server(echo).await;
    let ports: Vec<_> = [flood, to]
        .iter()
        .map(|_| StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .collect();
    let options = [
        format!("-L{}:localhost:{}", ports[0], flood.port()),
        format!("-L{}:localhost:{}", ports[1], to.port()),
    ];
    let mut tty = station.at_shell(&[&options[0], &options[1]]);
    assert_eq!(station.world.emulator.open_tunnels(), 1, "forwards have a tunnel when they need one");
    let mut stuck = TcpStream::connect(("127.0.0.1", ports[0])).await.unwrap();
    let mut first = [0; 1];
    timeout(LONG, stuck.read_exact(&mut first)).await.unwrap().unwrap();
    // New connections go by another tunnel as soon as the first one is held up.
    let at = ("127.0.0.1", ports[1]);
    timeout(LONG, async {
        while station.world.emulator.open_tunnels() < 3 {
            let stream = TcpStream::connect(at).await.unwrap();
            if let Ok(heard) = timeout(Duration::from_secs(2), talks(stream, b"hello")).await {
                assert_eq!(heard, b"hello");
            }
        }
    })
    .await
    .expect("a second tunnel for forwards");
    tty.until("is not being read and holds up");
    let data = noise(4, 1 << 20);
    assert!(talks(TcpStream::connect(at).await.unwrap(), &data).await == data);
    // The shell answers all the while, and lists what is open.
    tty.types("\recho awake-$((1+1))\r");
    tty.until("awake-2");
    tty.types("~#");
    tty.until(&format!("-L 127.0.0.1:{} to localhost:{}", ports[0], flood.port()));
    tty.until("from 127.0.0.1:");
    // Not a byte was lost on the one that waited.
    let mut rest = first.to_vec();
    timeout(LONG, stuck.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest == noise(9, LEN), "{} bytes", rest.len());
    drop(stuck);
    eventually("the second tunnel goes when it is not needed", || {
        (station.world.emulator.open_tunnels() == 2).then_some(())
    });
    tty.types("\rexit 4\r");
    assert_eq!(tty.ends().code(), Some(4));
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_carried_than_are_allowed() {
    const MAX: usize = 256;
    let station = Station::start().await;
    let to = server(echo).await;
    let forwarder = Forwarder::start(&station, &["-L", &spec(to)]);
    let at = forwarder.at(ForwardKind::Local);
    let mut open = Vec::new();
    for n in 0..MAX {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"!").await.unwrap();
        let mut heard = [0];
        timeout(LONG, stream.read_exact(&mut heard))
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{n}: {error}"));
        open.push(stream);
    }
    let mut one = TcpStream::connect(at).await.unwrap();
    assert_eq!(timeout(LONG, one.read(&mut [0])).await.unwrap().unwrap_or(0), 0, "one more is closed");
    forwarder.says("256 forwarded connections are open");
    // Room for one makes room for one.
    drop(open.pop());
    timeout(LONG, async {
        loop {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let mut heard = [0];
            if stream.write_all(b"!").await.is_ok() && stream.read_exact(&mut heard).await.is_ok() {
                return;
            }
        }
    })
    .await
    .unwrap();
    drop(open);
    forwarder.ends(&station);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_command_it_ends_with_its_connection() {
    let station = Station::start().await;
    let to = server(echo).await;
    let mut forwarder = Forwarder::start(&station, &["-L", &spec(to)]);
    let mut stream = TcpStream::connect(forwarder.at(ForwardKind::Local)).await.unwrap();
    stream.write_all(b"!").await.unwrap();
    timeout(LONG, stream.read_exact(&mut [0])).await.unwrap().unwrap();
    for process in station.sshd.serving() {
        process.signal(rustix::process::Signal::KILL);
    }
    let status = eventually("it ends", || forwarder.0.part.child().try_wait().unwrap());
    assert_eq!(status.code(), Some(69), "{}", forwarder.0.stderr());
    assert!(forwarder.0.stderr().contains("the connection was lost: "), "{}", forwarder.0.stderr());
    assert!(matches!(timeout(LONG, stream.read(&mut [0])).await.unwrap(), Ok(0) | Err(_)));
    station.is_idle();
}

/// As with ssh, `eice ssh -L … -- sleep 10` serves for as long as somebody uses it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_forwarded_outlives_the_command_that_it_came_with() {
    let station = Station::start().await;
    let to = server(echo).await;
    let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gate = station.sshd.home().join("gate");
    let command = format!("until [ -e {} ]; do sleep 0.1; done; exit 6", gate.display());
    let forward = format!("{port}:localhost:{}", to.port());
    let options = ["-L", forward.as_str()];
    let running = station.ssh(&options, &command, b"");
    let using = async {
        let mut stream = loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
                stream.write_all(b"!").await.unwrap();
                if stream.read_exact(&mut [0]).await.is_ok() {
                    break stream;
                }
            }
        };
        std::fs::write(&gate, "").unwrap();
        // Its command has ended when the terminal's tunnel has.
        tokio::task::block_in_place(|| {
            eventually("one tunnel is left", || (station.world.emulator.open_tunnels() == 1).then_some(()));
        });
        stream.write_all(b"still there").await.unwrap();
        let mut heard = [0; 11];
        timeout(LONG, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    };
    let (said, ()) = tokio::join!(running, using);
    assert_eq!(said.code, Some(6), "{}", said.stderr);
    assert!(said.stderr.contains("forwarded connections are still open (1)"), "{}", said.stderr);
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_there_only_when_it_is_asked_for() {
    const LOOK: &str = "ssh-add -l; echo status=$? sock=$SSH_AUTH_SOCK.";
    let station = Station::start().await;
    let strict = Station::with("AllowAgentForwarding no").await;
    let socket = station.here().join("agent").display().to_string();
    let agent = Agent::start(&socket);
    let key = station.here().join("key").display().to_string();
    run_ok("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "the-key", "-f", &key]);
    agent.add(&key);
    let go = async |to: &Station, socket: Option<&str>, options: &[&str], command: &str| {
        let mut shell = Shell::new(&to.world);
        if let Some(socket) = socket {
            shell.export("SSH_AUTH_SOCK", socket);
        }
        let args = [&["ssh"], options, &[to.destination.as_str(), "--", command]].concat();
        shell.run(&args, b"").await
    };
    let said = go(&station, Some(&socket), &["-A"], LOOK).await.good();
    assert!(said.contains("the-key (ED25519)") && said.contains("status=0"), "{said}");
    let several = "for n in 1 2 3; do ssh-add -L & done; wait";
    let said = go(&station, Some(&socket), &["-A"], several).await.good();
    assert_eq!(said.matches("the-key").count(), 3, "{said}");

    let said = go(&station, Some(&socket), &[], LOOK).await.good();
    assert!(said.contains("status=2 sock=."), "off unless asked for: {said}");
    let said = go(&strict, Some(&socket), &["-A"], LOOK).await;
    assert!(said.stderr.contains("refuses to forward the agent"), "{said:?}");
    assert!(said.good().contains("status=2 sock=."), "and the command runs without");

    let said = go(&station, None, &["-A"], LOOK).await;
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(said.stderr.contains("SSH_AUTH_SOCK is not set") && said.stderr.contains("hint: "), "{said:?}");
    assert_eq!(go(&station, Some("/nonexistent"), &["-A"], LOOK).await.code, Some(69));
    station.is_idle();
}

/// The emulator's own SSH server forwards as well, on its loopback.
#[tokio::test(flavor = "multi_thread")]
async fn the_emulators_instance_forwards_both_ways() {
    let world = World::builtin().await;
    let to = server(echo).await;
    let args = ["ssh", "-N", "--json", "-L", &spec(to), "-R", &spec(to), "-D", "0", INSTANCE];
    let mut program = Program::start(&args, &world.emulator.access().env());
    let data = noise(6, 2 << 20);
    for forward in program.ready.forwards.clone() {
        let at: SocketAddr = forward.listen.replace("localhost", "127.0.0.1").parse().unwrap();
        let stream = match forward.kind {
            ForwardKind::Dynamic => by_socks(at, "localhost", to.port()).await.unwrap(),
            _ => TcpStream::connect(at).await.unwrap(),
        };
        assert!(talks(stream, &data).await == data, "{forward}");
    }
    assert_eq!(tokio::task::block_in_place(|| program.part.terminate()).code(), Some(143));
    eventually("the tunnel is closed", || (world.emulator.open_tunnels() == 0).then_some(()));
}
