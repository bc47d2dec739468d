//! The schemas that this version was checked against, as names of migrations and columns.
//!
//! All migrations of molecule-core at 7cf77f27 (April 2026) and of enteros-core at aeec8e47 (August 2026) were applied to
//! PostgreSQL 15; the names are what the database had afterwards.

/// A table that decides who gets in, with every column that it has in April or August.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns of April.
    pub(super) april: &'static [&'static str],
    /// The columns that August adds.
    pub(super) august: &'static [&'static str],
}

/// The tables whose columns are compared.
pub(super) const TABLES: [Table; 3] = [
    Table {
        name: "workspaces",
        april: &[
            "id",
            "name",
            "role",
            "tier",
            "status",
            "source_bundle_id",
            "agent_card",
            "url",
            "parent_id",
            "forwarded_to",
            "last_heartbeat_at",
            "last_error_rate",
            "last_sample_error",
            "active_tasks",
            "uptime_seconds",
            "created_at",
            "updated_at",
            "current_task",
            "awareness_namespace",
            "runtime",
            "workspace_dir",
            "workspace_access",
            "budget_limit",
            "monthly_spend",
            "hibernation_idle_minutes",
            "last_outbound_at",
            "max_concurrent_tasks",
            "instance_id",
        ],
        august: &[
            "platform_inbound_secret",
            "delivery_mode",
            "runtime_image_digest",
            "compute",
            "update_tier",
            "broadcast_enabled",
            "talk_to_user_enabled",
            "budget_limits",
            "kind",
            "last_activity_at",
            "last_register_failure_at",
            "chat_session_started_at",
            "template",
            "mcp_unloaded_since",
            "can_delegate",
            "loaded_mcp_tools",
            "is_busy",
            "carryover_runtime_schedules",
            "has_greeted",
            "desired_generation",
            "observed_generation",
            "mcp_surface",
        ],
    },
    Table {
        name: "workspace_auth_tokens",
        april: &["id", "workspace_id", "token_hash", "prefix", "created_at", "last_used_at", "revoked_at"],
        august: &["kind"],
    },
    Table {
        name: "org_api_tokens",
        april: &[
            "id",
            "token_hash",
            "prefix",
            "name",
            "created_by",
            "created_at",
            "last_used_at",
            "revoked_at",
            "org_id",
        ],
        august: &["expires_at"],
    },
];

/// The migrations of April, by file name.
pub(super) fn april_migrations() -> Vec<&'static str> {
    include_str!("migrations-2026-04.txt").lines().collect()
}

/// Every checked migration, by file name.
pub(super) fn checked_migrations() -> Vec<&'static str> {
    let mut names = april_migrations();
    names.extend(include_str!("migrations-2026-08.txt").lines());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_complete() {
        let (april, all) = (april_migrations(), checked_migrations());
        assert_eq!((april.len(), all.len()), (43, 118));
        assert!(april.contains(&"043_workspace_status_enum.up.sql"));
        assert!(all.contains(&"20260617130000_org_api_tokens_expires_at.up.sql"));
        assert!(all.iter().all(|name| name.ends_with(".sql") && !name.ends_with(".down.sql")));
        assert_eq!(all.iter().max(), Some(&"20260809140000_workspaces_mcp_surface.up.sql"));
    }
}
