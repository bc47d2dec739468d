//! Container names in rows, and rows that claim the same container.

use eice::model::Target;
use eice::workspace::{Access, Directory, Principal, WorkspaceId};

use super::serve::{HOST, serve};
use super::{add_org_token, add_workspace, directory, token};
use crate::lab::{Container, Docker, Postgres, Viewer, World, request, unique};

const UNUSABLE: &str = "the directory of workspaces has an entry that cannot be used";

async fn candidates(directory: &dyn Directory, id: WorkspaceId) -> Vec<String> {
    let found = directory.find(id).await.unwrap().expect("the workspace");
    let Target::Local(local) = found.target else { panic!("an instance") };
    local.candidates.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn instance_id_may_name_a_container() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let id = add_workspace(&database, "a", &[("instance_id", "'mol-ws-test5-a9f3044fa3f2'")]);
    assert_eq!(candidates(&directory, id).await, ["mol-ws-test5-a9f3044fa3f2"]);
    let listed = directory.list(&Principal::new("a", Access::All)).await.unwrap();
    assert_eq!(listed.len(), 1);

    let april = Postgres::shared().april();
    let id = add_workspace(&april, "a", &[("instance_id", "'mol-ws-test5-a9f3044fa3f2'")]);
    let error = super::directory(&april.url()).find(id).await.unwrap_err();
    assert_eq!(error.to_string(), UNUSABLE, "April has instances only");
}

#[tokio::test]
async fn container_of_two_rows_opens_from_neither() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let named = ("instance_id", "'mol-ws-twice'");
    let [a, b] = ["a", "b"].map(|name| add_workspace(&database, name, &[named]));
    let good = add_workspace(&database, "good", &[]);
    for id in [a, b] {
        let error = directory.find(id).await.unwrap_err();
        assert!(error.to_string() == UNUSABLE && !error.is_outage(), "{error}");
    }
    let listed = directory.list(&Principal::new("a", Access::All)).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.id).collect::<Vec<_>>(), [good]);
    database.run(&format!("UPDATE workspaces SET status = 'removed' WHERE id = '{b}'"));
    assert_eq!(candidates(&directory, a).await, ["mol-ws-twice"], "a removed workspace claims nothing");
}

#[tokio::test]
async fn row_cannot_take_the_container_of_an_id() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let victim = add_workspace(&database, "victim", &[]);
    let own = format!("ws-{}", &victim.to_string()[..12]);
    let thief = add_workspace(&database, "thief", &[("instance_id", &format!("'{own}'"))]);
    assert!(directory.find(thief).await.is_err());
    assert_eq!(candidates(&directory, victim).await, [format!("ws-{victim}"), "victim".into()]);
}

#[tokio::test]
async fn chosen_name_takes_no_container() {
    let database = Postgres::shared().platform();
    let directory = directory(&database.url());
    let owner = add_workspace(&database, "owner", &[("instance_id", "'shared-one'")]);
    // Its name is another workspace's container in another spelling.
    let thief = add_workspace(&database, "Shared ONE", &[]);
    assert!(!candidates(&directory, thief).await.contains(&"shared-one".to_owned()));
    assert_eq!(candidates(&directory, owner).await, ["shared-one"], "and the owner keeps it");
    // Two names that fold to the same container.
    let parent = format!("'{owner}'");
    let [a, b] =
        ["Same Name", "same-name"].map(|name| add_workspace(&database, name, &[("parent_id", &parent)]));
    for id in [a, b] {
        assert!(!candidates(&directory, id).await.contains(&"same-name".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_container_opens_with_the_platforms_label() {
    let database = Postgres::shared().platform();
    let world = World::builtin().await;
    let org = token("org");
    add_org_token(&database, &org);
    let [labeled, plain] = ["labeled", "plain"].map(|name| format!("mol-ws-{name}-{}", unique("c")));
    let ids = [&labeled, &plain].map(|name| {
        add_workspace(&database, name, &[("status", "'online'"), ("instance_id", &format!("'{name}'"))])
    });
    let _labeled = Container::start_as(&labeled, Docker::SH, &["--label", "molecule.platform.managed=true"]);
    let _plain = Container::start_as(&plain, Docker::SH, &[]);
    // Local workspaces are on by default, with an organization as well.
    let more = [("DOCKER_HOST", Docker::shared().host()), ("MOLECULE_ORG_ID", "org-abc".into())];
    let gateway =
        serve(&world, &database.url(), &more.each_ref().map(|(name, value)| (*name, value.as_str())));
    let bearer = format!("Bearer {org}");
    let headers = [("host", HOST), ("authorization", bearer.as_str()), ("x-molecule-org-id", "org-abc")];
    let mut viewer = Viewer::try_open(gateway.addr(), &ids[0].to_string(), &headers).await.unwrap();
    viewer.line("echo in $MOLECULE_WS_ID").await;
    viewer.until(&format!("in {}", ids[0])).await;
    viewer.leave().await;
    let refused = Viewer::try_open(gateway.addr(), &ids[1].to_string(), &headers).await;
    assert_eq!(refused.err().map(|status| status.as_u16()), Some(404), "without the label");
    let (_, list) = request(gateway.addr(), "GET", "/workspaces", &headers, "").await;
    assert!(list.contains(&labeled) && list.contains(&plain), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn april_has_no_containers_with_an_organization() {
    let database = Postgres::shared().april();
    let world = World::builtin().await;
    let org = token("org");
    add_org_token(&database, &org);
    let id = add_workspace(&database, "local", &[("status", "'online'")]);
    let engine = Docker::shared().host();
    let bearer = format!("Bearer {org}");
    let headers = [("host", HOST), ("authorization", bearer.as_str()), ("x-molecule-org-id", "org-abc")];
    for (organization, status) in [(Some(("MOLECULE_ORG_ID", "org-abc")), 503), (None, 404)] {
        let mut more = vec![("DOCKER_HOST", engine.as_str())];
        more.extend(organization);
        let gateway = serve(&world, &database.url(), &more);
        let refused = Viewer::try_open(gateway.addr(), &id.to_string(), &headers).await;
        assert_eq!(refused.err().map(|status| status.as_u16()), Some(status), "{organization:?}");
    }
}
