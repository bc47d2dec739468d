//! The platform's rule of which workspaces may reach each other.

use super::{Directory, DirectoryError, Lineage, WorkspaceId};

/// How many ancestors above a workspace's parent are searched. Real trees have a few levels; a longer chain, or a cycle,
/// is corrupt data.
pub const MAX_ANCESTOR_STEPS: usize = 32;

/// Returns whether the workspace `caller` may reach the workspace `target`: they are the same, they share a parent, or one
/// is an ancestor of the other. On the platform of April 2026, two workspaces without a parent may reach each other as
/// well. The status is ignored: a removed workspace keeps its position. A missing workspace reaches nothing.
///
/// # Errors
/// [`DirectoryError`] when the directory cannot answer now. That neither grants nor denies.
pub async fn can_communicate(
    directory: &dyn Directory,
    caller: WorkspaceId,
    target: WorkspaceId,
) -> Result<bool, DirectoryError> {
    if caller == target {
        return Ok(true);
    }
    let Some(callers) = directory.lineage(caller).await? else { return Ok(false) };
    let Some(targets) = directory.lineage(target).await? else { return Ok(false) };
    let are_siblings = match (callers.parent, targets.parent) {
        (Some(callers), Some(targets)) => callers == targets,
        // Asked after the lineages, so that the directory knows its schema.
        (None, None) => directory.platform_version().roots_are_siblings(),
        _ => false,
    };
    Ok(are_siblings
        || is_above(directory, caller, targets).await?
        || is_above(directory, target, callers).await?)
}

/// Returns whether `ancestor` is above the workspace of `lineage`.
async fn is_above(
    directory: &dyn Directory,
    ancestor: WorkspaceId,
    lineage: Lineage,
) -> Result<bool, DirectoryError> {
    let Some(mut above) = lineage.parent else { return Ok(false) };
    for _ in 0..MAX_ANCESTOR_STEPS {
        if above == ancestor {
            return Ok(true);
        }
        match directory.lineage(above).await?.and_then(|lineage| lineage.parent) {
            Some(next) => above = next,
            None => return Ok(false),
        }
    }
    Ok(above == ancestor)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{BoxFuture, ready};
    use uuid::Uuid;

    use super::*;
    use crate::workspace::{PlatformVersion, always};

    /// Workspaces and their parents.
    #[derive(Default)]
    struct Tree {
        parents: BTreeMap<WorkspaceId, Option<WorkspaceId>>,
        /// Questions about this workspace fail.
        down_at: Option<WorkspaceId>,
        version: PlatformVersion,
        asked: AtomicUsize,
    }

    fn id(number: u128) -> WorkspaceId {
        Uuid::from_u128(number).into()
    }

    fn tree(parents: impl IntoIterator<Item = (u128, Option<u128>)>) -> Tree {
        let parents = parents.into_iter().map(|(child, parent)| (id(child), parent.map(id))).collect();
        Tree { parents, ..Tree::default() }
    }

    /// A chain whose root is 0.
    fn chain(len: u128) -> Tree {
        tree((0..len).map(|number| (number, number.checked_sub(1))))
    }

    impl Directory for Tree {
        always!(ready(Ok(Default::default())));
        fn platform_version(&self) -> PlatformVersion {
            self.version
        }
        fn lineage(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Lineage>, DirectoryError>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(ready(if self.down_at == Some(id) {
                Err(DirectoryError::new("connection refused"))
            } else {
                Ok(self.parents.get(&id).map(|parent| Lineage { parent: *parent }))
            }))
        }
    }

    impl Tree {
        async fn allows(&self, caller: u128, target: u128) -> bool {
            can_communicate(self, id(caller), id(target)).await.unwrap()
        }

        /// Asks both ways, because the rule is symmetric.
        async fn allows_both_ways(&self, a: u128, b: u128) -> bool {
            let (there, back) = (self.allows(a, b).await, self.allows(b, a).await);
            assert_eq!(there, back, "{a} and {b}");
            there
        }
    }

    #[tokio::test]
    async fn self_needs_no_query() {
        let empty = tree([]);
        assert!(empty.allows(7, 7).await);
        assert_eq!(empty.asked.into_inner(), 0);
    }

    #[tokio::test]
    async fn siblings() {
        assert!(tree([(0, None), (1, Some(0)), (2, Some(0))]).allows_both_ways(1, 2).await);
    }

    #[tokio::test]
    async fn roots_are_unrelated() {
        assert!(!tree([(1, None), (2, None)]).allows_both_ways(1, 2).await);
    }

    #[tokio::test]
    async fn roots_are_siblings_in_april() {
        let version = PlatformVersion::April2026;
        let roots = Tree { version, ..tree([(1, None), (2, None), (3, Some(2))]) };
        assert!(roots.allows_both_ways(1, 2).await);
        assert!(!roots.allows_both_ways(1, 3).await);
    }

    #[tokio::test]
    async fn parent_and_child() {
        assert!(chain(3).allows_both_ways(1, 2).await);
        assert!(chain(2).allows_both_ways(0, 1).await);
    }

    #[tokio::test]
    async fn cousins_and_uncles_are_unrelated() {
        // 0 above 1 and 2; 3 below 1, 4 below 2.
        let family = tree([(0, None), (1, Some(0)), (2, Some(0)), (3, Some(1)), (4, Some(2))]);
        assert!(!family.allows_both_ways(3, 4).await, "cousins");
        assert!(!family.allows_both_ways(1, 4).await, "uncle and nephew");
    }

    #[tokio::test]
    async fn trees_are_unrelated() {
        let two = tree([(0, None), (1, Some(0)), (10, None), (11, Some(10))]);
        assert!(!two.allows_both_ways(1, 10).await);
        assert!(!two.allows_both_ways(1, 11).await);
    }

    #[tokio::test]
    async fn missing_workspace_is_unreachable_both_ways() {
        let one = chain(2);
        for other in [0, 1] {
            assert!(!one.allows_both_ways(other, 99).await);
        }
        assert!(!one.allows_both_ways(98, 99).await);
    }

    #[tokio::test]
    async fn distant_ancestors() {
        let line = chain(12);
        assert!(line.allows_both_ways(0, 2).await);
        assert!(line.allows_both_ways(0, 11).await);
        assert!(line.allows_both_ways(4, 9).await);
    }

    #[tokio::test]
    async fn missing_parent_ends_the_walk() {
        let broken = tree([(1, Some(50)), (2, Some(1)), (3, None)]);
        assert!(!broken.allows_both_ways(2, 3).await);
        assert!(broken.allows_both_ways(1, 2).await);
    }

    #[tokio::test]
    async fn walk_ends_after_32_steps() {
        let steps = MAX_ANCESTOR_STEPS as u128;
        let line = chain(steps + 4);
        assert!(line.allows_both_ways(0, steps + 1).await);
        assert!(!line.allows_both_ways(0, steps + 2).await);
    }

    #[tokio::test]
    async fn cycles_end() {
        // 1 and 2 are each other's parent, 3 its own; 4 is below 1; 0 is a root.
        let circle = tree([(0, None), (1, Some(2)), (2, Some(1)), (3, Some(3)), (4, Some(1))]);
        assert!(!circle.allows_both_ways(0, 4).await);
        assert!(!circle.allows_both_ways(0, 3).await);
        assert!(!circle.allows_both_ways(3, 4).await);
        assert!(circle.allows_both_ways(2, 4).await);
        let most = 2 * (2 + 2 * MAX_ANCESTOR_STEPS);
        assert!(circle.asked.into_inner() <= 4 * most);
    }

    #[tokio::test]
    async fn outage_is_an_error() {
        // The order of the questions: the caller, the target, and the ancestors of each.
        for down in [5, 1, 0, 4, 3, 2] {
            let line = Tree { down_at: Some(id(down)), ..chain(6) };
            assert!(can_communicate(&line, id(5), id(1)).await.is_err(), "down at {down}");
        }
    }
}
