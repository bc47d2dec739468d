//! The released binary in an otherwise empty container: no libc, no shell, no CA roots, no /etc except the engine's own
//! files, a read-only root.
//!
//! `make test-static` builds it and runs these tests; elsewhere they are ignored.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use eice::model::Account;

use crate::dockerfile::last_stage;
use crate::lab::{Dns, Docker, INSTANCE, Sshd, Tty, World, keygen, output, program, run_ok, text};

/// The largest allowed size of the client, in bytes.
const MAX_SIZE: u64 = 20_000_000;
const IMAGE: &str = "eice-test:scratch";
/// The emulator's host names.
const API: &str = "api.eice.test";
const TUNNEL: &str = "tunnel.eice.test";
/// The mount point of the emulator's CA.
const CA: &str = "/ca.pem";
/// The mount point of the system's roots.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Returns the engine with the image: the layout of packaging/image.sh with the Dockerfile's settings.
#[track_caller]
fn docker() -> &'static Docker {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| import(Docker::shared()));
    Docker::shared()
}

fn import(docker: &Docker) {
    let root = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/image.sh");
    run_ok(script.to_str().unwrap(), [binary().as_path(), root.path()]);
    let mut holds: Vec<_> =
        run_ok("find", [root.path().to_str().unwrap(), "-mindepth", "1", "-printf", "%P\n"])
            .lines()
            .map(str::to_owned)
            .collect();
    holds.sort();
    assert_eq!(holds, ["state", "usr", "usr/bin", "usr/bin/aws", "usr/bin/eice"]);
    let changes = last_stage();
    let changes = changes.iter().filter(|(name, _)| name != "FROM" && name != "COPY");
    let changes: Vec<String> = changes.map(|(name, arguments)| format!("{name} {arguments}")).collect();
    docker.import_root(root.path(), IMAGE, &changes.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Returns the binary that `make static` built.
#[track_caller]
fn binary() -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages/eice");
    assert!(file.is_file(), "{} is not there: make static", file.display());
    file
}

/// An emulated account with a real sshd, and the image of the Dockerfile's last stage.
struct Lab {
    docker: &'static Docker,
    world: World,
    sshd: Sshd,
    home: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        Self::at("localhost").await
    }

    /// The same with `tunnel_host` as the tunnel's host name.
    async fn at(tunnel_host: &str) -> Self {
        let docker = docker();
        let sshd = Sshd::start();
        let world = World::of_at(&sshd, tunnel_host.to_owned()).await;
        let home = tempfile::tempdir().unwrap();
        // The image's user reads the files that are mounted from it.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { docker, world, sshd, home }
    }

    fn destination(&self) -> String {
        format!("{}@{INSTANCE}", self.sshd.user.name)
    }

    /// Returns the arguments of `docker` for `eice ARGS`. Only the image's volume is writable. The network is the
    /// host's, since the engine has none.
    fn docker_args(&self, options: &[&str], args: &[&str]) -> Vec<String> {
        let host = self.docker.host();
        let mut all = vec!["-H", &host, "run", "--rm", "--network=host", "--read-only", "--cap-drop=ALL"];
        all.push("--security-opt=no-new-privileges");
        let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        for (name, value) in self.world.emulator.access().env() {
            if name != "AWS_CA_BUNDLE" {
                all.extend(["-e".to_owned(), format!("{name}={value}")]);
            }
        }
        all.extend(options.iter().map(|option| (*option).to_owned()));
        all.push(IMAGE.to_owned());
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        all
    }

    /// Returns the option that mounts a file `path` with `content`.
    fn mounts(&self, content: &str, path: &str) -> String {
        let file = self.home.path().join(path.replace('/', "_"));
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        format!("--volume={}:{path}:ro", file.display())
    }

    /// Returns the option that mounts the emulator's CA at `path`.
    fn mounts_ca(&self, path: &str) -> String {
        self.mounts(self.world.emulator.access().ca_pem(), path)
    }

    /// Returns the option that makes `address` the only name server: the engine's `--dns` would add the host's servers.
    fn resolves_by(&self, address: Ipv4Addr) -> String {
        self.mounts(&format!("nameserver {address}\noptions timeout:2 attempts:2\n"), "/etc/resolv.conf")
    }

    /// Returns the option that sets the API's host name.
    fn names_api(&self) -> String {
        format!("--env=AWS_ENDPOINT_URL=http://{API}:{}", self.world.emulator.access().api_addr().port())
    }

    /// Runs `eice ARGS` in a new container to its end.
    async fn run(&self, options: &[&str], args: &[&str]) -> Output {
        let mut docker = Command::new(program("docker"));
        docker.args(self.docker_args(options, args)).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || output(&mut docker)).await.unwrap()
    }

    /// Runs `id -un` by `eice ssh`, with the CA by `--ca-bundle`.
    async fn whoami(&self, options: &[&str]) -> Output {
        let ca = self.mounts_ca(CA);
        let mut all = vec![ca.as_str()];
        all.extend(options);
        let destination = self.destination();
        self.run(&all, &["ssh", "--ca-bundle", CA, &destination, "--", "id", "-un"]).await
    }

    #[track_caller]
    fn is_user(&self, output: &Output) {
        assert_eq!(text(&output.stdout).trim(), self.sshd.user.name, "{output:?}");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
#[ignore = "needs what `make static` builds: make test-static"]
fn binary_is_small_and_static() {
    let file = binary();
    let size = fs::metadata(&file).unwrap().size();
    assert!(size < MAX_SIZE, "{size} bytes");
    // ELF64: the program headers begin at e_phoff (offset 32), e_phnum (56) of them, e_phentsize (54) bytes each.
    let bytes = fs::read(&file).unwrap();
    let word = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    assert_eq!(&bytes[..5], b"\x7fELF\x02");
    let start = usize::try_from(u64::from_le_bytes(bytes[32..40].try_into().unwrap())).unwrap();
    let types = (0..word(56)).map(|n| start + n * word(54)).map(|at| &bytes[at..at + 4]);
    const PT_LOAD: &[u8] = &[1, 0, 0, 0];
    const PT_INTERP: &[u8] = &[3, 0, 0, 0];
    let types: Vec<&[u8]> = types.collect();
    assert!(types.contains(&PT_LOAD) && !types.contains(&PT_INTERP), "{types:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn ssh_runs_command_and_shell() {
    let lab = Lab::start().await;
    lab.is_user(&lab.whoami(&[]).await);

    let (ca, destination) = (lab.mounts_ca(CA), lab.destination());
    let args = lab.docker_args(&["-it", &ca, "--env=AWS_CA_BUNDLE=/ca.pem"], &["ssh", &destination]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut tty = Tty::of(&program("docker"), &args, &[], lab.home.path(), None);
    tty.types("echo ready-$((40+2)) as $(id -un)\r");
    tty.until(&format!("ready-42 as {}", lab.sshd.user.name));
    tty.types("until [ \"$(stty size)\" = '41 132' ]; do :; done; echo followed-$((1+1))\r");
    tty.resize(41, 132);
    tty.until("followed-2");
    tty.types("exit 7\r");
    assert_eq!(tty.ends().code(), Some(7));
    lab.sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn etc_hosts_resolves() {
    let lab = Lab::at(TUNNEL).await;
    let hosts = [format!("--add-host={API}:127.0.0.1"), format!("--add-host={TUNNEL}:127.0.0.1")];
    lab.is_user(&lab.whoami(&[&lab.names_api(), &hosts[0], &hosts[1]]).await);
    lab.sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn dns_resolves_and_failure_has_hint() {
    let dns = Dns::start(&[API, TUNNEL]);
    let lab = Lab::at(TUNNEL).await;
    lab.is_user(&lab.whoami(&[&lab.names_api(), &lab.resolves_by(dns.address)]).await);
    assert!(dns.was_asked_for(API) && dns.was_asked_for(TUNNEL));
    lab.sshd.is_idle();

    let other = Dns::start(&[API]);
    let output = lab.whoami(&[&lab.names_api(), &lab.resolves_by(other.address)]).await;
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let stderr = text(&output.stderr);
    assert!(stderr.contains(TUNNEL) && stderr.contains("check the DNS set-up"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn mounted_system_roots_are_trusted() {
    let lab = Lab::start().await;
    let destination = lab.destination();
    let args = ["ssh", &destination, "--", "id", "-un"];
    lab.is_user(&lab.run(&[&lab.mounts_ca(SYSTEM_CA)], &args).await);
    // With only the bundled roots, the emulator's CA is not trusted.
    let output = lab.run(&[], &args).await;
    assert_eq!(output.status.code(), Some(76), "{output:?}");
    assert!(text(&output.stderr).contains("name it as CA bundle"), "{output:?}");
    let output = lab.run(&["--env=EICE_LOG=eice=debug"], &args).await;
    assert!(text(&output.stderr).contains("using the compiled-in ones"), "{output:?}");
    lab.sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn read_only_host_key_store_is_reported() {
    let lab = Lab::start().await;
    let (ca, destination) = (lab.mounts_ca(CA), lab.destination());
    let args = ["ssh", "--ca-bundle", CA, &destination, "--", "true"];
    // Without the image's setting the store is in the home, which is on the read-only root.
    let output = lab.run(&[&ca, "--env=XDG_STATE_HOME="], &args).await;
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("/.local/state/eice/host_keys.json"), "{stderr}");
    assert!(stderr.contains("Read-only file system") && stderr.contains("or name another"), "{stderr}");
}

impl Lab {
    /// Generates an ssh key, and a known_hosts file with the instance's key.
    fn makes_key(&self) -> PathBuf {
        let key = self.home.path().join("key");
        keygen("ed25519", "", "", &key);
        let known = format!("{INSTANCE} {}\n", self.sshd.host_key());
        fs::write(self.home.path().join("known_hosts"), known).unwrap();
        key
    }

    /// Runs `command` on the instance by the system's ssh, with `key` and `docker ARGS` as ProxyCommand.
    async fn ssh(&self, key: &Path, docker_args: &[String], command: &str) -> Output {
        let proxy = format!("ProxyCommand={} {}", program("docker").display(), docker_args.join(" "));
        let mut ssh = Command::new(program("ssh"));
        ssh.args(["-F", "none", "-o", &proxy, "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"]);
        ssh.args(["-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=/dev/null", "-i"]).arg(key).arg("-o");
        ssh.arg(format!("UserKnownHostsFile={}", self.home.path().join("known_hosts").display()));
        ssh.args([&self.destination(), command]).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || output(&mut ssh)).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn openssh_uses_container_tunnel() {
    let lab = Lab::start().await;
    let key = lab.makes_key();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let client = lab.world.aws().client(&Account::default(), None).await.unwrap();
    let user = lab.sshd.user.name.parse().unwrap();
    client.send_ssh_public_key(&lab.world.instance(), &user, public.trim()).await.unwrap();
    let tunnel = lab.docker_args(&["-i", &lab.mounts_ca(CA)], &["tunnel", "--ca-bundle", CA, "%h"]);
    let output = lab.ssh(&key, &tunnel, "head -c 1000000 /dev/zero; exit 42").await;
    assert_eq!(output.status.code(), Some(42), "{}", text(&output.stderr));
    assert_eq!(output.stdout.len(), 1_000_000);
    lab.sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn aws_alias_runs_its_commands() {
    let lab = Lab::start().await;
    let key = lab.makes_key();
    let aws = "--entrypoint=/usr/bin/aws";
    let output =
        lab.run(&[aws], &["sts", "get-caller-identity", "--query", "Account", "--output", "text"]).await;
    assert_eq!(text(&output.stdout).trim(), lab.world.emulator.access().account_id(), "{output:?}");

    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let user = lab.sshd.user.name.as_str();
    let args = [
        "ec2-instance-connect",
        "send-ssh-public-key",
        "--instance-id",
        INSTANCE,
        "--instance-os-user",
        user,
    ];
    let mut args = args.to_vec();
    args.extend(["--ssh-public-key", "file:///key.pub"]);
    let output = lab.run(&[aws, &lab.mounts(&public, "/key.pub")], &args).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["Success"], true, "{answer}");

    let ca = lab.mounts_ca(CA);
    let tunnel = ["ec2-instance-connect", "open-tunnel", "--instance-id", "%h"];
    let tunnel = lab.docker_args(&["-i", aws, &ca, "--env=AWS_CA_BUNDLE=/ca.pem"], &tunnel);
    let output = lab.ssh(&key, &tunnel, "id -un").await;
    lab.is_user(&output);
    lab.sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what `make static` builds: make test-static"]
async fn help_and_version_need_no_setup() {
    let lab = Lab::start().await;
    for (args, expected) in [
        (&["--version"][..], concat!("eice ", env!("CARGO_PKG_VERSION"))),
        (&["ssh", "--help"], "Usage: eice ssh"),
        (&["completions", "bash"], "_eice"),
        (&["man"], ".TH \"EICE\" \"1\""),
    ] {
        let output = lab.run(&[], args).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).contains(expected), "{output:?}");
    }
}
