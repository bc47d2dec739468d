//! What the container of a local workspace is called.

use super::WorkspaceId;
use crate::model::{ContainerName, LocalTarget};

/// What begins the name of every container that is called after a workspace's id.
const PREFIX: &str = "ws-";

/// How much of a workspace's id is in its container's first name, in characters.
const SHORT_ID_LEN: usize = 12;

/// The container of the workspace `id`, called `name`, beside the gateway: what it may be called, in the order of the
/// platform (docs/canvas.md, section 4). The last is the workspace's own name, which anybody may have chosen: whoever
/// opens it looks for the platform's label as well, and one that reads like a name after an id is none, since it would
/// be another workspace's.
pub(super) fn target(id: WorkspaceId, name: &str) -> LocalTarget {
    let id = id.to_string();
    let short = id.get(..SHORT_ID_LEN).unwrap_or(&id);
    let named = name.to_ascii_lowercase().replace(' ', "-");
    let mut candidates: Vec<ContainerName> = Vec::with_capacity(3);
    for text in [format!("{PREFIX}{short}"), format!("{PREFIX}{id}")] {
        candidates.extend(text.parse());
    }
    if !named.starts_with(PREFIX) {
        // A name that no container can have is none.
        candidates.extend(named.parse());
    }
    LocalTarget::new(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";

    fn names(name: &str) -> Vec<String> {
        target(ID.parse().unwrap(), name).candidates.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_container_is_called_after_the_id_or_the_name() {
        let by_id = ["ws-0a1b2c3d-4e5", "ws-0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"];
        assert_eq!(names("Dev Lead 2"), [by_id[0], by_id[1], "dev-lead-2"]);
        // What no container can be called, and what would turn into something else by folding (a Kelvin sign).
        for odd in ["", " lead", "lead/../x", "$(id)", "-x", "\u{212a}ing", &"a".repeat(256)] {
            assert_eq!(names(odd), by_id, "{odd:?}");
        }
        assert_eq!(names("WS-0a1b2c3d-4e5"), by_id, "once is enough");
        assert_eq!(names("ws 11111111-222"), by_id, "another workspace's container is none of its own");
    }
}
