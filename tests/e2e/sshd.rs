//! The real client stack against OpenSSH's sshd.

use std::fs::File;
use std::io::{BufWriter, Write};

use eice::emulator::{Backend, InstanceSpec};
use eice::model::{Exit, Fault, Size, Stage, TerminalRequest};
use sha2::{Digest, Sha256};

use crate::lab::{Sshd, World, fingerprint, open_terminal, run_ok};

#[tokio::test(flavor = "multi_thread")]
async fn shell_runs_as_user_with_status() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let before = world.leak_check().await;
    let host = world.host(&world.target()).await;
    let mut shell = open_terminal(&*host, &TerminalRequest::default()).await;
    shell.line("whoami; echo $((6*7)) $TERM").await;
    let said = shell.until("42 xterm-256color").await;
    assert!(said.contains(&sshd.user.name), "{said}");
    shell.line("exit 3").await;
    let (_, _, exit) = shell.finish().await;
    assert_eq!(exit, Exit::Code(3));
    host.close().await;
    drop(host);
    sshd.is_idle();
    before.assert_no_leaks().await;
    assert_eq!(world.emulator.open_tunnels(), 0);
    world.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn command_has_own_streams_and_status() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let (host, mut command) = world.command("cat; echo problem >&2; exit 7").await;
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    command.bytes(bytes.clone()).await;
    command.end_input().await;
    let (out, err, exit) = command.finish().await;
    assert!(out == bytes, "every byte passes as it is");
    assert_eq!(err, b"problem\n");
    assert_eq!(exit, Exit::Code(7));
    host.close().await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_signal_is_named() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let (_host, command) = world.command("kill -TERM $$").await;
    let (_, _, exit) = command.finish().await;
    assert_eq!(exit, Exit::Signal { name: "TERM".into(), core_dumped: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn resize_reaches_program() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let host = world.host(&world.target()).await;
    let mut shell = open_terminal(&*host, &TerminalRequest::new(Size::new(100, 30).unwrap())).await;
    shell.line("stty size; trap 'echo now $(stty size)' WINCH; echo rea''dy").await;
    assert!(shell.until("ready").await.contains("30 100"));
    // It arrives without any input.
    shell.control().resize(Size::new(132, 43).unwrap()).await.unwrap();
    shell.line("").await;
    shell.until("now 43 132").await;
    shell.close().await;
    host.close().await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_share_one_connection() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let host = world.host(&world.target()).await;
    let mut one = open_terminal(&*host, &TerminalRequest::default()).await;
    let mut two = open_terminal(&*host, &TerminalRequest::default()).await;
    assert_eq!(world.emulator.open_tunnels(), 1);
    one.line("exit 1").await;
    assert_eq!(one.finish().await.2, Exit::Code(1));
    two.line("echo st''ill").await;
    two.until("still").await;
    two.line("exit 2").await;
    assert_eq!(two.finish().await.2, Exit::Code(2));
    host.close().await;
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_host_key_is_refused() {
    let (first, second) = (Sshd::start(), Sshd::start());
    let world = World::of(&first).await;
    world.host(&world.target()).await.close().await;
    let spec = InstanceSpec { backend: Backend::Forward(second.addr), ..InstanceSpec::default() };
    world.emulator.add_instance(spec).await.unwrap();
    let error = world.try_host(&world.target()).await.unwrap_err();
    assert_eq!((error.stage(), error.fault()), (Stage::KeyExchange, Fault::HostKey));
    let text = format!("{} {:?}", error.chain(), error.hint());
    for sshd in [&first, &second] {
        let fingerprint = fingerprint(&sshd.host_key());
        assert!(text.contains(&fingerprint), "{fingerprint} is not in {text}");
    }
    second.is_idle();
}

/// 64 MiB with new keys every 8 MiB on both sides: several rekeys.
#[tokio::test(flavor = "multi_thread")]
async fn rekey_loses_no_output() {
    let sshd = Sshd::with("RekeyLimit 8M", &[]);
    let mut world = World::of(&sshd).await;
    world.connector = world.client(|_, _, connect| connect.ssh.rekey_bytes = 8 << 20).into();
    transfer(&sshd, &world, 64 << 20).await;
}

/// The default limit is 1 GiB, on russh's side and on sshd's.
#[tokio::test(flavor = "multi_thread")]
async fn default_rekey_loses_no_output() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    transfer(&sshd, &world, (1 << 30) + (64 << 20)).await;
}

/// Runs `cat` on a file of `len` bytes and compares the output with the instance's sha256sum.
async fn transfer(sshd: &Sshd, world: &World, len: u64) {
    let file = sshd.home().join("large");
    let mut writer = BufWriter::new(File::create(&file).unwrap());
    // Every piece is different, so that a lost, duplicated or swapped one is detected.
    for n in 0..len / 8 {
        writer.write_all(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).unwrap();
    }
    writer.into_inner().unwrap().sync_all().unwrap();
    let began = std::time::Instant::now();
    let (host, command) = world.command("cat large").await;
    let (mut digest, mut received) = (Sha256::new(), 0_u64);
    let exit = command
        .drain(|data| {
            digest.update(data);
            received += data.len() as u64;
        })
        .await;
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{} MiB in {seconds:.1} s, {:.0} MB/s", len >> 20, len as f64 / 1e6 / seconds);
    assert_eq!((received, exit), (len, Exit::Code(0)));
    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = run_ok("sha256sum", [file.to_str().unwrap()]);
    assert_eq!(expected.split(' ').next().unwrap(), digest);
    host.close().await;
    sshd.is_idle();
}
