//! A shell in a container on an instance by `docker exec` over a real sshd, and its cleanup.

use eice::emulator::Faults;
use eice::model::{ContainerShell, Exit, Host, InstanceTarget, Shell, TerminalRequest};

use crate::lab::{
    Container, Docker, InProcessGateway, Program, Sshd, TOKEN, TerminalClient, Viewer, WORKSPACE, World,
    directory, eventually, open_files, open_terminal,
};

/// An instance with a real sshd, whose user has access to a private engine.
struct Instance {
    world: World,
    container: Container,
    sshd: Sshd,
}

const ENV: &str = "MOLECULE_WS_ID=0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";

impl Instance {
    async fn with(image: &str) -> Self {
        let docker = Docker::shared();
        let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
        let container = Container::start(image, ENV);
        let world = World::of(&sshd).await;
        Self { world, container, sshd }
    }

    fn target(&self) -> InstanceTarget {
        let mut target = self.world.target();
        target.shell = Shell::Container(ContainerShell::new(self.container.name.parse().unwrap()));
        target
    }

    /// Returns the line of a workspace's entry that names the container.
    fn entry(&self) -> String {
        format!("container = {:?}", self.container.name)
    }

    async fn open(&self) -> (Box<dyn Host>, TerminalClient) {
        let host = self.world.host(&self.target()).await;
        let shell = open_terminal(&*host, &TerminalRequest::default()).await;
        (host, shell)
    }

    /// Waits until the container is idle, the user has no process, and no tunnel is open.
    fn wait_until_clean(&self) {
        self.container.is_idle();
        self.sshd.is_idle();
        eventually("no tunnel is open", || (self.world.emulator.open_tunnels() == 0).then_some(()));
    }

    /// Waits until the jobs of [`JOBS`] run.
    fn wait_for_jobs(&self) {
        eventually("the jobs run", || {
            let sleeping = self.container.processes();
            let sleeping = sleeping.iter().filter(|process| process.command.starts_with("sleep 5"));
            (sleeping.count() == 3).then_some(())
        });
    }
}

/// A background job, one that ignores SIGHUP, and one in its own session.
const JOBS: &str = "sleep 5001 & (trap '' HUP; exec sleep 5002) & setsid sleep 5003 & echo st''arted";

#[tokio::test(flavor = "multi_thread")]
async fn shell_is_root_in_workspace() {
    let instance = Instance::with(Docker::SH).await;
    let (host, mut shell) = instance.open().await;
    shell.line("whoami; df -h / | tail -n1; echo ws=$MOLECULE_WS_ID; tty").await;
    let said = shell.until("/dev/pts/").await;
    assert!(said.contains("root\r\n"), "{said}");
    assert!(said.contains("% /\r\n"), "{said}");
    assert!(said.contains("ws=0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"), "{said}");
    shell.close().await;
    host.close().await;
    instance.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_is_preferred_over_sh() {
    for (image, name) in [(Docker::SH, "sh"), (Docker::BASH, "bash")] {
        let instance = Instance::with(image).await;
        let (host, mut shell) = instance.open().await;
        shell.line("echo shell=$0 bash=${BASH_VERSION:+yes}.").await;
        let said = shell.until(if name == "bash" { "bash=yes." } else { "bash=." }).await;
        assert!(said.contains(&format!("shell={name} ")), "{image}: {said}");
        shell.close().await;
        host.close().await;
        instance.wait_until_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_127_starts_no_second_shell() {
    for image in [Docker::SH, Docker::BASH] {
        let instance = Instance::with(image).await;
        let (host, mut shell) = instance.open().await;
        shell.line("mistyped; echo status=$?").await;
        shell.until("status=127").await;
        // 127 is also the status of a shell that could not be started.
        shell.line("mistyped").await;
        shell.line("exit").await;
        let (_, _, exit) = shell.finish().await;
        assert_eq!(exit, Exit::Code(127), "{image}");
        host.close().await;
        instance.wait_until_clean();
    }
}

/// Starts the jobs of [`JOBS`] from a shell in a container of `image`, under `faults`; lets `end` end the shell, and
/// asserts that no process, connection or task is left.
async fn leaves_nothing_after(
    image: &str,
    faults: Faults,
    end: impl AsyncFnOnce(&Instance, Box<dyn Host>, TerminalClient),
) {
    let instance = Instance::with(image).await;
    let before = instance.world.leak_check().await;
    instance.world.emulator.faults().set(faults);
    let (host, mut shell) = instance.open().await;
    shell.line(JOBS).await;
    shell.until("started").await;
    instance.wait_for_jobs();
    end(&instance, host, shell).await;
    instance.wait_until_clean();
    before.assert_no_leaks().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_terminal_leaves_nothing() {
    leaves_nothing_after(Docker::BASH, Faults::default(), async |instance, host, shell| {
        shell.close().await;
        // Closing waits for the remote cleanup.
        assert_eq!(instance.container.processes(), []);
        host.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_terminal_leaves_nothing() {
    leaves_nothing_after(Docker::SH, Faults::default(), async |_, host, shell| drop((shell, host))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connection_leaves_nothing() {
    leaves_nothing_after(Docker::SH, Faults::default(), async |instance, _host, _shell| {
        // On the instance.
        for process in instance.sshd.serving() {
            if process.command.starts_with("sshd:") {
                process.kill();
            }
        }
        // Also while host and shell are still open here.
        instance.wait_until_clean();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_tunnel_leaves_nothing() {
    // Cut by a middlebox's idle timeout, which is shorter than the keepalive interval.
    let faults = Faults { idle_cut_ms: Some(2500), ..Faults::default() };
    leaves_nothing_after(Docker::BASH, faults, async |instance, _host, _shell| instance.wait_until_clean())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_tab_leaves_nothing() {
    let instance = Instance::with(Docker::BASH).await;
    let served = InProcessGateway::start(&instance.world, &instance.entry()).await;
    let before = served.leak_check(&instance.world, instance.sshd.addr).await;
    for vanishes in [false, true] {
        let mut viewer = served.viewer().await;
        viewer.line(JOBS).await;
        viewer.until("started").await;
        instance.wait_for_jobs();
        if vanishes {
            viewer.vanish();
        } else {
            viewer.leave().await;
        }
        instance.wait_until_clean();
        before.assert_no_leaks().await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_exit_closes_tab_with_1000() {
    let instance = Instance::with(Docker::SH).await;
    let served = InProcessGateway::start(&instance.world, &instance.entry()).await;
    let before = served.leak_check(&instance.world, instance.sshd.addr).await;
    let mut viewer = served.viewer().await;
    viewer.line("stty size; exit 4").await;
    viewer.until("24 80").await;
    let farewell = viewer.finish().await;
    assert_eq!(farewell.close, Some((1000, String::new())), "{farewell:?}");
    assert!(farewell.errors.is_empty(), "{farewell:?}");
    instance.wait_until_clean();
    before.assert_no_leaks().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateway_leaves_nothing() {
    let instance = Instance::with(Docker::SH).await;
    let (mut gateway, _folder) = serve(&instance);
    let viewer = busy_tab(&gateway, &instance).await;
    gateway.part.kill();
    instance.wait_until_clean();
    let farewell = viewer.finish().await;
    assert_eq!(farewell.close, None, "{farewell:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_stop_closes_tabs_with_1001() {
    let instance = Instance::with(Docker::SH).await;
    let (mut gateway, _folder) = serve(&instance);
    let viewer = busy_tab(&gateway, &instance).await;
    let finished = tokio::spawn(viewer.finish());
    assert!(tokio::task::block_in_place(|| gateway.part.terminate()).success());
    let farewell = finished.await.unwrap();
    assert_eq!(farewell.close.map(|(code, _)| code), Some(1001));
    instance.wait_until_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_tabs_leak_no_fd_or_child() {
    let instance = Instance::with(Docker::SH).await;
    let (gateway, _folder) = serve(&instance);
    // The first tab fills caches and pools.
    for round in 0..4 {
        let before = open_files(gateway.pid());
        let mut viewer = tab(&gateway).await;
        viewer.line("echo he''re").await;
        viewer.until("here").await;
        let children = crate::lab::Process::descendants(gateway.pid());
        assert!(children.is_empty(), "no subprocess, ever: {children:?}");
        viewer.leave().await;
        instance.wait_until_clean();
        if round > 0 {
            eventually("the files are closed", || (open_files(gateway.pid()) <= before).then_some(()));
        }
    }
    let stderr = gateway.stderr();
    assert!(!stderr.contains(TOKEN), "a secret in the log");
}

/// The name under which browsers know the program's gateway.
const PUBLIC_NAME: &str = "acme.example";

/// The program's own gateway, pointed at the instance.
fn serve(instance: &Instance) -> (Program, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory.toml");
    std::fs::write(&file, directory(&instance.sshd.user.name, &instance.entry())).unwrap();
    let mut env = instance.world.emulator.access().env();
    env.push(("EICE_ALLOWED_ORIGINS", format!("https://{PUBLIC_NAME}")));
    let args = ["serve", "--directory", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
    (Program::start(&args, &env), folder)
}

/// A tab on it.
async fn tab(gateway: &Program) -> Viewer {
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str()), ("host", PUBLIC_NAME)];
    Viewer::try_open(gateway.addr(), WORKSPACE, &headers).await.unwrap()
}

/// A tab with the jobs of [`JOBS`].
async fn busy_tab(gateway: &Program, instance: &Instance) -> Viewer {
    let mut viewer = tab(gateway).await;
    viewer.line(JOBS).await;
    viewer.until("started").await;
    instance.wait_for_jobs();
    viewer
}

#[test]
fn lab_sees_container_processes() {
    let container = Container::start(Docker::SH, ENV);
    Docker::shared().run(["exec", "-d", &container.name, "setsid", "sleep", "999"]);
    // On its way there it is the engine's helper, then `setsid`, and between two of them nothing at all.
    let seen = eventually("a detached job is seen", || {
        container.processes().into_iter().find(|process| process.command == "sleep 999")
    });
    seen.kill();
    container.is_idle();
}
