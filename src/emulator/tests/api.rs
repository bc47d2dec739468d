//! The APIs: shapes, errors, pages, policies, signatures.

use eice_proto::{Credentials, Timestamp};
use serde_json::{Value, json};

use super::client::{Answer, Call, http};
use super::*;

const INSTANCE: &str = "i-0123456789abcdef0";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqEwqL+hvxCB5Zmzx0BlzYQWnWqCGzcfEUX0MBHpCzb";

/// Compares `answer` with `fixtures/ec2/NAME.xml`, ignoring what differs between runs.
fn golden(name: &str, access: &EmulatorAccess, answer: &Answer) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/ec2/{name}.xml"));
    let mut text = answer.body.replace("><", ">\n<").replace(&access.tunnel_authority(), "localhost:PORT");
    for (open, close) in [
        ("<requestId>", "</requestId>"),
        ("<RequestID>", "</RequestID>"),
        ("<RequestId>", "</RequestId>"),
        ("<launchTime>", "</launchTime>"),
        ("<createdAt>", "</createdAt>"),
    ] {
        if let Some((before, rest)) = text.split_once(open)
            && let Some((_, after)) = rest.split_once(close)
        {
            text = format!("{before}{open}...{close}{after}");
        }
    }
    text.push('\n');
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("EICE_WRITE_FIXTURES").is_some() {
        std::fs::write(&path, &text).unwrap();
    } else {
        assert_eq!(text, expected, "{}", path.display());
    }
}

fn code(answer: &Answer) -> (u16, String) {
    let code = if answer.body.starts_with('{') {
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        body["__type"].as_str().unwrap().to_owned()
    } else {
        answer.body.split("<Code>").nth(1).unwrap_or_default().split('<').next().unwrap().to_owned()
    };
    (answer.status, code)
}

fn between(answer: &Answer, name: &str) -> Option<String> {
    let rest = answer.body.split(&format!("<{name}>")).nth(1)?;
    Some(rest.split('<').next()?.to_owned())
}

#[tokio::test]
async fn responses_match_fixtures() {
    let mut config = quick();
    config.instances[0].ipv6 = Some("2600:1f10::1".parse().unwrap());
    config.endpoints[0].dualstack_dns_name = Some("eice-dual.example".into());
    let emulator = start(config).await;
    let (access, call) = (emulator.access(), Call::new(emulator.access()));
    for (name, query) in [
        ("describe-instances", format!("Action=DescribeInstances&InstanceId.1={INSTANCE}")),
        ("describe-instances-not-found", "Action=DescribeInstances&InstanceId.1=i-00000000".into()),
        ("describe-instance-connect-endpoints", "Action=DescribeInstanceConnectEndpoints".into()),
        (
            "describe-instance-connect-endpoints-empty",
            "Action=DescribeInstanceConnectEndpoints&InstanceConnectEndpointId.1=eice-0123456789abcdef0\
             &Filter.1.Name=state&Filter.1.Value.1=create-in-progress"
                .into(),
        ),
        ("describe-security-groups", "Action=DescribeSecurityGroups".into()),
    ] {
        golden(name, access, &call.ec2(&query).await);
    }
    emulator.set_policies(access.access_key_id(), Vec::new());
    golden("unauthorized-operation", access, &call.ec2("Action=DescribeInstances").await);
    golden("get-caller-identity", access, &call.sts("Action=GetCallerIdentity").await);
}

#[tokio::test]
async fn parameter_errors_match_ec2() {
    let emulator = start(quick()).await;
    let call = Call::new(emulator.access());
    for (query, status, expected) in [
        ("Action=DescribeInstances&InstanceId.1=i-0", 400, "InvalidInstanceID.Malformed"),
        ("Action=DescribeInstances&InstanceId.1=i-00000000", 400, "InvalidInstanceID.NotFound"),
        ("Action=DescribeInstances&MaxResults=1", 400, "InvalidMaxResults"),
        ("Action=DescribeInstances&NextToken=x", 400, "InvalidNextToken"),
        ("Action=DescribeInstances&Filter.1.Name=x&Filter.1.Value.1=y", 400, "InvalidParameterValue"),
        (
            "Action=DescribeInstances&InstanceId.1=i-0123456789abcdef0&MaxResults=5",
            400,
            "InvalidParameterCombination",
        ),
        (
            "Action=DescribeInstanceConnectEndpoints&InstanceConnectEndpointId.1=eice-00000000000000000",
            400,
            "InvalidInstanceConnectEndpointId.NotFound",
        ),
        (
            "Action=DescribeInstanceConnectEndpoints&InstanceConnectEndpointId.1=nonsense",
            400,
            "InvalidInstanceConnectEndpointId.Malformed",
        ),
        ("Action=DescribeInstanceConnectEndpoints&MaxResults=51", 400, "InvalidMaxResults"),
        ("Action=DescribeSecurityGroups&GroupId.1=sg-0", 400, "InvalidGroup.NotFound"),
        ("Action=GetConsoleOutput", 400, "MissingParameter"),
        ("Action=RunInstances", 400, "InvalidAction"),
    ] {
        assert_eq!(code(&call.ec2(query).await), (status, expected.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn endpoints_are_paged_and_filtered() {
    let mut config = quick();
    config.endpoints = (0..7)
        .map(|n| EndpointSpec {
            id: format!("eice-0000000000000000{n}").parse().unwrap(),
            subnet: format!("subnet-{n}"),
            state: if n == 3 { EndpointState::CreateFailed } else { EndpointState::CreateComplete },
            ..EndpointSpec::default()
        })
        .collect();
    let emulator = start(config).await;
    let call = Call::new(emulator.access());
    let (mut subnets, mut token) = (Vec::new(), None);
    loop {
        let mut query = "Action=DescribeInstanceConnectEndpoints&MaxResults=2&Filter.1.Name=state\
            &Filter.1.Value.1=create-complete&Filter.2.Name=vpc-id&Filter.2.Value.1=vpc-*"
            .to_owned();
        if let Some(token) = &token {
            query.push_str(&format!("&NextToken={token}"));
        }
        let answer = call.ec2(&query).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        subnets.extend(answer.body.split("<subnetId>").skip(1).map(|rest| rest[7..8].to_owned()));
        token = between(&answer, "nextToken");
        if token.is_none() {
            break;
        }
    }
    assert_eq!(subnets.concat(), "012456", "in order, each once, without the failed one");
}

#[tokio::test]
async fn send_ssh_public_key_errors() {
    let emulator = start(quick()).await;
    let call = Call::new(emulator.access());
    let good = call.push_key(INSTANCE, "ec2-user", KEY).await;
    assert_eq!(good.status, 200, "{good:?}");
    let body: Value = serde_json::from_str(&good.body).unwrap();
    assert_eq!(body["Success"], json!(true));
    assert!(good.head.contains(&format!("x-amzn-requestid: {}", body["RequestId"].as_str().unwrap())));

    let answer = call.push_key("mi-0123456789abcdef0", "ec2-user", KEY).await;
    assert_eq!(code(&answer), (400, "InvalidArgsException".into()));
    assert!(answer.body.contains(
        "1 validation error detected: Value 'mi-0123456789abcdef0' at 'instanceId' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: ^i-[a-f0-9]+$"
    ));
    let short = call.push_key(INSTANCE, "ec2-user", "ssh-ed25519 AAAA").await;
    assert_eq!(code(&short), (400, "InvalidArgsException".into()));
    let nonsense = call.push_key(INSTANCE, "ec2-user", &"x".repeat(100)).await;
    assert_eq!(code(&nonsense), (400, "InvalidArgsException".into()));
    let user = call.push_key(INSTANCE, "a b", KEY).await;
    assert_eq!(code(&user), (400, "InvalidArgsException".into()));

    // A missing instance has no tags, so the policy does not cover it.
    let unknown = call.push_key("i-00000000", "ec2-user", KEY).await;
    assert_eq!(code(&unknown), (400, "AccessDeniedException".into()));
    assert!(unknown.body.contains(
        "is not authorized to perform: ec2-instance-connect:SendSSHPublicKey on resource: \
         arn:aws:ec2:eu-west-1:123456789012:instance/i-00000000"
    ));
    emulator.set_policies(emulator.access().access_key_id(), vec![IamPolicy::allow_all()]);
    let unknown = call.push_key("i-00000000", "ec2-user", KEY).await;
    assert_eq!(code(&unknown), (404, "EC2InstanceNotFoundException".into()));
    emulator.set_instance_state(&INSTANCE.parse().unwrap(), InstanceState::Stopped);
    let stopped = call.push_key(INSTANCE, "ec2-user", KEY).await;
    assert_eq!(code(&stopped), (400, "EC2InstanceStateInvalidException".into()));
    let target = "AWSEC2InstanceConnectService.Nonsense";
    let unknown = call.json("ec2-instance-connect", target, "{}").await;
    assert_eq!(code(&unknown).0, 400);
}

#[tokio::test]
async fn metadata_serves_unexpired_keys() {
    let emulator = start(quick()).await;
    let access = emulator.access();
    let url = access.metadata_url(&INSTANCE.parse().unwrap());
    let path = url.strip_prefix(&access.api_url()).unwrap().to_owned();
    let ask = |user: &str| {
        let path = format!("{path}/latest/meta-data/managed-ssh-keys/active-keys/{user}/");
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    };
    assert_eq!(http(access, &ask("ec2-user")).await.status, 404);
    Call::new(access).push_key(INSTANCE, "ec2-user", KEY).await;
    assert_eq!(http(access, &ask("ec2-user")).await.body, format!("{KEY}\n"));
    assert_eq!(http(access, &ask("root")).await.status, 404);
    emulator.clock().advance(Duration::from_secs(61));
    assert_eq!(http(access, &ask("ec2-user")).await.status, 404);
}

#[tokio::test]
async fn bad_signature_gets_each_service_code() {
    let emulator = start(quick()).await;
    let access = emulator.access();
    let with = |key: &str, secret: &str, token: Option<&str>| Call {
        credentials: Credentials::new(key, secret, token.map(str::to_owned)),
        ..Call::new(access)
    };
    let wrong = with(access.access_key_id(), "wrong", None);
    assert_eq!(code(&wrong.ec2("Action=DescribeInstances").await), (401, "AuthFailure".into()));
    assert_eq!(code(&wrong.sts("Action=GetCallerIdentity").await), (403, "SignatureDoesNotMatch".into()));
    assert_eq!(
        code(&wrong.push_key(INSTANCE, "ec2-user", KEY).await),
        (400, "InvalidSignatureException".into())
    );
    let unknown = with("AKIAUNKNOWN", "wrong", None);
    assert_eq!(code(&unknown.ec2("Action=DescribeInstances").await), (401, "AuthFailure".into()));
    assert_eq!(code(&unknown.sts("Action=GetCallerIdentity").await), (403, "InvalidClientTokenId".into()));
    let token = with(access.access_key_id(), access.secret_access_key(), Some("surplus"));
    assert_eq!(code(&token.sts("Action=GetCallerIdentity").await), (403, "InvalidClientTokenId".into()));
    for (skew, refused) in [(-301_i64, true), (-290, false), (290, false), (301, true)] {
        let now = Timestamp::from_unix(Call::new(access).now.as_unix().saturating_add_signed(skew));
        let call = Call { now, ..Call::new(access) };
        let answer = call.ec2("Action=DescribeInstances").await;
        if refused {
            assert_eq!(code(&answer), (400, "InvalidSecurity.RequestHasExpired".into()), "{skew}");
        } else {
            assert_eq!(answer.status, 200, "{skew} {answer:?}");
        }
    }
    let unsigned = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 49\r\n\r\n\
        Action=DescribeInstances&Version=2016-11-15&a=bcd";
    assert_eq!(code(&http(access, unsigned).await), (400, "MissingAuthenticationToken".into()));
}

#[tokio::test]
async fn assume_role_checks_trust() {
    let role = |name: &str, external_id: Option<&str>| IamRole {
        name: name.into(),
        external_id: external_id.map(str::to_owned),
        policies: vec![IamPolicy::terminal()],
        ..IamRole::default()
    };
    let mut config = quick();
    config.roles = vec![role("terminal", Some("secret-id")), role("other", None)];
    config.roles[1].trusted = vec!["arn:aws:iam::123456789012:user/somebody-else".into()];
    let emulator = start(config).await;
    let call = Call::new(emulator.access());
    let ask = |name: &str, rest: &str| {
        format!(
            "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2F{name}&RoleSessionName=me{rest}"
        )
    };
    for query in [ask("terminal", ""), ask("other", ""), ask("nobody", ""), ask("terminal", "&ExternalId=x")]
    {
        assert_eq!(code(&call.sts(&query).await), (403, "AccessDenied".into()), "{query}");
    }
    let answer = call.sts(&ask("terminal", "&ExternalId=secret-id&DurationSeconds=900")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let part = |name: &str| between(&answer, name).unwrap();
    let credentials =
        Credentials::new(part("AccessKeyId"), part("SecretAccessKey"), Some(part("SessionToken")));
    let assumed = Call { credentials, ..Call::new(emulator.access()) };
    let who = assumed.sts("Action=GetCallerIdentity").await;
    let arn = between(&who, "Arn").unwrap();
    assert_eq!(arn, "arn:aws:sts::123456789012:assumed-role/terminal/me");
    assert_eq!(assumed.ec2("Action=DescribeInstances").await.status, 200);
    emulator.clock().advance(Duration::from_secs(901));
    let late = Call {
        now: Timestamp::from(emulator.clock().now()),
        credentials: assumed.credentials.clone(),
        access: emulator.access(),
    };
    assert_eq!(code(&late.sts("Action=GetCallerIdentity").await).1, "InvalidClientTokenId");
}

#[tokio::test]
async fn cloudtrail_lookup_filters_and_pages() {
    let emulator = start(quick()).await;
    let call = Call::new(emulator.access());
    call.push_key(INSTANCE, "ec2-user", KEY).await;
    call.push_key("i-00000000", "ec2-user", KEY).await;
    let look = async |key: &str, value: &str| {
        let body = json!({ "LookupAttributes": [{ "AttributeKey": key, "AttributeValue": value }] });
        let answer = call.events(&body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str::<Value>(&answer.body).unwrap()["Events"].as_array().unwrap().clone()
    };
    let found = look("ResourceName", INSTANCE).await;
    assert_eq!(found.len(), 1);
    let record: Value = serde_json::from_str(found[0]["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(record["eventSource"], "ec2-instance-connect.amazonaws.com");
    assert_eq!(record["eventName"], "SendSSHPublicKey");
    assert_eq!(record["requestParameters"]["instanceId"], INSTANCE);
    assert_eq!(record["userIdentity"]["arn"], "arn:aws:iam::123456789012:user/developer");
    assert_eq!(record["userAgent"], "test/1");
    assert!(record.get("errorCode").is_none());
    let failed = look("ResourceName", "i-00000000").await;
    let record: Value = serde_json::from_str(failed[0]["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(record["errorCode"], "AccessDenied");
    assert_eq!(look("EventName", "SendSSHPublicKey").await.len(), 2);
    assert_eq!(look("Username", "developer").await.len(), 2 + 3, "including the lookups");
    assert_eq!(look("EventSource", "ec2.amazonaws.com").await.len(), 0);
    let id = found[0]["EventId"].as_str().unwrap();
    assert_eq!(look("EventId", id).await.len(), 1);

    let page = call.events(&json!({ "MaxResults": 2 })).await;
    let page: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(page["Events"].as_array().unwrap().len(), 2);
    assert!(page["NextToken"].is_string());
    for (body, expected) in [
        (json!({ "MaxResults": 51 }), "InvalidMaxResultsException"),
        (json!({ "NextToken": "x" }), "InvalidNextTokenException"),
        (json!({ "LookupAttributes": [{}] }), "InvalidLookupAttributesException"),
    ] {
        assert_eq!(code(&call.events(&body).await).1, expected);
    }
}

#[tokio::test]
async fn oversized_requests_are_rejected() {
    let emulator = start(quick()).await;
    let access = emulator.access();
    let length = 300 * 1024;
    let text = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{}",
        "a".repeat(length)
    );
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(access.api_addr()).await.unwrap();
    let _ = stream.write_all(text.as_bytes()).await;
    let mut head = [0; 12];
    soon(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(1024 * 1024));
    let mut stream = tokio::net::TcpStream::connect(access.api_addr()).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let mut head = [0; 12];
    soon(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 431");
}
