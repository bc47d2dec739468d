//! The Debian package: its content, the checks of Debian's tools, installation and removal.
//!
//! `make test-deb` builds it and runs these tests; elsewhere they are ignored.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use eice::cli::ready::Ready;

use crate::lab::{program, run, run_ok, wait_for_exit};

/// Returns the package that `make deb` built.
#[track_caller]
fn package() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages");
    let file = folder.join(format!("eice_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture()));
    assert!(file.is_file(), "{} is not there: make deb", file.display());
    file
}

fn architecture() -> String {
    run_ok("dpkg", ["--print-architecture"]).trim().to_owned()
}

/// A root folder that contains the installed package and dpkg's records only.
struct Installed {
    root: tempfile::TempDir,
}

impl Installed {
    #[track_caller]
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/lib/dpkg/info")).unwrap();
        fs::create_dir_all(root.path().join("var/lib/dpkg/updates")).unwrap();
        fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        let installed = Self { root };
        installed.dpkg("--install", package().to_str().unwrap());
        installed
    }

    #[track_caller]
    fn dpkg(&self, what: &str, of: &str) {
        let root = format!("--root={}", self.root.path().display());
        // The root has no shell for the package's scripts: they run outside, with the root as a variable.
        run_ok("dpkg", [&root, "--force-script-chrootless", what, of]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Returns everything below the root except dpkg's records.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    walk(&path, into);
                } else {
                    into.push(path);
                }
            }
        }
        let mut files = Vec::new();
        walk(self.root.path(), &mut files);
        files.retain(|file| {
            !file.starts_with(self.path("var/lib/dpkg")) && !file.starts_with(self.path("var/log"))
        });
        files.sort();
        files
    }
}

#[test]
#[ignore = "needs what `make deb` builds: make test-deb"]
fn package_is_complete_and_runs() {
    let installed = Installed::new();
    for (file, mode) in [
        ("usr/bin/eice", 0o755),
        ("lib/systemd/system/eice.service", 0o644),
        ("etc/eice/serve.toml", 0o644),
        ("etc/eice/directory.toml", 0o644),
        ("etc/eice/environment", 0o600),
        ("usr/share/man/man1/eice.1.gz", 0o644),
        ("usr/share/man/man1/eice-serve.1.gz", 0o644),
        ("usr/share/bash-completion/completions/eice", 0o644),
        ("usr/share/zsh/vendor-completions/_eice", 0o644),
        ("usr/share/fish/vendor_completions.d/eice.fish", 0o644),
        ("usr/share/doc/eice/copyright", 0o644),
        ("usr/share/doc/eice/changelog.gz", 0o644),
        ("usr/share/doc/eice/third-party.gz", 0o644),
    ] {
        let found = fs::metadata(installed.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(found.mode() & 0o7777, mode, "{file}");
        assert_eq!((found.uid(), found.gid()), (0, 0), "{file}");
    }
    assert_eq!(run_ok("dpkg-deb", ["-f", package().to_str().unwrap(), "Depends"]).trim(), "");
    let root = installed.root.path().to_str().unwrap();
    let version = run_ok("chroot", [root, "/usr/bin/eice", "--version"]);
    assert_eq!(version.trim(), format!("eice {}", env!("CARGO_PKG_VERSION")));
    let third_party =
        run_ok("gzip", ["-dc", installed.path("usr/share/doc/eice/third-party.gz").to_str().unwrap()]);
    for part in ["\nrussh 0.65.1: Apache-2.0\n", "\naws-lc-sys ", "Permission is hereby granted"] {
        assert!(third_party.contains(part), "{part:?}");
    }
}

#[test]
#[ignore = "needs what `make deb` builds: make test-deb"]
fn lintian_finds_nothing() {
    let file = package();
    let output = run("lintian", ["--allow-root", "--fail-on", "error,warning", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "needs what `make deb` builds: make test-deb"]
fn unit_is_valid_and_sandboxed() {
    let installed = Installed::new();
    let unit = installed.path("lib/systemd/system/eice.service");
    // The units that it is ordered after are systemd's.
    for target in
        ["network-online.target", "multi-user.target", "sysinit.target", "basic.target", "shutdown.target"]
    {
        fs::copy(Path::new("/lib/systemd/system").join(target), unit.with_file_name(target)).unwrap();
    }
    // Every Debian system also has a shell.
    fs::create_dir_all(installed.path("bin")).unwrap();
    fs::copy("/bin/sh", installed.path("bin/sh")).unwrap();
    let root = format!("--root={}", installed.root.path().display());
    let output =
        run("systemd-analyze", ["verify", &root, "--man=no", "--recursive-errors=no", "eice.service"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("eice.service"), "{said}");
    // systemd's measure of exposure, 0 to 100; an ordinary service has 96.
    let output =
        run("systemd-analyze", ["security", "--offline=yes", "--threshold=20", unit.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "needs what `make deb` builds: make test-deb"]
fn service_starts_with_shipped_files() {
    let installed = Installed::new();
    fs::create_dir(installed.path("run")).unwrap();
    let manager = UnixDatagram::bind(installed.path("run/notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut serve = Command::new(program("chroot"));
    serve.arg(installed.root.path()).args(["/usr/bin/eice", "serve", "--config", "/etc/eice/serve.toml"]);
    serve.args(["--listen", "127.0.0.1:0", "--json", "--until-stdin-closes"]);
    serve.env_clear().env("NOTIFY_SOCKET", "/run/notify").env("AWS_EC2_METADATA_DISABLED", "true");
    serve.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut serve = serve.spawn().unwrap();
    let message = || {
        let mut buffer = [0; 64];
        manager.recv(&mut buffer).map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    let mut line = String::new();
    BufReader::new(serve.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        panic!("it is not ready: {:?}", serve.wait_with_output());
    }
    let ready: Ready = serde_json::from_str(&line).unwrap();
    assert!(ready.url.starts_with("http://127.0.0.1:"));
    assert_eq!(message().unwrap(), "READY=1");
    drop(serve.stdin.take());
    assert_eq!(message().unwrap(), "STOPPING=1");
    assert!(wait_for_exit(&mut serve).success());
}

#[test]
#[ignore = "needs what `make deb` builds: make test-deb"]
fn purge_removes_configuration() {
    let installed = Installed::new();
    let state = installed.path("var/lib/private/eice");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("host_keys.json"), "{}").unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    symlink("private/eice", installed.path("var/lib/eice")).unwrap();
    fs::write(installed.path("etc/eice/serve.toml"), "# mine\n").unwrap();
    let wants = installed.path("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("/lib/systemd/system/eice.service", wants.join("eice.service")).unwrap();

    installed.dpkg("--remove", "eice");
    let kept = installed.files();
    assert!(kept.contains(&installed.path("etc/eice/serve.toml")), "{kept:?}");
    assert!(kept.contains(&state.join("host_keys.json")), "{kept:?}");
    assert!(!installed.path("usr/bin/eice").exists());

    installed.dpkg("--purge", "eice");
    assert_eq!(installed.files(), Vec::<PathBuf>::new());
    assert!(!installed.path("etc/eice").exists());
}
