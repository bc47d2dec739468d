//! The options of a diagnosis.

use std::time::Duration;

use crate::aws::policy::Tag;

/// Options of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiagnoseOptions {
    /// The total time limit. The default is 30 s.
    pub timeout: Duration,
    /// The tag that the caller's policy requires on instance and endpoint. If AWS denies a call on a resource
    /// without it, the report suggests the tag along with the statement. The default is none.
    pub tag: Option<Tag>,
}

impl Default for DiagnoseOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), tag: None }
    }
}
