//! The client against scripted servers on loopback sockets.

mod server;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::terminal::{Account, AddressFamily, EndpointChoice, Fault, OsUser};

use super::*;
use eice_proto::Credentials;
use server::{Server, answer, endpoint_page, ok, refusal, running};

fn config(url: &str) -> Config {
    Config {
        region: Some("eu-west-1".into()),
        credentials: Some(Credentials::new("AKIDEXAMPLE", "hunter2secret", Some("tok/en+=".into()))),
        endpoint_url: Some(url.into()),
        retries: Retries { attempts: 3, first_pause: Duration::from_millis(1) },
        ..Config::default()
    }
}

async fn client(url: &str) -> Arc<Client> {
    Aws::new(config(url)).client(&Account::default(), None).await.unwrap()
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn an_instance_is_asked_for_as_aws_cli_asks_and_then_remembered() {
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
async fn a_refusal_has_its_type_its_request_id_and_a_way_out() {
    for (status, code, fault) in [
        ("400 Bad Request", "InvalidInstanceID.NotFound", Fault::NotFound),
        ("403 Forbidden", "UnauthorizedOperation", Fault::Denied),
        ("401 Unauthorized", "AuthFailure", Fault::Credentials),
        ("400 Bad Request", "RequestExpired", Fault::Credentials),
        ("400 Bad Request", "InvalidParameterValue", Fault::Usage),
        ("503 Service Unavailable", "RequestLimitExceeded", Fault::Quota),
        ("500 Internal Server Error", "InternalError", Fault::Network),
    ] {
        let server = Server::start(vec![refusal(status, code)]).await;
        let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.fault(), fault, "{code}: {error:?}");
        assert_eq!(error.request_id(), Some("req-1"), "{code}");
        let text = chain(&error);
        assert!(text.contains(code) && text.contains("told so"), "{text}");
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
        assert!(fault == Fault::Usage || error.hint().is_some(), "{code}");
        let tries = if matches!(fault, Fault::Quota | Fault::Network) { 3 } else { 1 };
        assert_eq!(server.bodies().len(), tries, "{code}");
    }
    let server = Server::start(vec![refusal("403 Forbidden", "UnauthorizedOperation")]).await;
    let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("ec2:DescribeInstances"));
}

#[tokio::test]
async fn a_passing_failure_is_tried_again() {
    for passing in [
        refusal("503 Service Unavailable", "RequestLimitExceeded"),
        answer("502 Bad Gateway", "", "<html>"),
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<Desc".to_owned(),
    ] {
        let server = Server::start(vec![passing.clone(), running("i-1")]).await;
        let instance = client(&server.url).await.instance(&"i-1".parse().unwrap()).await;
        assert!(instance.is_ok(), "{passing:?}: {instance:?}");
        assert_eq!(server.bodies().len(), 2, "{passing:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_with_its_difference() {
    for code in ["AuthFailure", "RequestExpired", "SignatureDoesNotMatch"] {
        let body = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors></Response>"
        );
        let old = answer("401 Unauthorized", "Date: Wed, 29 Jul 2020 12:00:00 GMT\r\n", &body);
        let server = Server::start(vec![old]).await;
        let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Clock { skew: Skew::Ahead(_), .. }), "{code}: {error:?}");
        assert!(error.to_string().contains("s ahead of AWS's"), "{error}");
        assert!(error.hint().unwrap().contains("clock"));
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_and_bounded() {
    for bad in [ok("<html>Sign in</html>"), ok(""), answer("404 Not Found", "", "nothing here")] {
        let server = Server::start(vec![bad]).await;
        let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Protocol, "{error:?}");
    }
    let huge = ok(&"a".repeat((8 << 20) + 1));
    let server = Server::start(vec![huge]).await;
    let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
    let server = Server::start(vec![running("i-2")]).await;
    let error = client(&server.url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_network_error_that_names_the_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url).await.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn pages_are_read_until_the_subnets_endpoint_is_seen() {
    let server = Server::start(vec![
        running("i-1"),
        endpoint_page(&[("eice-a", "subnet-9", "create-complete")], Some("t+1")),
        endpoint_page(&[("eice-b", "subnet-1", "create-complete")], Some("t2")),
        ok("never asked for"),
    ])
    .await;
    let client = client(&server.url).await;
    let instance = client.instance(&"i-1".parse().unwrap()).await.unwrap();
    let request = RouteRequest::new(&EndpointChoice::Automatic, Some(&instance));
    let chosen = client.route(&request).await.unwrap();
    assert_eq!((chosen.id.as_str(), chosen.dns_name.as_str()), ("eice-b", "eice-b.example"));
    client.route(&request).await.unwrap();
    let bodies = server.bodies();
    assert_eq!(bodies.len(), 3, "the second route is known");
    let filter = "Action=DescribeInstanceConnectEndpoints&Version=2016-11-15&Filter.1.Name=state\
                  &Filter.1.Value.1=create-complete&Filter.1.Value.2=update-in-progress\
                  &Filter.1.Value.3=update-failed&Filter.1.Value.4=update-complete&Filter.2.Name=vpc-id\
                  &Filter.2.Value.1=vpc-1";
    assert_eq!(bodies[1], filter);
    assert_eq!(bodies[2], format!("{filter}&NextToken=t%2B1"));
}

#[tokio::test]
async fn only_a_failed_choice_asks_without_the_filter_to_say_why() {
    for (all, expected) in [
        (endpoint_page(&[("eice-a", "subnet-1", "create-in-progress")], None), "is still being created"),
        (endpoint_page(&[("eice-a", "subnet-1", "create-failed")], None), "is in state create-failed"),
        (endpoint_page(&[], None), "there is no EC2 Instance Connect Endpoint in VPC vpc-1"),
    ] {
        let server = Server::start(vec![running("i-1"), endpoint_page(&[], None), all]).await;
        let client = client(&server.url).await;
        let instance = client.instance(&"i-1".parse().unwrap()).await.unwrap();
        let error =
            client.route(&RouteRequest::new(&EndpointChoice::Automatic, Some(&instance))).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            server.bodies()[2].ends_with("Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1")
        );
    }
}

#[tokio::test]
async fn nothing_is_asked_when_the_caller_knows_it_all() {
    let server = Server::start(vec![ok("")]).await;
    let client = client(&server.url).await;
    let known = EndpointChoice::Known { id: "eice-1".parse().unwrap(), dns_name: "localhost:9443".into() };
    let mut request = RouteRequest::new(&known, None);
    request.address = Some("10.0.0.9".parse().unwrap());
    request.family = AddressFamily::Ipv4;
    let chosen = client.route(&request).await.unwrap();
    assert_eq!(
        (chosen.dns_name.as_str(), chosen.address.to_string().as_str()),
        ("localhost:9443", "10.0.0.9")
    );
    assert!(server.bodies().is_empty());
}

#[tokio::test]
async fn a_key_is_pushed_and_each_refusal_is_typed() {
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
        let body = format!(r#"{{"__type":"{code}","Message":"told so"}}"#);
        let server = Server::start(vec![answer(status, "x-amzn-RequestId: req-8\r\n", &body)]).await;
        let error = client(&server.url).await.send_ssh_public_key(&id, &user, &key).await.unwrap_err();
        assert_eq!(error.fault(), fault, "{code}: {error:?}");
        assert_eq!(error.request_id(), Some("req-8"), "{code}");
        assert!(chain(&error).contains("told so"), "{}", chain(&error));
    }
    let expired = r#"{"__type":"InvalidSignatureException","Message":"Signature expired: 20200101T000000Z is now earlier than 20200101T000500Z (20200101T001000Z - 5 min.)"}"#;
    let server = Server::start(vec![answer("403 Forbidden", "", expired)]).await;
    let error = client(&server.url).await.send_ssh_public_key(&id, &user, &key).await.unwrap_err();
    assert!(matches!(error, Error::Clock { skew: Skew::Ahead(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id_and_its_credentials_sign() {
    let sts = Server::start(vec![ok("<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleResult><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/eice</Arn><AssumedRoleId>A:eice</AssumedRoleId>\
        </AssumedRoleUser><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
        <SessionToken>t</SessionToken><Expiration>2199-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
        <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>")]).await;
    let ec2 = Server::start(vec![running("i-1")]).await;
    let mut config = config(&ec2.url);
    config.endpoint_urls.sts = Some(sts.url.clone());
    let account = Account::new(None, Some("arn:aws:iam::1:role/r".into()), Some("ext-1".into()));
    let client = Aws::new(config).client(&account, None).await.unwrap();
    client.instance(&"i-1".parse().unwrap()).await.unwrap();
    assert_eq!(client.credentials().await.unwrap().access_key_id(), "ASIAROLE");
    let asked = sts.bodies();
    assert_eq!(asked.len(), 1, "the role is assumed once");
    assert!(asked[0].contains("Action=AssumeRole") && asked[0].contains("ExternalId=ext-1"), "{asked:?}");
    let authorization = ec2.seen.lock().unwrap()[0].header("authorization").unwrap().to_owned();
    assert!(authorization.contains("Credential=ASIAROLE/"), "{authorization}");

    let denied = Server::start(vec![answer("403 Forbidden", "x-amzn-RequestId: r\r\n", "<ErrorResponse><Error><Code>AccessDenied</Code>\
        <Message>not authorized to perform: sts:AssumeRole</Message></Error><RequestId>r</RequestId></ErrorResponse>")]).await;
    let mut config = self::config(&ec2.url);
    config.endpoint_urls.sts = Some(denied.url.clone());
    let client = Aws::new(config).client(&account, None).await.unwrap();
    let error = client.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::AssumeRole { .. }), "{error:?}");
    assert!(chain(&error).contains("not authorized to perform: sts:AssumeRole"), "{}", chain(&error));
    assert!(!chain(&error).contains("unhandled"), "AWS's words and not the SDK's: {}", chain(&error));
    assert_eq!((error.fault(), error.request_id()), (Fault::Denied, Some("r")));
    assert!(error.hint().unwrap().contains("arn:aws:iam::1:role/r"), "{:?}", error.hint());

    // A server that is not there is no matter of permissions.
    let mut config = self::config(&ec2.url);
    config.endpoint_urls.sts = Some("http://127.0.0.1:9".into());
    let client = Aws::new(config).client(&account, None).await.unwrap();
    let error = client.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Network, "{error:?}");
    assert!(chain(&error).contains("refused"), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("the network"), "{:?}", error.hint());
}

#[tokio::test]
async fn the_caller_is_told_who_it_is_and_each_refusal_is_typed() {
    let told = ok(include_str!("../../fixtures/ec2/get-caller-identity.xml"));
    let server = Server::start(vec![told]).await;
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
            "<ErrorResponse><Error><Code>{code}</Code><Message>told so</Message></Error>\
             <RequestId>req-9</RequestId></ErrorResponse>"
        );
        let server = Server::start(vec![answer(status, "x-amzn-RequestId: req-9\r\n", &body)]).await;
        let error = client(&server.url).await.caller_identity().await.unwrap_err();
        assert_eq!(error.fault(), fault, "{code}: {error:?}");
        assert_eq!(error.request_id(), Some("req-9"), "{code}");
        assert!(chain(&error).contains("told so"), "{}", chain(&error));
        assert_eq!(server.bodies().len(), tries, "{code}");
    }

    // Something that is no STS, and an address where nobody listens.
    let server = Server::start(vec![ok("<html>Sign in</html>")]).await;
    let error = client(&server.url).await.caller_identity().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Protocol, "{error:?}");
    let error = client("http://127.0.0.1:9").await.caller_identity().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Network, "{error:?}");
    assert!(error.to_string().contains("GetCallerIdentity could not reach 127.0.0.1:9"), "{error}");
}

#[tokio::test]
async fn a_profile_gives_region_credentials_and_endpoint_urls() {
    let server = Server::start(vec![running("i-1")]).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    std::fs::write(
        &file,
        format!(
            "[profile one]\nregion = eu-south-1\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n\
             services = local\n[services local]\nec2 =\n  endpoint_url = {}\n",
            server.url
        ),
    )
    .unwrap();
    let config = Config { config_file: Some(file), ..Config::default() };
    let aws = Aws::new(config.clone());
    let account = Account::new(Some("one".into()), None, None);
    let client = aws.client(&account, None).await.unwrap();
    assert_eq!(client.region(), "eu-south-1");
    client.instance(&"i-1".parse().unwrap()).await.unwrap();
    let authorization = server.seen.lock().unwrap()[0].header("authorization").unwrap().to_owned();
    assert!(authorization.contains("Credential=AKIDPROFILE/"), "{authorization}");
    assert!(Arc::ptr_eq(&client, &aws.client(&account, None).await.unwrap()), "clients are kept");
    let other = aws.client(&account, Some("us-east-1")).await.unwrap();
    assert_eq!(other.region(), "us-east-1");

    let config = Config { fallback_region: Some("us-east-2".into()), ..config };
    let client = Aws::new(config).client(&account, None).await.unwrap();
    assert_eq!(client.region(), "eu-south-1", "the fallback is the last to be asked");

    let error = aws.client(&Account::new(Some("two".into()), None, None), None).await.unwrap_err();
    assert!(matches!(error, Error::NoProfile(_)), "{error:?}");
    let error = aws.client(&account, Some("evil.example/")).await.unwrap_err();
    assert!(matches!(error, Error::Region(_)), "{error:?}");
}

#[tokio::test]
async fn https_is_trusted_by_the_ca_bundle_and_not_without_it() {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("ca.pem");
    std::fs::write(&bundle, issued.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(running("i-1").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let id = "i-1".parse().unwrap();
    let trusting = Config { ca_bundle: Some(bundle), ..config(&url) };
    let client = Aws::new(trusting).client(&Account::default(), None).await.unwrap();
    client.instance(&id).await.unwrap();
    let client = self::client(&url).await;
    let error = client.instance(&id).await.unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error:?}");
    assert!(chain(&error).to_lowercase().contains("certificate"), "{}", chain(&error));
    server.abort();
}

fn console(instance: &str, output: &str) -> String {
    ok(&format!(
        "<GetConsoleOutputResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
         <instanceId>{instance}</instanceId><timestamp>2026-11-24T08:00:00.000Z</timestamp>{output}\
         </GetConsoleOutputResponse>"
    ))
}

#[tokio::test]
async fn a_console_is_asked_for_in_both_forms_and_shown_by_nobody() {
    let folded = "<output>aHVudGVy\n  MiBsb2dpbjo=\n</output>";
    let server =
        Server::start(vec![console("i-1", folded), console("i-1", "<output/>"), console("i-1", "")]).await;
    let client = client(&server.url).await;
    let id = "i-1".parse().unwrap();
    let latest = client.console_output(&id, ConsoleForm::Latest).await.unwrap();
    assert_eq!(latest.bytes(), b"hunter2 login:");
    assert_eq!(format!("{latest:?}"), "ConsoleOutput(14 bytes)");
    for _ in 0..2 {
        assert!(client.console_output(&id, ConsoleForm::Posted).await.unwrap().bytes().is_empty());
    }
    let posted = "Action=GetConsoleOutput&Version=2016-11-15&InstanceId=i-1";
    assert_eq!(server.bodies(), [&format!("{posted}&Latest=true"), posted, posted], "nothing is remembered");
}

#[tokio::test]
async fn a_console_that_is_none_is_an_error_that_tells_nothing_of_it() {
    let id = "i-1".parse().unwrap();
    let ask = async |answer: String| {
        let server = Server::start(vec![answer]).await;
        client(&server.url).await.console_output(&id, ConsoleForm::Latest).await.unwrap_err()
    };
    for answer in [
        console("i-2", "<output>aHVudGVyMg==</output>"),
        console("i-1", "<output>hunter2!</output>"),
        console("i-1", "<output>hunter2</outp>"),
        ok("<html>hunter2</html>"),
    ] {
        let error = ask(answer.clone()).await;
        assert!(matches!(error, Error::Malformed { .. }), "{answer}: {error:?}");
        assert!(!format!("{error:?} {}", chain(&error)).contains("hunter2"), "{error:?}");
    }
    let huge = console("i-1", &format!("<output>{}</output>", "QUFB".repeat(90_000)));
    assert!(matches!(ask(huge).await, Error::TooLarge { .. }));
    let error = ask(refusal("400 Bad Request", "UnsupportedOperation")).await;
    assert!(matches!(error, Error::State(_)), "an instance type that cannot tell it: {error:?}");
    let error = ask(refusal("403 Forbidden", "UnauthorizedOperation")).await;
    assert!(error.hint().unwrap().contains("ec2:GetConsoleOutput"), "{error:?}");
}
