//! The real parts, started privately and ended with the test.

#![allow(dead_code, unused_imports, reason = "the topics that use the rest follow")]

mod containers;
mod docker;
mod part;
mod process;
mod reaper;
mod require;
mod run_dir;
mod sshd;
mod user;
mod wait;

pub(crate) use containers::Container;
pub(crate) use docker::Docker;
pub(crate) use part::Part;
pub(crate) use process::Process;
pub(crate) use require::{program, run, run_ok};
pub(crate) use run_dir::RunDir;
pub(crate) use sshd::Sshd;
pub(crate) use user::User;
pub(crate) use wait::{eventually, eventually_within};
