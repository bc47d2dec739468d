//! The routes other than the terminal, one concern per file.

pub(super) mod build_info;
pub(super) mod diagnose;
mod file_map;
pub(super) mod files;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod sessions;
pub(super) mod sign_in;
pub(super) mod ticket;
pub(super) mod workspaces;
