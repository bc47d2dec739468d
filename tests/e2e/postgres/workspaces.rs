//! Reading of `workspaces` rows.

use eice::model::{EndpointChoice, Target};
use eice::workspace::{
    Access, Directory, PlatformVersion, Principal, Status, Workspace, WorkspaceId, can_communicate,
};

use super::{add_workspace, directory, tuned};
use crate::lab::{Database, Postgres};

async fn find(directory: &dyn Directory, id: WorkspaceId) -> Workspace {
    directory.find(id).await.unwrap().expect("it is there")
}

/// Returns a database for each schema.
fn schemas() -> [Database<'static>; 3] {
    let postgres = Postgres::shared();
    [postgres.platform(), postgres.april(), postgres.platform_before_043()]
}

#[tokio::test]
async fn instance_column_selects_the_target() {
    for database in schemas() {
        let directory = directory(&database.url());
        let parent = add_workspace(&database, "Lead One", &[("runtime", "NULL"), ("instance_id", "''")]);
        let remote = add_workspace(
            &database,
            "agent",
            &[
                ("status", "'degraded'"),
                ("parent_id", &format!("'{parent}'")),
                ("runtime", "'hermes'"),
                ("instance_id", "'i-0123456789abcdef0'"),
            ],
        );
        let local = add_workspace(&database, "plain", &[]);

        let found = find(&directory, remote).await;
        assert_eq!((found.id, found.name.as_str(), found.status), (remote, "agent", Status::Degraded));
        assert_eq!((found.runtime.as_deref(), found.parent), (Some("hermes"), Some(parent)));
        let Target::Instance(target) = found.target else { panic!("{:?}", found.target) };
        assert_eq!(target.instance.to_string(), "i-0123456789abcdef0");
        assert_eq!((target.os_user.as_str(), target.region), ("ubuntu", None));

        let found = find(&directory, parent).await;
        let Target::Local(target) = found.target else { panic!("{:?}", found.target) };
        let names: Vec<_> = target.candidates.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [format!("ws-{}", &parent.to_string()[..12]), format!("ws-{parent}"), "lead-one".into()]
        );
        assert_eq!((found.runtime, found.parent, found.status), (None, None, Status::Provisioning));

        let found = find(&directory, local).await;
        assert!(matches!(found.target, Target::Local(_)));
        let default = match directory.platform_version() {
            PlatformVersion::April2026 => "langgraph",
            _ => "hermes",
        };
        assert_eq!(found.runtime.as_deref(), Some(default), "the platform's default");
        assert!(directory.find(WorkspaceId::random()).await.unwrap().is_none());
        directory.check().await.unwrap();
    }
}

#[tokio::test]
async fn instance_options_come_from_config() {
    let database = Postgres::shared().platform();
    let id = add_workspace(&database, "a", &[("instance_id", "'i-0123456789abcdef0'")]);
    let directory = tuned(&database.url(), |config| {
        config.instance.os_user = "admin".parse().unwrap();
        config.instance.region = Some("eu-west-1".into());
        config.instance.endpoint = EndpointChoice::Id("eice-0123456789abcdef0".parse().unwrap());
        config.instance.max_duration = Some("1800".parse().unwrap());
    });
    let Target::Instance(target) = find(&directory, id).await.target else { panic!("no instance") };
    assert_eq!((target.os_user.as_str(), target.region.as_deref()), ("admin", Some("eu-west-1")));
    assert!(matches!(target.endpoint, EndpointChoice::Id(_)));
    assert_eq!(target.max_duration.unwrap().as_secs(), 1800);
}

#[tokio::test]
async fn every_status_is_accepted() {
    let words = [
        ("provisioning", Status::Provisioning),
        ("online", Status::Online),
        ("offline", Status::Offline),
        ("degraded", Status::Degraded),
        ("failed", Status::Failed),
        ("removed", Status::Removed),
        ("paused", Status::Paused),
        ("hibernated", Status::Hibernated),
    ];
    let [of_august, with_enum, with_text] = schemas();
    let later = [("awaiting_agent", Status::AwaitingAgent), ("hibernating", Status::Hibernating)];
    for database in [&of_august, &with_enum, &with_text] {
        let directory = directory(&database.url());
        let later = later.iter().filter(|_| database.name == of_august.name);
        for &(word, status) in words.iter().chain(later) {
            let id = add_workspace(database, word, &[("status", &format!("'{word}'"))]);
            assert_eq!(find(&directory, id).await.status, status, "{word}");
        }
    }
    let of_text = directory(&with_text.url());
    for word in ["'frozen'", "''", "NULL"] {
        let id = add_workspace(&with_text, "odd", &[("status", word)]);
        assert_eq!(find(&of_text, id).await.status, Status::Unknown, "{word}");
    }
    let id = add_workspace(&with_text, "odd", &[("status", "'Removed'")]);
    assert_eq!(find(&of_text, id).await.status, Status::Removed);
    with_enum.run("ALTER TYPE workspace_status ADD VALUE 'frozen'");
    let id = add_workspace(&with_enum, "new", &[("status", "'frozen'")]);
    assert_eq!(find(&directory(&with_enum.url()), id).await.status, Status::Unknown);
}

#[tokio::test]
async fn invalid_instance_id_is_an_error() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let good = add_workspace(&database, "good", &[]);
    for bad in ["i-1;rm", "i-", " ", "a/b"] {
        let id = add_workspace(&database, &format!("bad {bad}"), &[("instance_id", &format!("'{bad}'"))]);
        let error = directory.find(id).await.expect_err(bad);
        assert_eq!(error.to_string(), "the directory of workspaces has an entry that cannot be used");
        assert!(!error.is_outage());
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(&id.to_string()) && cause.contains(bad), "{cause}");
    }
    let all = directory.list(&Principal::new("admin", Access::All)).await.unwrap();
    let ids: Vec<_> = all.iter().map(|workspace| workspace.id).collect();
    assert_eq!(ids, [good], "one bad row does not hide the others");
}

#[tokio::test]
async fn list_is_filtered_sorted_and_bounded() {
    for database in schemas() {
        let directory = directory(&database.url());
        let [b, a] = ["b", "a"].map(|name| add_workspace(&database, name, &[("status", "'online'")]));
        let removed = add_workspace(&database, "gone", &[("status", "'removed'")]);
        let ids = async |access| {
            let listed = directory.list(&Principal::new("somebody", access)).await.unwrap();
            listed.into_iter().map(|workspace| workspace.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(Access::All).await, [a, b]);
        assert_eq!(ids(Access::Only([b, removed, WorkspaceId::random()].into())).await, [b]);
        assert_eq!(ids(Access::Only([].into())).await, []);
        database.run("INSERT INTO workspaces (name) SELECT 'many-' || n FROM generate_series(1, 1100) n");
        assert_eq!(ids(Access::All).await.len(), 1000);
    }
}

#[tokio::test]
async fn rows_decide_who_may_communicate() {
    for database in schemas() {
        rows_decide(&database).await;
    }
}

async fn rows_decide(database: &Database<'_>) {
    let directory = directory(&database.url());
    let below = |name: &str, parent: WorkspaceId, status: &str| {
        add_workspace(database, name, &[("parent_id", &format!("'{parent}'")), ("status", status)])
    };
    let [root, other_root] = ["root", "other"].map(|name| add_workspace(database, name, &[]));
    let left = below("left", root, "'online'");
    let right = below("right", root, "'removed'");
    let leaf = below("leaf", left, "'online'");
    let far = below("far", other_root, "'online'");
    let allowed = async |a, b| {
        let there = can_communicate(&directory, a, b).await.unwrap();
        assert_eq!(there, can_communicate(&directory, b, a).await.unwrap());
        there
    };
    let roots = allowed(root, other_root).await;
    assert_eq!(roots, directory.platform_version() == PlatformVersion::April2026, "roots");
    assert!(allowed(left, right).await, "siblings, though one is removed");
    assert!(allowed(left, leaf).await && allowed(root, leaf).await, "above and below");
    assert!(!allowed(right, leaf).await && !allowed(leaf, far).await && !allowed(left, other_root).await);
    assert!(!allowed(leaf, WorkspaceId::random()).await);

    // A cycle, which the schema does not forbid.
    database.run(&format!("UPDATE workspaces SET parent_id = '{leaf}' WHERE id = '{root}'"));
    assert!(!allowed(leaf, far).await);
    database.run("ALTER TABLE workspaces RENAME TO elsewhere");
    assert!(can_communicate(&directory, leaf, far).await.is_err(), "an outage is no refusal");
    assert!(directory.check().await.is_err(), "a table that is not there is no readiness");
}

#[tokio::test]
async fn schema_is_unchanged() {
    let database = Postgres::shared().empty();
    let directory = directory(&database.url());
    let error = directory.find(WorkspaceId::random()).await.unwrap_err();
    let chain = format!("{:?}", error);
    assert!(chain.contains("42P01"), "{chain}");
    assert!(directory.check().await.is_err());
    directory.settle().await;
    let objects = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(database.run(objects), "0");
}
