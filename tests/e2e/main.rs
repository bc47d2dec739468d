//! End to end: the real client stack and the real program against the emulator, a real OpenSSH sshd, a real Docker
//! engine, the system's ssh and a real browser. One file a topic; `lab` starts and ends the parts.
//!
//! A part that is not installed fails the tests that need it and says what to install.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "these are tests: what goes wrong in one is its failure"
)]

mod accounts;
mod aws_shim;
mod bad_input;
mod behind_nginx;
mod bench;
mod browser;
mod canvas;
mod cli_ssh;
mod cli_tunnel;
mod client;
mod completions;
mod connect;
mod cp;
mod crate_package;
mod deb;
mod docker;
mod dockerfile;
mod doctor;
mod exec;
mod fairness;
mod forwarding;
mod host_keys;
mod hostile;
mod identity;
mod lab;
mod local;
mod manual;
mod naming;
mod openssh_client;
mod policy;
mod postgres;
mod proxies;
mod push_key;
mod routes;
mod secrets;
mod serving;
mod ssh_config;
mod sshd;
mod static_binary;
mod tmux;
mod tutorial;
