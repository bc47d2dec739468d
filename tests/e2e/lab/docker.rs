//! A private Docker engine, one for each test process.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::managed_process::ChildProcess;
use super::reaper;
use super::require::{program, root, run, run_ok};
use super::run_dir::RunDir;
use super::user::{locked, unique};
use super::wait::eventually;

/// The busybox applets in the images: enough for a shell session.
const APPLETS: &[&str] = &[
    "awk",
    "cat",
    "chmod",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "echo",
    "env",
    "false",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "kill",
    "ls",
    "mkdir",
    "mount",
    "mv",
    "nohup",
    "ps",
    "rm",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "tail",
    "tee",
    "test",
    "top",
    "touch",
    "tr",
    "true",
    "tty",
    "uname",
    "wc",
    "whoami",
    "xargs",
    "yes",
];

/// A private engine with its own socket and data and without networks, independent of the machine's own engine.
#[derive(Debug)]
pub(crate) struct Docker {
    part: ChildProcess,
    dir: RunDir,
    /// The group that has access to the socket.
    pub(crate) group: String,
}

/// Ended by the reaper when the test process is gone.
static SHARED: OnceLock<Docker> = OnceLock::new();

impl Docker {
    /// An image whose only shell is busybox's `sh`.
    pub(crate) const SH: &str = "eice-test:sh";
    /// The same with bash.
    pub(crate) const BASH: &str = "eice-test:bash";

    /// Returns the engine of this test process, started on first use.
    #[track_caller]
    pub(crate) fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start)
    }

    #[track_caller]
    fn start() -> Self {
        let docker = Self::private();
        docker.import(Self::BASH, true);
        docker
    }

    /// Starts an engine for one test, which may stop it; it has only the image with `sh`.
    #[track_caller]
    pub(crate) fn private() -> Self {
        root("a Docker engine");
        program("docker");
        let dir = RunDir::new("docker");
        let group = unique("eiced");
        locked("groupadd", &[&group]);
        reaper::removes_group(&group);
        let part = Self::serve(&dir, &group);
        let docker = Self { part, dir, group };
        docker.import(Self::SH, false);
        docker
    }

    /// Stops the engine and its containers.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.part.terminate();
    }

    /// Starts it again with the same data.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.part = Self::serve(&self.dir, &self.group);
    }

    /// Starts an engine in `dir` and waits until it answers.
    #[track_caller]
    fn serve(dir: &RunDir, group: &str) -> ChildProcess {
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut engine = Command::new(program("dockerd"));
        engine.arg("--data-root").arg(dir.join("data")).arg("--exec-root").arg(dir.join("exec"));
        engine.arg("--pidfile").arg(dir.join("pid")).args(["-G", group]);
        engine.args(["-H", &socket(dir)]);
        engine.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]);
        engine.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut part = ChildProcess::start(&mut engine);
        let host = socket(dir);
        eventually("the Docker engine answers", || {
            let text = || fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(part.is_running(), "dockerd ended:\n{}", text());
            run("docker", ["-H", &host, "version"]).status.success().then_some(())
        });
        part
    }

    /// Returns the value for `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        socket(&self.dir)
    }

    /// Runs the docker command line; it must succeed.
    #[track_caller]
    pub(crate) fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        let args = args.into_iter().map(str::to_owned);
        run_ok("docker", ["-H".to_owned(), self.host()].into_iter().chain(args))
    }

    /// Builds an image without a registry.
    fn import(&self, name: &str, bash: bool) {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for folder in ["bin", "etc", "proc", "dev", "tmp", "root"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        fs::copy(program("busybox"), root.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
        if bash {
            let file = program("bash");
            copy_into(root, &file, Some(Path::new("bin/bash")));
            let libraries = run_ok("ldd", [&file]);
            for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
                copy_into(root, Path::new(library), None);
            }
        }
        let path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        self.import_root(root, name, &[path]);
    }

    /// Builds the image `name` from the folder `root`, with `changes` as in a Dockerfile.
    #[track_caller]
    pub(crate) fn import_root(&self, root: &Path, name: &str, changes: &[&str]) {
        let archive = self.dir.join(&unique("image"));
        run_ok("tar", [Path::new("-C"), root, Path::new("-cf"), &archive, Path::new(".")]);
        let host = self.host();
        let mut args = vec!["-H", &host, "import"];
        args.extend(changes.iter().flat_map(|change| ["-c", change]));
        args.extend([archive.to_str().unwrap(), name]);
        run_ok("docker", args);
        fs::remove_file(archive).unwrap();
    }
}

fn socket(dir: &RunDir) -> String {
    format!("unix://{}", dir.join("docker.sock").display())
}

/// Copies `file`, resolving links, to `to` below `root`, or to its current path.
fn copy_into(root: &Path, file: &Path, to: Option<&Path>) {
    let to = root.join(to.unwrap_or_else(|| file.strip_prefix("/").unwrap()));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(file, to).unwrap();
}
