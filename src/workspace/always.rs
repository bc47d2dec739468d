//! Directories that give every question the same answer, for tests.

/// Implements the required methods of [`Directory`](crate::workspace::Directory) with the future `$answer`: it resolves
/// to nothing (`Default`) or an error, or never.
macro_rules! always {
    ($answer:expr) => {
        fn authenticate<'a>(
            &'a self,
            _: &'a $crate::workspace::BearerToken,
        ) -> ::futures_util::future::BoxFuture<
            'a,
            Result<Option<$crate::workspace::Principal>, $crate::workspace::DirectoryError>,
        > {
            Box::pin($answer)
        }
        fn find(
            &self,
            _: $crate::workspace::WorkspaceId,
        ) -> ::futures_util::future::BoxFuture<
            '_,
            Result<Option<$crate::workspace::Workspace>, $crate::workspace::DirectoryError>,
        > {
            Box::pin($answer)
        }
        fn list<'a>(
            &'a self,
            _: &'a $crate::workspace::Principal,
        ) -> ::futures_util::future::BoxFuture<
            'a,
            Result<Vec<$crate::workspace::Workspace>, $crate::workspace::DirectoryError>,
        > {
            Box::pin($answer)
        }
    };
}

pub(crate) use always;
