//! Errors of AWS: no such instance, no usable endpoint, no permission, a wrong clock.

use std::time::Duration;

use eice::emulator::{EndpointState, IamPolicy, InstanceState};
use eice::model::{Fault, InstanceTarget, Stage};

use super::{Expected, fails, refused};
use crate::lab::World;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_instance_id() {
    let world = World::builtin().await;
    let target = InstanceTarget::new("i-0fffffffffffffff0".parse().unwrap());
    let expected =
        Expected { stage: Stage::Instance, fault: Fault::NotFound, words: &["i-0fffffffffffffff0"] };
    refused(&world, &*world.connector, &target, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_instance() {
    let world = World::builtin().await;
    world.emulator.set_instance_state(&world.instance(), InstanceState::Stopped);
    fails(&world, Stage::Instance, Fault::State, &["stopped", "start"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint() {
    let world = World::builtin().await;
    assert!(world.emulator.remove_endpoint(&"eice-0123456789abcdef0".parse().unwrap()));
    fails(&world, Stage::Endpoint, Fault::NotFound, &["vpc-0e1f2a3b4c5d60001"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_still_being_created() {
    let world = World::builtin().await;
    let endpoint = "eice-0123456789abcdef0".parse().unwrap();
    assert!(world.emulator.set_endpoint_state(&endpoint, EndpointState::CreateInProgress));
    fails(&world, Stage::Endpoint, Fault::State, &["still being created"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_api_call() {
    let calls = [
        ("ec2:DescribeInstances", Stage::Instance),
        ("ec2:DescribeInstanceConnectEndpoints", Stage::Endpoint),
        ("ec2-instance-connect:SendSSHPublicKey", Stage::KeyPush),
        ("ec2-instance-connect:OpenTunnel", Stage::Upgrade),
    ];
    for (action, stage) in calls {
        let world = World::builtin().await;
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": [
                {{"Effect": "Allow", "Action": "*", "Resource": "*"}},
                {{"Effect": "Deny", "Action": "{action}", "Resource": "*"}}]}}"#
        );
        let policy: IamPolicy = serde_json::from_str(&policy).unwrap();
        let key = world.emulator.access().access_key_id().to_owned();
        assert!(world.emulator.set_policies(&key, vec![policy]));
        fails(&world, stage, Fault::Denied, &[action]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_clock() {
    for ahead in [false, true] {
        let world = World::builtin().await;
        let by = Duration::from_secs(600);
        if ahead {
            world.emulator.clock().rewind(by);
        } else {
            world.emulator.clock().advance(by);
        }
        fails(&world, Stage::Instance, Fault::Credentials, &["clock"]).await;
    }
}
