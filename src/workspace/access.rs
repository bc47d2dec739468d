//! Which workspaces may reach each other.

use super::{Directory, DirectoryError, Lineage, WorkspaceId};

/// How far up from a workspace's parent an ancestor is looked for, in steps. Trees of workspaces are a handful deep;
/// what is deeper, or runs in a circle, is a table gone wrong.
pub const MAX_ANCESTOR_STEPS: usize = 32;

/// Whether the workspace `caller` may reach the workspace `target` (docs/canvas.md, section 1.7): it is the same
/// one, they share a parent or have none at all, or one stands somewhere above the other. What the workspaces are
/// doing is no matter: a removed one still has its place. Somebody who is not there reaches nobody.
///
/// # Errors
/// [`DirectoryError`] when the directory cannot tell now. That is no refusal, and no permission either.
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
    Ok(callers.parent == targets.parent
        || is_above(directory, caller, targets).await?
        || is_above(directory, target, callers).await?)
}

/// Whether `ancestor` stands somewhere above the workspace of `lineage`.
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
    use crate::workspace::always;

    /// Parents by number, and how often they were asked for.
    #[derive(Default)]
    struct Tree {
        parents: BTreeMap<WorkspaceId, Option<WorkspaceId>>,
        /// Whoever is asked for cannot be told.
        down_at: Option<WorkspaceId>,
        asked: AtomicUsize,
    }

    fn id(number: u128) -> WorkspaceId {
        Uuid::from_u128(number).into()
    }

    fn tree(parents: impl IntoIterator<Item = (u128, Option<u128>)>) -> Tree {
        let parents = parents.into_iter().map(|(child, parent)| (id(child), parent.map(id))).collect();
        Tree { parents, ..Tree::default() }
    }

    /// Each number below the one before it, from 0, which is the root.
    fn chain(len: u128) -> Tree {
        tree((0..len).map(|number| (number, number.checked_sub(1))))
    }

    impl Directory for Tree {
        always!(ready(Ok(Default::default())));
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

        /// Both ways: the rule knows no direction.
        async fn allows_both_ways(&self, a: u128, b: u128) -> bool {
            let (there, back) = (self.allows(a, b).await, self.allows(b, a).await);
            assert_eq!(there, back, "{a} and {b}");
            there
        }
    }

    #[tokio::test]
    async fn itself_without_a_look() {
        let nobody = tree([]);
        assert!(nobody.allows(7, 7).await);
        assert_eq!(nobody.asked.into_inner(), 0);
    }

    #[tokio::test]
    async fn siblings() {
        assert!(tree([(0, None), (1, Some(0)), (2, Some(0))]).allows_both_ways(1, 2).await);
    }

    #[tokio::test]
    async fn roots_are_siblings() {
        assert!(tree([(1, None), (2, None)]).allows_both_ways(1, 2).await);
    }

    #[tokio::test]
    async fn a_parent_and_its_child() {
        assert!(chain(3).allows_both_ways(1, 2).await);
        assert!(chain(2).allows_both_ways(0, 1).await);
    }

    #[tokio::test]
    async fn not_cousins_nor_an_uncle() {
        // 0 above 1 and 2; 3 below 1, 4 below 2.
        let family = tree([(0, None), (1, Some(0)), (2, Some(0)), (3, Some(1)), (4, Some(2))]);
        assert!(!family.allows_both_ways(3, 4).await, "cousins");
        assert!(!family.allows_both_ways(1, 4).await, "uncle and nephew");
    }

    #[tokio::test]
    async fn not_a_root_and_what_is_below_another() {
        let two = tree([(0, None), (1, Some(0)), (10, None), (11, Some(10))]);
        assert!(!two.allows_both_ways(1, 10).await);
        assert!(!two.allows_both_ways(1, 11).await);
    }

    #[tokio::test]
    async fn nobody_reaches_who_is_not_there_nor_the_other_way() {
        let one = chain(2);
        for other in [0, 1] {
            assert!(!one.allows_both_ways(other, 99).await);
        }
        assert!(!one.allows_both_ways(98, 99).await);
    }

    #[tokio::test]
    async fn a_grandparent_and_a_far_ancestor() {
        let line = chain(12);
        assert!(line.allows_both_ways(0, 2).await);
        assert!(line.allows_both_ways(0, 11).await);
        assert!(line.allows_both_ways(4, 9).await);
    }

    #[tokio::test]
    async fn a_parent_that_is_gone_ends_the_walk() {
        let broken = tree([(1, Some(50)), (2, Some(1)), (3, None)]);
        assert!(!broken.allows_both_ways(2, 3).await);
        assert!(broken.allows_both_ways(1, 2).await);
    }

    #[tokio::test]
    async fn a_walk_ends_after_32_steps_from_the_parent() {
        let steps = MAX_ANCESTOR_STEPS as u128;
        let line = chain(steps + 4);
        assert!(line.allows_both_ways(0, steps + 1).await);
        assert!(!line.allows_both_ways(0, steps + 2).await);
    }

    #[tokio::test]
    async fn a_circle_ends() {
        // 1 and 2 above each other, 3 above itself, 4 below the circle, 0 a root.
        let circle = tree([(0, None), (1, Some(2)), (2, Some(1)), (3, Some(3)), (4, Some(1))]);
        assert!(!circle.allows_both_ways(0, 4).await);
        assert!(!circle.allows_both_ways(0, 3).await);
        assert!(!circle.allows_both_ways(3, 4).await);
        assert!(circle.allows_both_ways(2, 4).await);
        let most = 2 * (2 + 2 * MAX_ANCESTOR_STEPS);
        assert!(circle.asked.into_inner() <= 4 * most);
    }

    #[tokio::test]
    async fn an_outage_is_no_answer() {
        // Asked in this order: the caller, the target, and what is above each of them.
        for down in [5, 1, 0, 4, 3, 2] {
            let line = Tree { down_at: Some(id(down)), ..chain(6) };
            assert!(can_communicate(&line, id(5), id(1)).await.is_err(), "down at {down}");
        }
    }
}
