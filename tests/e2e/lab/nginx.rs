//! A private nginx with the documented configuration.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use super::managed_process::ChildProcess;
use super::require::program;
use super::run_dir::RunDir;
use super::wait::eventually;

/// Returns the `http` block of docs/canvas.md.
pub(crate) fn documented() -> String {
    let page = include_str!("../../../docs/canvas.md");
    let (_, rest) = page.split_once("```nginx\n").expect("docs/canvas.md has a block for nginx");
    rest.split_once("```").unwrap().0.to_owned()
}

/// A private nginx with its own folder and port, ended on drop and with the test process.
#[derive(Debug)]
pub(crate) struct Nginx {
    _server: ChildProcess,
    _dir: RunDir,
    pub(crate) addr: SocketAddr,
}

impl Nginx {
    /// Serves `http`, the lines of an `http` block. `replaced` substitutes what a test cannot have; each key must
    /// occur. LISTEN is replaced by the listening address.
    #[track_caller]
    pub(crate) fn start(http: &str, replaced: &[(&str, &str)]) -> Self {
        let nginx = program("nginx");
        let mut http = http.to_owned();
        for (documented, ours) in replaced {
            assert!(http.contains(documented), "docs/canvas.md does not say {documented:?} any more");
            http = http.replace(documented, ours);
        }
        let dir = RunDir::new("nginx");
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", dir.join(kind).display()))
            .concat();
        let pid = dir.join("pid");
        // Another process may take a free port before nginx does; then another port is tried.
        let (server, addr) = eventually("nginx has a port of its own", || {
            let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let http = http.replace("LISTEN", &addr.to_string());
            let text = format!(
                "daemon off;\nworker_processes 1;\npid {};\nerror_log stderr warn;\nevents {{ worker_connections 256; }}\n\
                 http {{\naccess_log off;\n{temporary}{http}\n}}\n",
                pid.display()
            );
            let config = dir.write("nginx.conf", &text, 0o644);
            let mut command = Command::new(&nginx);
            command.arg("-c").arg(config).arg("-p").arg(dir.join(""));
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
            command.stderr(log);
            let mut server = ChildProcess::start(&mut command);
            let answers = eventually("nginx answers, or ends", || {
                if !server.is_running() {
                    return Some(false);
                }
                TcpStream::connect(addr).is_ok().then_some(true)
            });
            let log = fs::read_to_string(dir.join("log")).unwrap();
            assert!(answers || log.contains("Address already in use"), "{log}");
            answers.then_some((server, addr))
        });
        Self { _server: server, _dir: dir, addr }
    }
}
