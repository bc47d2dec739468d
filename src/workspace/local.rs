//! The names of a local workspace's container.

use super::WorkspaceId;
use crate::model::{ContainerName, LocalTarget};

/// Begins the name of a container that is derived from a workspace's id.
const PREFIX: &str = "ws-";

/// Begin the names that the platform gives to containers. A workspace's own name is no such name, since it would be
/// another workspace's container.
const RESERVED: [&str; 2] = [PREFIX, "mol-ws-"];

/// The length of the part of a workspace's id in its container's first name, in characters.
const SHORT_ID_LEN: usize = 12;

/// Returns the container of the workspace `id`, called `name`, on the gateway's own engine: its candidate names in the
/// platform's order. The last is the workspace's own name, which its users choose; the container must have the
/// platform's label as well.
pub(super) fn target(id: WorkspaceId, name: &str) -> LocalTarget {
    let id = id.to_string();
    let short = id.get(..SHORT_ID_LEN).unwrap_or(&id);
    let named = name.to_ascii_lowercase().replace(' ', "-");
    let mut candidates: Vec<ContainerName> = Vec::with_capacity(3);
    for text in [format!("{PREFIX}{short}"), format!("{PREFIX}{id}")] {
        candidates.extend(text.parse());
    }
    if !RESERVED.iter().any(|prefix| named.starts_with(prefix)) {
        // Nothing is added for a name that no container can have.
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
    fn container_name_is_id_or_name() {
        let by_id = ["ws-0a1b2c3d-4e5", "ws-0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9"];
        assert_eq!(names("Dev Lead 2"), [by_id[0], by_id[1], "dev-lead-2"]);
        // What no container can be called, and what would turn into something else by folding (a Kelvin sign).
        for odd in ["", " lead", "lead/../x", "$(id)", "-x", "\u{212a}ing", &"a".repeat(256)] {
            assert_eq!(names(odd), by_id, "{odd:?}");
        }
        assert_eq!(names("WS-0a1b2c3d-4e5"), by_id, "once is enough");
        for others in ["ws 11111111-222", "mol-ws-test5-a9f3044fa3f2", "Mol WS-x"] {
            assert_eq!(names(others), by_id, "{others:?} is another workspace's container");
        }
    }
}
