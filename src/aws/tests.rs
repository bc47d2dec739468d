//! The client against scripted servers on loopback sockets.

mod console;
mod route;
mod server;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use eice_proto::Credentials;
use server::{Server, answer, error_response, ok, running};
use tokio::net::TcpListener;

use super::*;
use crate::model::{Account, Fault, OsUser, error_chain};

fn config(url: &str) -> AwsConfig {
    AwsConfig {
        region: Some("eu-west-1".into()),
        credentials: Some(Credentials::new("AKIDEXAMPLE", "hunter2secret", Some("tok/en+=".into()))),
        endpoint_url: Some(url.into()),
        retries: Retries { attempts: 3, first_pause: Duration::from_millis(1) },
        ..AwsConfig::default()
    }
}

async fn client(url: &str) -> Arc<AwsClient> {
    Aws::new(config(url)).client(&Account::default(), None).await.unwrap()
}

#[tokio::test]
async fn instance_is_requested_once() {
    let server = Server::start(vec![running("i-1")]).await;
    let client = client(&server.url).await;
    let id = "i-1".parse().unwrap();
    let instance = client.instance(&id).await.unwrap();
    assert_eq!(instance.private_ipv4.unwrap().to_string(), "10.0.1.23");
    client.instance(&id).await.unwrap();
    assert_eq!(server.bodies(), ["Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1"]);
    client.forget(&id);
    client.instance(&id).await.unwrap();
    assert_eq!(server.bodies().len(), 2);

    let seen = server.seen.lock().unwrap()[0].clone();
    assert!(seen.head.starts_with("POST / HTTP/1.1"));
    let authorization = seen.header("authorization").unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/ec2/aws4_request"), "{authorization}");
    assert!(
        authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"),
        "{authorization}"
    );
    assert_eq!(seen.header("x-amz-security-token"), Some("tok/en+="));
}

#[tokio::test]
async fn error_response_has_type_id_and_hint() {
    for (status, code, fault) in [
        ("400 Bad Request", "InvalidInstanceID.NotFound", Fault::NotFound),
        ("403 Forbidden", "UnauthorizedOperation", Fault::Denied),
        ("401 Unauthorized", "AuthFailure", Fault::Credentials),
        ("400 Bad Request", "RequestExpired", Fault::Credentials),
        ("400 Bad Request", "InvalidParameterValue", Fault::Usage),
        ("503 Service Unavailable", "RequestLimitExceeded", Fault::Quota),
        ("500 Internal Server Error", "InternalError", Fault::Network),
    ] {
        let server = Server::start(vec![error_response(status, code)]).await;
        let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.fault(), fault, "{code}: {error:?}");
        assert_eq!(error.request_id(), Some("req-1"), "{code}");
        let text = error_chain(&error);
        assert!(text.contains(code) && text.contains("because"), "{text}");
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
        assert!(fault == Fault::Usage || error.hint().is_some(), "{code}");
        let tries = if matches!(fault, Fault::Quota | Fault::Network) { 3 } else { 1 };
        assert_eq!(server.bodies().len(), tries, "{code}");
    }
    let server = Server::start(vec![error_response("403 Forbidden", "UnauthorizedOperation")]).await;
    let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("ec2:DescribeInstances"));
}

#[tokio::test]
async fn transient_error_is_retried() {
    for transient in [
        error_response("503 Service Unavailable", "RequestLimitExceeded"),
        answer("502 Bad Gateway", "", "<html>"),
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<Desc".to_owned(),
    ] {
        let server = Server::start(vec![transient.clone(), running("i-1")]).await;
        let instance = client(&server.url).await.instance(&"i-1".parse().unwrap()).await;
        assert!(instance.is_ok(), "{transient:?}: {instance:?}");
        assert_eq!(server.bodies().len(), 2, "{transient:?}");
    }
}

#[tokio::test]
async fn wrong_clock_reports_skew() {
    for code in ["AuthFailure", "RequestExpired", "SignatureDoesNotMatch"] {
        let body = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors></Response>"
        );
        let old = answer("401 Unauthorized", "Date: Wed, 29 Jul 2020 12:00:00 GMT\r\n", &body);
        let server = Server::start(vec![old]).await;
        let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, AwsError::Clock { skew: Skew::Ahead(_), .. }), "{code}: {error:?}");
        assert!(error.to_string().contains("s ahead of AWS's"), "{error}");
        assert!(error.hint().unwrap().contains("clock"));
    }
}

#[tokio::test]
async fn malformed_response_is_an_error() {
    for bad in [ok("<html>Sign in</html>"), ok(""), answer("404 Not Found", "", "nothing here")] {
        let server = Server::start(vec![bad]).await;
        let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Protocol, "{error:?}");
    }
    let huge = ok(&"a".repeat((8 << 20) + 1));
    let server = Server::start(vec![huge]).await;
    let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, AwsError::TooLarge { .. }), "{error:?}");
    let server = Server::start(vec![running("i-2")]).await;
    let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, AwsError::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn closed_port_error_names_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, AwsError::Network { .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn key_push_errors_are_typed() {
    let key = format!("ssh-ed25519 {}", "A".repeat(68));
    let (id, user) = ("i-0123456789abcdef0".parse().unwrap(), OsUser::default());
    let server = Server::start(vec![ok(r#"{"RequestId":"req-7","Success":true}"#)]).await;
    let pushed = client(&server.url).await.send_ssh_public_key(&id, &user, &key).await.unwrap();
    assert_eq!(pushed, "req-7");
    let seen = server.seen.lock().unwrap()[0].clone();
    assert_eq!(seen.header("x-amz-target"), Some("AWSEC2InstanceConnectService.SendSSHPublicKey"));
    assert!(seen.header("authorization").unwrap().contains("/eu-west-1/ec2-instance-connect/aws4_request"));
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["InstanceOSUser"], "ec2-user");
    assert_eq!(body["SSHPublicKey"], key);

    for (status, code, fault) in [
        ("403 Forbidden", "AuthException", Fault::Denied),
        ("400 Bad Request", "AccessDeniedException", Fault::Denied),
        ("404 Not Found", "EC2InstanceNotFoundException", Fault::NotFound),
        ("400 Bad Request", "EC2InstanceStateInvalidException", Fault::State),
        ("400 Bad Request", "EC2InstanceTypeInvalidException", Fault::State),
        ("503 Service Unavailable", "EC2InstanceUnavailableException", Fault::State),
        ("400 Bad Request", "InvalidArgsException", Fault::Usage),
        ("429 Too Many Requests", "ThrottlingException", Fault::Quota),
        ("500 Internal Server Error", "ServiceException", Fault::Network),
        ("400 Bad Request", "ExpiredTokenException", Fault::Credentials),
        ("403 Forbidden", "InvalidSignatureException", Fault::Credentials),
    ] {
        let body = format!(r#"{{"__type":"{code}","Message":"because"}}"#);
        let server = Server::start(vec![answer(status, "x-amzn-RequestId: req-8\r\n", &body)]).await;
        let error = client(&server.url).await.send_ssh_public_key(&id, &user, &key).await.unwrap_err();
        assert_eq!(error.fault(), fault, "{code}: {error:?}");
        assert_eq!(error.request_id(), Some("req-8"), "{code}");
        assert!(error_chain(&error).contains("because"), "{}", error_chain(&error));
    }
    let expired = r#"{"__type":"InvalidSignatureException","Message":"Signature expired: 20200101T000000Z is now earlier than 20200101T000500Z (20200101T001000Z - 5 min.)"}"#;
    let server = Server::start(vec![answer("403 Forbidden", "", expired)]).await;
    let error = client(&server.url).await.send_ssh_public_key(&id, &user, &key).await.unwrap_err();
    assert!(matches!(error, AwsError::Clock { skew: Skew::Ahead(_), .. }), "{error:?}");
}

#[tokio::test]
async fn identity_errors_are_typed() {
    let body = ok(include_str!("../../fixtures/ec2/get-caller-identity.xml"));
    let server = Server::start(vec![body]).await;
    let identity = client(&server.url).await.caller_identity().await.unwrap();
    assert_eq!(identity.account, "123456789012");
    assert_eq!(identity.arn, "arn:aws:iam::123456789012:user/developer");
    assert_eq!(identity.user_id, "AIDAF5E349073AEBF74DX");
    let seen = server.seen.lock().unwrap()[0].clone();
    assert_eq!(seen.body, "Action=GetCallerIdentity&Version=2011-06-15");
    assert!(seen.header("authorization").unwrap().contains("/eu-west-1/sts/aws4_request"));

    for (status, code, fault, tries) in [
        ("403 Forbidden", "InvalidClientTokenId", Fault::Credentials, 1),
        ("403 Forbidden", "ExpiredToken", Fault::Credentials, 1),
        ("403 Forbidden", "SignatureDoesNotMatch", Fault::Credentials, 1),
        ("403 Forbidden", "AccessDenied", Fault::Denied, 1),
        ("400 Bad Request", "Throttling", Fault::Quota, 3),
        ("500 Internal Server Error", "InternalFailure", Fault::Network, 3),
    ] {
        let body = format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>because</Message></Error>\
             <RequestId>req-9</RequestId></ErrorResponse>"
        );
        let server = Server::start(vec![answer(status, "x-amzn-RequestId: req-9\r\n", &body)]).await;
        let error = client(&server.url).await.caller_identity().await.unwrap_err();
        assert_eq!(error.fault(), fault, "{code}: {error:?}");
        assert_eq!(error.request_id(), Some("req-9"), "{code}");
        assert!(error_chain(&error).contains("because"), "{}", error_chain(&error));
        assert_eq!(server.bodies().len(), tries, "{code}");
    }

    // A server that is not STS, and an address without a listener.
    let server = Server::start(vec![ok("<html>Sign in</html>")]).await;
    let error = client(&server.url).await.caller_identity().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Protocol, "{error:?}");
    let error = client("http://127.0.0.1:9").await.caller_identity().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Network, "{error:?}");
    assert!(error.to_string().contains("GetCallerIdentity could not reach 127.0.0.1:9"), "{error}");
}
