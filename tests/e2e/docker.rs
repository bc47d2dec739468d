//! A shell in a container on an instance: `docker exec` over a real sshd, and what it leaves behind.

use eice::emulator::Faults;
use eice::model::{ContainerShell, Exit, Host, InstanceTarget, Shell, TerminalRequest};

use crate::lab::{
    Console, Container, Docker, Program, Served, Sshd, TOKEN, Viewer, WORKSPACE, World, console, directory,
    eventually, open_files,
};

/// An instance with a real sshd, whose user may run the private engine's containers.
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

    /// The lines of a workspace's entry that name the container.
    fn entry(&self) -> String {
        format!("container = {:?}", self.container.name)
    }

    async fn open(&self) -> (Box<dyn Host>, Console) {
        let host = self.world.host(&self.target()).await;
        let shell = console(&*host, &TerminalRequest::default()).await;
        (host, shell)
    }

    /// Waits until nothing is left: in the container, of the user, of the tunnel.
    fn is_clean(&self) {
        self.container.is_idle();
        self.sshd.is_idle();
        eventually("no tunnel is open", || (self.world.emulator.open_tunnels() == 0).then_some(()));
    }

    /// Waits until the jobs of [`JOBS`] run.
    fn has_jobs(&self) {
        eventually("the jobs run", || {
            let sleeping = self.container.processes();
            let sleeping = sleeping.iter().filter(|process| process.command.starts_with("sleep 5"));
            (sleeping.count() == 3).then_some(())
        });
    }
}

/// A background job, one that ignores the hang-up, and one in a session of its own.
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
    instance.is_clean();
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
        instance.is_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_127_starts_no_second_shell() {
    for image in [Docker::SH, Docker::BASH] {
        let instance = Instance::with(image).await;
        let (host, mut shell) = instance.open().await;
        shell.line("mistyped; echo status=$?").await;
        shell.until("status=127").await;
        // 127 is the shell's own status now, as it is that of a shell that could not be started.
        shell.line("mistyped").await;
        shell.line("exit").await;
        let (_, _, exit) = shell.finish().await;
        assert_eq!(exit, Exit::Code(127), "{image}");
        host.close().await;
        instance.is_clean();
    }
}

/// Starts the jobs of [`JOBS`] from a shell in a container of `image`, under `faults`; lets `end` end the shell, and sees
/// that nothing is left: no process, no connection, no task.
async fn nothing_is_left_after(
    image: &str,
    faults: Faults,
    end: impl AsyncFnOnce(&Instance, Box<dyn Host>, Console),
) {
    let instance = Instance::with(image).await;
    let before = instance.world.census().await;
    instance.world.emulator.faults().set(faults);
    let (host, mut shell) = instance.open().await;
    shell.line(JOBS).await;
    shell.until("started").await;
    instance.has_jobs();
    end(&instance, host, shell).await;
    instance.is_clean();
    before.is_restored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_terminal_leaves_nothing() {
    nothing_is_left_after(Docker::BASH, Faults::default(), async |instance, host, shell| {
        shell.close().await;
        // Closing waits for the far side.
        assert_eq!(instance.container.processes(), []);
        host.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_terminal_leaves_nothing() {
    nothing_is_left_after(Docker::SH, Faults::default(), async |_, host, shell| drop((shell, host))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connection_leaves_nothing() {
    nothing_is_left_after(Docker::SH, Faults::default(), async |instance, _host, _shell| {
        // At the instance's end.
        for process in instance.sshd.serving() {
            if process.command.starts_with("sshd:") {
                process.kill();
            }
        }
        // Also while host and shell are still held.
        instance.is_clean();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_tunnel_leaves_nothing() {
    // By something on the way that takes silence for an end; the keepalives are further apart.
    let faults = Faults { idle_cut_ms: Some(2500), ..Faults::default() };
    nothing_is_left_after(Docker::BASH, faults, async |instance, _host, _shell| instance.is_clean()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_tab_leaves_nothing() {
    let instance = Instance::with(Docker::BASH).await;
    let served = Served::start(&instance.world, &instance.entry()).await;
    let before = served.census(&instance.world, instance.sshd.addr).await;
    for vanishes in [false, true] {
        let mut viewer = served.viewer().await;
        viewer.line(JOBS).await;
        viewer.until("started").await;
        instance.has_jobs();
        if vanishes {
            viewer.vanish();
        } else {
            viewer.leave().await;
        }
        instance.is_clean();
        before.is_restored().await;
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_exit_closes_tab_with_1000() {
    let instance = Instance::with(Docker::SH).await;
    let served = Served::start(&instance.world, &instance.entry()).await;
    let before = served.census(&instance.world, instance.sshd.addr).await;
    let mut viewer = served.viewer().await;
    viewer.line("stty size; exit 4").await;
    viewer.until("24 80").await;
    let farewell = viewer.finish().await;
    assert_eq!(farewell.close, Some((1000, String::new())), "{farewell:?}");
    assert!(farewell.errors.is_empty(), "{farewell:?}");
    instance.is_clean();
    before.is_restored().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateway_leaves_nothing() {
    let instance = Instance::with(Docker::SH).await;
    let (mut gateway, _folder) = serve(&instance);
    let viewer = busy_tab(&gateway, &instance).await;
    gateway.part.kill();
    instance.is_clean();
    let farewell = viewer.finish().await;
    assert_eq!(farewell.close, None, "{farewell:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_stop_closes_tabs_with_1001() {
    let instance = Instance::with(Docker::SH).await;
    let (mut gateway, _folder) = serve(&instance);
    let viewer = busy_tab(&gateway, &instance).await;
    let told = tokio::spawn(viewer.finish());
    assert!(tokio::task::block_in_place(|| gateway.part.terminate()).success());
    let farewell = told.await.unwrap();
    assert_eq!(farewell.close.map(|(code, _)| code), Some(1001));
    instance.is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_tabs_leak_no_fd_or_child() {
    let instance = Instance::with(Docker::SH).await;
    let (gateway, _folder) = serve(&instance);
    // The first one fills caches and pools.
    for round in 0..4 {
        let before = open_files(gateway.pid());
        let mut viewer = tab(&gateway).await;
        viewer.line("echo he''re").await;
        viewer.until("here").await;
        let children = crate::lab::Process::descendants(gateway.pid());
        assert!(children.is_empty(), "no subprocess, ever: {children:?}");
        viewer.leave().await;
        instance.is_clean();
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
    instance.has_jobs();
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
