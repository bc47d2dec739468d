//! The routes besides the terminal, one concern a file.

pub(super) mod health;
pub(super) mod sign_in;
pub(super) mod ticket;
pub(super) mod workspaces;
