use super::*;

const ENDPOINT: &str = "arn:aws:ec2:eu-west-1:123456789012:instance-connect-endpoint/eice-1";
const OPEN: &str = "ec2-instance-connect:OpenTunnel";

fn policy(condition: &str, effect: &str) -> IamPolicy {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"{OPEN}","Resource":"*","Condition":{condition}}}}}"#
    )
    .parse()
    .unwrap()
}

fn context() -> Context {
    Context::default()
        .with_tags(&[("Role".to_owned(), "workspace".to_owned())].into())
        .with("ec2-instance-connect:remotePort", 22)
        .with("ec2-instance-connect:privateIpAddress", "10.0.1.23")
        .with("ec2-instance-connect:maxTunnelDuration", 3600)
        .with("ec2:osuser", "ec2-user")
}

#[test]
fn condition_operators_match_iam() {
    for (condition, holds) in [
        (r#"{"StringEquals":{"aws:ResourceTag/Role":"workspace"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/Role":"Workspace"}}"#, false),
        (r#"{"StringEqualsIgnoreCase":{"aws:ResourceTag/Role":"Workspace"}}"#, true),
        (r#"{"StringEquals":{"ec2:ResourceTag/Role":["other","workspace"]}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/Absent":"workspace"}}"#, false),
        (r#"{"StringNotEquals":{"aws:ResourceTag/Absent":"workspace"}}"#, false),
        (r#"{"StringEqualsIfExists":{"aws:ResourceTag/Absent":"workspace"}}"#, true),
        (r#"{"StringLike":{"ec2:osuser":"ec2-*"}}"#, true),
        (r#"{"StringLike":{"ec2:osuser":"root"}}"#, false),
        (r#"{"NumericEquals":{"ec2-instance-connect:remotePort":"22"}}"#, true),
        (r#"{"NumericEquals":{"ec2-instance-connect:remotePort":3389}}"#, false),
        (r#"{"NumericLessThanEquals":{"ec2-instance-connect:maxTunnelDuration":"3600"}}"#, true),
        (r#"{"NumericLessThan":{"ec2-instance-connect:maxTunnelDuration":"3600"}}"#, false),
        (r#"{"NumericGreaterThan":{"ec2-instance-connect:maxTunnelDuration":"x"}}"#, false),
        (r#"{"IpAddress":{"ec2-instance-connect:privateIpAddress":"10.0.1.0/24"}}"#, true),
        (r#"{"IpAddress":{"ec2-instance-connect:privateIpAddress":["10.0.2.0/24","10.0.1.23"]}}"#, true),
        (r#"{"IpAddress":{"ec2-instance-connect:privateIpAddress":"2600::/16"}}"#, false),
        (r#"{"NotIpAddress":{"ec2-instance-connect:privateIpAddress":"10.0.0.0/8"}}"#, false),
        (
            r#"{"StringEquals":{"ec2:osuser":"ec2-user"},"NumericEquals":{"ec2-instance-connect:remotePort":"3389"}}"#,
            false,
        ),
    ] {
        let decision = decide(&[policy(condition, "Allow")], OPEN, ENDPOINT, &context());
        assert_eq!(decision == Decision::Allowed, holds, "{condition}");
    }
}

#[test]
fn explicit_deny_wins() {
    let deny = policy("{}", "Deny");
    assert_eq!(decide(&[IamPolicy::allow_all(), deny], OPEN, ENDPOINT, &context()), Decision::ExplicitDeny);
    assert_eq!(decide(&[], OPEN, ENDPOINT, &context()), Decision::ImplicitDeny);
    let other = [policy("{}", "Allow")];
    assert_eq!(decide(&other, "ec2:DescribeInstances", "*", &context()), Decision::ImplicitDeny);
    assert_eq!(decide(&other, "EC2-Instance-Connect:opentunnel", "*", &context()), Decision::Allowed);
}

#[test]
fn terminal_policy_is_least_privilege() {
    let policies = [IamPolicy::terminal()];
    let instance = "arn:aws:ec2:eu-west-1:123456789012:instance/i-1";
    let send = "ec2-instance-connect:SendSSHPublicKey";
    assert_eq!(decide(&policies, OPEN, ENDPOINT, &context()), Decision::Allowed);
    assert_eq!(decide(&policies, OPEN, instance, &context()), Decision::ImplicitDeny);
    assert_eq!(decide(&policies, send, instance, &context()), Decision::Allowed);
    assert_eq!(decide(&policies, send, instance, &Context::default()), Decision::ImplicitDeny);
    let rdp = context().with("ec2-instance-connect:remotePort", 3389);
    assert_eq!(decide(&policies, OPEN, ENDPOINT, &rdp), Decision::ImplicitDeny);
}

#[test]
fn unsupported_policy_is_rejected() {
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":"b"}}}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":{"a":1},"Resource":"*"}]}"#,
    ] {
        assert!(bad.parse::<IamPolicy>().is_err(), "{bad}");
    }
    let not: IamPolicy =
        r#"{"Statement":[{"Effect":"Allow","NotAction":"ec2:*","Resource":"*"}]}"#.parse().unwrap();
    let decided = |action| decide(std::slice::from_ref(&not), action, "*", &Context::default());
    assert_eq!(decided("ec2:DescribeInstances"), Decision::ImplicitDeny);
    assert_eq!(decided("sts:AssumeRole"), Decision::Allowed);
}

#[test]
fn cidr_blocks_match_edge_cases() {
    let v4: IpAddr = "10.0.1.23".parse().unwrap();
    let v6: IpAddr = "2600::1".parse().unwrap();
    assert!(is_within(v4, "0.0.0.0/0") && is_within(v6, "::/0") && is_within(v6, "2600::1"));
    assert!(!is_within(v4, "10.0.1.24/32") && !is_within(v4, "x/8") && !is_within(v4, "10.0.0.0/x"));
}
