//! End to end: the real client stack and the real program against the emulator, a real OpenSSH sshd, a real Docker
//! engine, the system's ssh and a real browser. One file for each topic; `lab` starts and ends the servers.
//!
//! A test fails with installation instructions when a program that it needs is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is how a test fails"
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
mod signals;
mod ssh_config;
mod sshd;
mod static_binary;
mod tmux;
mod tutorial;
