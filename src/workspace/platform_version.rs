//! The generations of the platform whose access rules differ.

/// A generation of the platform. Where the rules differ, the database's schema decides which one applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlatformVersion {
    /// molecule-core at 7cf77f27 (2026-04-27).
    April2026,
    /// enteros-core at aeec8e47 (2026-08-14). The default, because its rules are the stricter ones.
    #[default]
    August2026,
}

impl PlatformVersion {
    /// The name in `/ready` and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::April2026 => "2026-04",
            Self::August2026 => "2026-08",
        }
    }

    /// Whether two workspaces without a parent may reach each other. They may not since 2026-05-27.
    #[must_use]
    pub fn roots_are_siblings(self) -> bool {
        self == Self::April2026
    }
}
