//! Common uses of ssh: commands, copies, git, editors.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use eice::emulator::{Backend, EmulatorConfig, InstanceSpec};

use super::*;
use crate::lab::{Process, program, read_exact, wait_for_exit};

#[tokio::test(flavor = "multi_thread")]
async fn command_keeps_streams_and_status() {
    let lab = Lab::new().await;
    let said =
        lab.local_user.run("ssh", &[INSTANCE, "whoami; cat; echo problem >&2; exit 42"], b"input").await;
    assert_eq!(said.code, Some(42), "{}", said.stderr);
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{}\ninput", lab.sshd.user.name));
    assert!(said.stderr.ends_with("problem\n"), "{}", said.stderr);
    assert_eq!(lab.pushes(), 1);
    lab.wait_until_clean();
    // The host is known by now, and ssh prints nothing.
    let said = lab.ssh("true").await;
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_and_rsync_copy_both_ways() {
    let lab = Lab::new().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    lab.local_user.write("there", &bytes);
    let remote = format!("{INSTANCE}:copy");
    lab.local_user.run("scp", &["there", &remote], b"").await.expect_success();
    lab.local_user.run("scp", &[&remote, "back"], b"").await.expect_success();
    assert!(fs::read(lab.sshd.home().join("copy")).unwrap() == bytes);
    assert!(fs::read(lab.local_user.file("home/back")).unwrap() == bytes);
    let folder = format!("{INSTANCE}:folder/");
    for expected in ["2", "1"] {
        let said = lab
            .local_user
            .run("rsync", &["-a", "--stats", "there", "back", &folder], b"")
            .await
            .expect_success();
        let moved = said.lines().find_map(|line| line.strip_prefix("Number of regular files transferred: "));
        assert_eq!(moved, Some(expected), "{said}");
        assert!(
            fs::read(lab.sshd.home().join("folder/back")).unwrap()
                == fs::read(lab.local_user.file("home/back")).unwrap()
        );
        lab.local_user.write("back", "changed");
    }
    lab.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn git_clones_and_pushes() {
    let lab = Lab::new().await;
    program("git");
    lab.ssh("git init -q --bare work.git").await.expect_success();
    let git = async |args: &[&str]| lab.local_user.run("git", args, b"").await.expect_success();
    git(&["clone", "-q", &format!("{INSTANCE}:work.git"), "mine"]).await;
    lab.local_user.write("mine/file", "content\n");
    git(&["-C", "mine", "add", "file"]).await;
    let me = ["-c", "user.name=Me", "-c", "user.email=me@example.com"];
    git(&[&["-C", "mine"], &me[..], &["commit", "-q", "-m", "first"]].concat()).await;
    git(&["-C", "mine", "push", "-q", "origin", "HEAD:refs/heads/main"]).await;
    let url = format!("ssh://{}@{INSTANCE}/~/work.git", lab.sshd.user.name);
    git(&["clone", "-q", "-b", "main", &url, "again"]).await;
    assert_eq!(fs::read_to_string(lab.local_user.file("home/again/file")).unwrap(), "content\n");
    lab.wait_until_clean();
}

/// What an editor does: a shell without a terminal, driven by stdin, and a SOCKS proxy to the server that it starts.
#[tokio::test(flavor = "multi_thread")]
async fn editor_shell_has_socks_proxy() {
    let lab = Lab::new().await;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in server.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nserved");
        }
    });
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut command = lab.local_user.command("ssh");
    command.args(["-v", "-T", "-D", &port, INSTANCE, "bash"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut editor = command.spawn().unwrap();
    let mut stdin = editor.stdin.take().unwrap();
    writeln!(stdin, "echo started-$((40+2))").unwrap();
    let mut started = [0; 11];
    tokio::task::block_in_place(|| read_exact(editor.stdout.as_mut().unwrap(), &mut started));
    assert_eq!(&started, b"started-42\n");
    let proxy = format!("127.0.0.1:{port}");
    let said =
        lab.local_user.run("curl", &["-sS", "--socks5-hostname", &proxy, &url], b"").await.expect_success();
    assert_eq!(said, "served");
    writeln!(stdin, "exit 5").unwrap();
    assert_eq!(tokio::task::block_in_place(|| wait_for_exit(&mut editor)).code(), Some(5));
    lab.wait_until_clean();
}

/// The first session to end must not remove the agent of one that has not logged in yet.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_connections_find_an_agent() {
    let lab = Lab::new().await;
    for _ in 0..2 {
        let all = (0..6).map(async |n| {
            assert_eq!(lab.ssh(&format!("echo {n}")).await.expect_success(), format!("{n}\n"));
        });
        futures_util::future::join_all(all).await;
    }
    assert_eq!(lab.pushes(), 12);
    lab.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn control_master_shares_tunnel() {
    let lab = Lab::new().await;
    let printed = fs::read_to_string(lab.local_user.file("home/.ssh/config")).unwrap();
    lab.local_user.write(".ssh/config", printed.replace("# Control", "Control"));
    for n in 1..=3 {
        let said = lab.ssh(&format!("echo {n}")).await;
        assert_eq!(said.expect_success(), format!("{n}\n"));
    }
    assert_eq!((lab.pushes(), lab.world.emulator.open_tunnels()), (1, 1));
    lab.local_user.run("ssh", &["-O", "exit", INSTANCE], b"").await.expect_success();
    lab.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn own_key_is_pushed_and_used() {
    let lab = Lab::new().await;
    lab.local_user
        .run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", ".ssh/id_ed25519"], b"")
        .await
        .expect_success();
    let user = lab.sshd.user.name.as_str();
    lab.local_user.configure(&["--user", user, "--push-key", ".ssh/id_ed25519.pub"]).await;
    assert_eq!(lab.ssh("echo here").await.expect_success(), "here\n");
    assert!(!lab.local_user.agents().exists(), "no agent is needed");
    let pushed = lab.world.emulator.records();
    let pushed = pushed.iter().rfind(|it| it.event_name == "SendSSHPublicKey").unwrap();
    let public = fs::read_to_string(lab.local_user.file("home/.ssh/id_ed25519.pub")).unwrap();
    let key = public.split(' ').nth(1).unwrap();
    assert!(pushed.request_parameters.to_string().contains(key), "{}", pushed.request_parameters);
}

#[tokio::test(flavor = "multi_thread")]
async fn name_tag_case_and_alias_work() {
    let sshd = Sshd::start();
    let tags = [("Name", "Web-1"), ("Role", "workspace")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    let backend = Backend::Forward(sshd.addr);
    let instances = vec![InstanceSpec { backend, tags, ..InstanceSpec::default() }];
    let world = World::with(EmulatorConfig { instances, ..EmulatorConfig::default() }).await;
    sshd.set_metadata_url(&world.emulator.access().metadata_url(&world.instance()));
    let local_user = LocalUser::new(&world);
    let user = sshd.user.name.as_str();
    local_user.configure(&["--user", user, "--host", "Web-*"]).await;
    assert_eq!(local_user.run("ssh", &["Web-1", "echo here"], b"").await.expect_success(), "here\n");
    local_user.configure(&["--user", user, "--host", "db", INSTANCE]).await;
    assert_eq!(local_user.run("ssh", &["db", "echo there"], b"").await.expect_success(), "there\n");
    sshd.is_idle();
}

/// `-A` forwards the agent with the one key; the user's own agent is forwarded when it is named.
#[tokio::test(flavor = "multi_thread")]
async fn named_agent_is_forwarded() {
    let lab = Lab::new().await;
    let script = "eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; \
                  ssh-keygen -q -t ed25519 -N '' -C my-own -f key; ssh-add -q key; rm key; \
                  ssh -A \"$0\" ssh-add -l; ssh -o ForwardAgent=\"$SSH_AUTH_SOCK\" \"$0\" ssh-add -l";
    let said = lab.local_user.run("bash", &["-c", script, INSTANCE], b"").await.expect_success();
    let [eices, own] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(eices.contains("eice, in memory") && own.contains("my-own"), "{said}");
    lab.wait_until_clean();
}

/// ssh and the shell handle spaces, quotes and other signs in paths.
#[tokio::test(flavor = "multi_thread")]
async fn unusual_paths_work() {
    let lab = Lab::new().await;
    let folder = lab.local_user.file("it's 100% mine, #1 \\ \"x\"");
    fs::create_dir(&folder).unwrap();
    let link = folder.join("eice $HOME");
    std::os::unix::fs::symlink(crate::lab::EICE, &link).unwrap();
    let agents = lab.local_user.file("run/a %h 'b'");
    let args = ["--program", link.to_str().unwrap(), "--agent-folder", agents.to_str().unwrap()];
    lab.local_user.configure(&[&["--user", &lab.sshd.user.name], &args[..]].concat()).await;
    assert_eq!(lab.ssh("echo here").await.expect_success(), "here\n");
    assert!(agents.is_dir());
    eventually("the agent is gone", || {
        (fs::read_dir(&agents).unwrap().count() == 0 && Process::of_user(lab.local_user.user.uid).is_empty())
            .then_some(())
    });
}
