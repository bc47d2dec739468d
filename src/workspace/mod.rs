//! L2 · The directory of workspaces, and who may open them.
//!
//! A [`Directory`] answers three questions: whose token is this, which workspace has this id, and which
//! workspaces may this principal open. An outage is an error of its own and never reads as "not found".
//! [`FileDirectory`] answers from a TOML file, `postgres` from the platform's database. [`can_communicate`] is the platform's rule of which workspaces may
//! reach each other.

mod access;
#[cfg(test)]
mod always;
mod directory;
mod entries;
mod fields;
mod file;
mod id;
mod local;
mod platform_version;
#[cfg(feature = "gateway")]
pub mod postgres;
mod principal;
mod token;

pub use access::{MAX_ANCESTOR_STEPS, can_communicate};
#[cfg(test)]
pub(crate) use always::always;
pub use directory::{Activity, Directory, DirectoryError, Health, Lineage, Status, Workspace};
pub use file::{FileDirectory, FileError, Problem};
pub use id::{InvalidWorkspaceId, WorkspaceId};
pub use platform_version::PlatformVersion;
pub use principal::{Access, CredentialKind, Principal};
pub use token::{BearerToken, TokenDigest};
