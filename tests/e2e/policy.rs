//! The IAM policy that docs/operations.md gives: it suffices, and nothing in it is idle.

use std::path::Path;

use eice::emulator::Policy;
use eice::terminal::{Fault, InstanceTarget};
use serde_json::{Value, json};

use super::lab::World;

const USER: &str = "ubuntu";

/// The policy as the page has it, its placeholders filled in.
fn documented(world: &World) -> Value {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, policy) = page.split_once("```json\n").expect("the page has a block of JSON");
    let (policy, _) = policy.split_once("```").unwrap();
    let access = world.emulator.access();
    let policy = policy
        .replace("REGION", access.region())
        .replace("ACCOUNT", access.account_id())
        .replace("eice-ID", "eice-0123456789abcdef0");
    serde_json::from_str(&policy).unwrap()
}

fn target(world: &World) -> InstanceTarget {
    let mut target = world.target();
    target.os_user = USER.parse().unwrap();
    target
}

/// Opens a host under `policy`, as somebody who has not looked anything up before.
async fn opens(world: &World, policy: &Value) -> Result<(), Fault> {
    let policy: Policy = serde_json::from_value(policy.clone()).unwrap();
    let key = world.emulator.access().access_key_id().to_owned();
    assert!(world.emulator.set_policies(&key, vec![policy]));
    let client = world.client(|_, _, _| {});
    match client.connect_ssh(&target(world), &|_: _| {}).await {
        Ok(host) => {
            eice::terminal::Host::close(&host).await;
            Ok(())
        }
        Err(error) => Err(error.fault()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_policy_suffices_and_each_statement_and_action_is_needed() {
    let world = World::builtin().await;
    let policy = documented(&world);
    assert_eq!(opens(&world, &policy).await, Ok(()));

    let statements = policy["Statement"].as_array().unwrap();
    let mut left_out = 0;
    for (at, statement) in statements.iter().enumerate() {
        let actions = match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            action => vec![action.clone()],
        };
        for action in &actions {
            let mut less = policy.clone();
            let rest: Vec<_> = actions.iter().filter(|other| *other != action).collect();
            if rest.is_empty() {
                less["Statement"].as_array_mut().unwrap().remove(at);
            } else {
                less["Statement"][at]["Action"] = json!(rest);
            }
            assert_eq!(opens(&world, &less).await, Err(Fault::Denied), "without {action}");
            left_out += 1;
        }
    }
    assert_eq!(left_out, 4, "the four calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_policy_is_no_wider_than_it_says() {
    let world = World::builtin().await;
    let narrowed = [
        ("Tunnel", "IpAddress", "ec2-instance-connect:privateIpAddress", "192.0.2.0/24"),
        ("Tunnel", "NumericEquals", "ec2-instance-connect:remotePort", "3389"),
        // No duration was asked for, which counts as 3600.
        ("Tunnel", "NumericLessThanEquals", "ec2-instance-connect:maxTunnelDuration", "3599"),
        ("Key", "StringEquals", "ec2:osuser", "root"),
        ("Key", "StringEquals", "aws:ResourceTag/Role", "something-else"),
    ];
    for (sid, operator, key, value) in narrowed {
        let mut policy = documented(&world);
        let statements = policy["Statement"].as_array_mut().unwrap();
        let statement = statements.iter_mut().find(|statement| statement["Sid"] == sid).unwrap();
        let condition = &mut statement["Condition"][operator][key];
        assert!(condition.is_string(), "the policy has {operator} {key}");
        *condition = json!(value);
        assert_eq!(opens(&world, &policy).await, Err(Fault::Denied), "{operator} {key} {value}");
    }

    // The ARN of an instance is none of an endpoint: what a policy on instance/* gives OpenTunnel is nothing.
    let mut policy = documented(&world);
    let statements = policy["Statement"].as_array_mut().unwrap();
    let arn = statements.iter().find(|statement| statement["Sid"] == "Key").unwrap()["Resource"].clone();
    statements.iter_mut().find(|statement| statement["Sid"] == "Tunnel").unwrap()["Resource"] = arn;
    assert_eq!(opens(&world, &policy).await, Err(Fault::Denied));
}
