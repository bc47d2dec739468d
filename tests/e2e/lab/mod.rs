//! The real parts, started privately and ended with the test.

#![allow(dead_code, unused_imports, reason = "the benchmarks use the laboratory as well, each a part of it")]

mod agent;
mod census;
pub(crate) mod cloudtrail;
mod configs;
mod console;
mod containers;
mod dns;
mod docker;
mod http;
mod noise;
mod part;
mod person;
mod postgres;
mod process;
mod program;
mod reaper;
mod require;
mod run_dir;
mod served;
mod shell;
mod sshd;
mod station;
mod tmux;
mod tty;
mod user;
mod viewer;
mod wait;
mod world;

pub(crate) use agent::Agent;
pub(crate) use census::{Census, open_files};
pub(crate) use configs::Configs;
pub(crate) use console::Console;
pub(crate) use containers::Container;
pub(crate) use dns::Dns;
pub(crate) use docker::Docker;
pub(crate) use http::request;
pub(crate) use noise::noise;
pub(crate) use part::Part;
pub(crate) use person::Person;
pub(crate) use postgres::{Database, Postgres};
pub(crate) use process::Process;
pub(crate) use program::{EICE, Program, eice};
pub(crate) use require::{program, run, run_ok};
pub(crate) use run_dir::RunDir;
pub(crate) use served::{Served, TOKEN, WORKSPACE, directory};
pub(crate) use shell::{Said, Shell};
pub(crate) use sshd::Sshd;
pub(crate) use station::{Station, text};
pub(crate) use tmux::Tmux;
pub(crate) use tty::Tty;
pub(crate) use user::unique;
pub(crate) use viewer::Viewer;
pub(crate) use wait::{eventually, eventually_within};
pub(crate) use world::{INSTANCE, World, console};
