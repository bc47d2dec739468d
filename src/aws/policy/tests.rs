use serde_json::{Value, json};

use super::*;

fn grant(user: &str) -> Grant {
    Grant::new(ArnScope::new(Some("eu-west-1".into()), Some("123456789012".into())), user.parse().unwrap())
}

fn statements(grants: &[Grant], extras: &Extras) -> Vec<Value> {
    let policy = serde_json::to_value(PolicyDocument::of(grants, extras)).unwrap();
    policy["Statement"].as_array().unwrap().clone()
}

#[test]
fn grant_has_tunnel_and_key_statement() {
    let mut one = grant("ubuntu");
    one.endpoint = Some("eice-1".parse().unwrap());
    one.instance = Some("i-1".parse().unwrap());
    one.addresses = ["10.0.1.23".parse().unwrap()].into();
    one.max_duration = MaxDuration::from_secs(900).unwrap();
    let extras = Extras {
        instance_tag: Some("Role=workspace".parse().unwrap()),
        endpoint_tag: Some("Team=a=b".parse().unwrap()),
        ..Extras::default()
    };
    assert_eq!(
        statements(&[one], &extras),
        [
            json!({
                "Sid": "Tunnel", "Effect": "Allow", "Action": "ec2-instance-connect:OpenTunnel",
                "Resource": "arn:aws:ec2:eu-west-1:123456789012:instance-connect-endpoint/eice-1",
                "Condition": {
                    "IpAddress": {"ec2-instance-connect:privateIpAddress": "10.0.1.23/32"},
                    "NumericEquals": {"ec2-instance-connect:remotePort": "22"},
                    "NumericLessThanEquals": {"ec2-instance-connect:maxTunnelDuration": "900"},
                    "StringEquals": {"aws:ResourceTag/Team": "a=b"},
                },
            }),
            json!({
                "Sid": "Key", "Effect": "Allow", "Action": "ec2-instance-connect:SendSSHPublicKey",
                "Resource": "arn:aws:ec2:eu-west-1:123456789012:instance/i-1",
                "Condition": {"StringEquals": {"aws:ResourceTag/Role": "workspace", "ec2:osuser": "ubuntu"}},
            }),
        ]
    );
}

#[test]
fn unrelated_grants_stay_apart() {
    let (mut a, mut b) = (grant("ann"), grant("bob"));
    a.instance = Some("i-a".parse().unwrap());
    b.instance = Some("i-b".parse().unwrap());
    a.endpoint = Some("eice-a".parse().unwrap());
    b.endpoint = Some("eice-b".parse().unwrap());
    a.addresses = ["10.0.0.1".parse().unwrap()].into();
    b.addresses = ["10.0.0.2".parse().unwrap()].into();
    let all = statements(&[a.clone(), b.clone()], &Extras::default());
    let sids: Vec<_> = all.iter().map(|one| one["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids, ["Tunnel", "Tunnel2", "Key", "Key2"]);
    for (user, instance) in [("ann", "i-a"), ("bob", "i-b")] {
        let own = all.iter().find(|one| one["Condition"]["StringEquals"]["ec2:osuser"] == user).unwrap();
        assert!(own["Resource"].as_str().unwrap().ends_with(instance), "{own}");
    }
    // Grants that differ in the instance only are merged, in any order.
    b.os_user = a.os_user.clone();
    b.endpoint = a.endpoint.clone();
    let together = statements(&[a.clone(), b.clone()], &Extras::default());
    assert_eq!(together.len(), 2, "{together:#?}");
    assert_eq!(together[1]["Resource"].as_array().unwrap().len(), 2);
    assert_eq!(
        together[0]["Condition"]["IpAddress"]["ec2-instance-connect:privateIpAddress"],
        json!(["10.0.0.1/32", "10.0.0.2/32"])
    );
    assert_eq!(statements(&[b, a], &Extras::default()), together);
}

#[test]
fn unknown_address_allows_any_address() {
    let (a, mut b) = (grant("ann"), grant("ann"));
    b.addresses = ["10.0.0.2".parse().unwrap()].into();
    for order in [[a.clone(), b.clone()], [b, a]] {
        let all = statements(&order, &Extras::default());
        assert!(all[0]["Condition"].get("IpAddress").is_none(), "{all:#?}");
    }
}

#[test]
fn arn_has_partition_of_region() {
    for (region, partition, start) in [
        (Some("cn-north-1"), None, "arn:aws-cn:ec2:cn-north-1:"),
        (Some("us-gov-west-1"), None, "arn:aws-us-gov:ec2:us-gov-west-1:"),
        (None, None, "arn:aws:ec2:*:"),
        (None, Some("aws-cn"), "arn:aws-cn:ec2:*:"),
    ] {
        let scope = ArnScope {
            partition: partition.map(str::to_owned),
            ..ArnScope::new(region.map(str::to_owned), None)
        };
        let grant = Grant::new(scope, OsUser::default());
        for statement in statements(&[grant], &Extras::default()) {
            let arn = statement["Resource"].as_str().unwrap();
            assert!(arn.starts_with(start) && arn.contains(":*:"), "{arn}");
        }
    }
}

#[test]
fn length_excludes_white_space() {
    let policy = PolicyDocument::of(&[grant("ubuntu")], &Extras::default());
    assert_eq!(policy.len(), serde_json::to_string(&policy).unwrap().len());
    let many: Vec<_> = (0..200)
        .map(|n| Grant { instance: Some(format!("i-{n:017x}").parse().unwrap()), ..grant("ubuntu") })
        .collect();
    assert!(PolicyDocument::of(&many, &Extras::default()).len() > PolicyDocument::MAX_LEN);
}

#[test]
fn tag_requires_key_and_value() {
    for bad in ["", "Role", "=workspace", "a\nb=c"] {
        assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
    }
    assert_eq!("Role=".parse::<Tag>().unwrap().value, "");
}
