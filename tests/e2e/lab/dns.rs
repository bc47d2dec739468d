//! A real DNS server on its own loopback address.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use super::managed_process::ChildProcess;
use super::require::program;
use super::run_dir::RunDir;
use super::wait::eventually;

/// How many addresses are tried: another process may be using port 53 of one.
const ADDRESSES_TRIED: u8 = 10;

/// A running dnsmasq that resolves only the given names and has no upstream server.
#[derive(Debug)]
pub(crate) struct Dns {
    part: ChildProcess,
    /// Its address; the port is 53.
    pub(crate) address: Ipv4Addr,
    dir: RunDir,
}

impl Dns {
    /// Answers 127.0.0.1 for `names` and NXDOMAIN for every other name.
    #[track_caller]
    pub(crate) fn start(names: &[&str]) -> Self {
        let (dnsmasq, dir) = (program("dnsmasq"), RunDir::new("dns"));
        let [.., high, low] = std::process::id().to_be_bytes();
        for n in 0..ADDRESSES_TRIED {
            let address = Ipv4Addr::new(127, 53 + n, high, low.clamp(1, 254));
            let log = dir.join("log");
            let mut server = Command::new(&dnsmasq);
            server.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root"]);
            server.args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--log-queries", "--local=/#/"]);
            server
                .arg(format!("--listen-address={address}"))
                .arg(format!("--log-facility={}", log.display()));
            server.args(names.iter().map(|name| format!("--host-record={name},127.0.0.1")));
            let refusal = fs::File::create(dir.join("refusal")).unwrap();
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(refusal);
            let mut part = ChildProcess::start(&mut server);
            let answers = eventually("the DNS server is up", || {
                let is_up = fs::read_to_string(&log).is_ok_and(|text| text.contains("started"));
                is_up.then_some(true).or((!part.is_running()).then_some(false))
            });
            if answers {
                return Self { part, address, dir };
            }
            let refusal = fs::read_to_string(dir.join("refusal")).unwrap();
            assert!(refusal.contains("already in use"), "dnsmasq ended:\n{refusal}");
        }
        panic!("port 53 of {ADDRESSES_TRIED} loopback addresses is taken");
    }

    /// Returns whether `name` was queried.
    pub(crate) fn was_asked_for(&self, name: &str) -> bool {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        log.lines().any(|line| line.contains("query[") && line.contains(name))
    }
}
