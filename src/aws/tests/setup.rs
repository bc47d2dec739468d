//! Region, credentials and trust: a profile, a role, a CA bundle.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn role_credentials_sign_requests() {
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
    assert!(matches!(error, AwsError::AssumeRole { .. }), "{error:?}");
    assert!(
        error_chain(&error).contains("not authorized to perform: sts:AssumeRole"),
        "{}",
        error_chain(&error)
    );
    assert!(
        !error_chain(&error).contains("unhandled"),
        "AWS's words and not the SDK's: {}",
        error_chain(&error)
    );
    assert_eq!((error.fault(), error.request_id()), (Fault::Denied, Some("r")));
    assert!(error.hint().unwrap().contains("arn:aws:iam::1:role/r"), "{:?}", error.hint());

    // A server that is not there is no matter of permissions.
    let mut config = self::config(&ec2.url);
    config.endpoint_urls.sts = Some("http://127.0.0.1:9".into());
    let client = Aws::new(config).client(&account, None).await.unwrap();
    let error = client.instance(&"i-1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Network, "{error:?}");
    assert!(error_chain(&error).contains("refused"), "{}", error_chain(&error));
    assert!(error.hint().unwrap().contains("the network"), "{:?}", error.hint());
}

#[tokio::test]
async fn profile_has_region_and_credentials() {
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
    let config = AwsConfig { config_file: Some(file), ..AwsConfig::default() };
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

    let config = AwsConfig { fallback_region: Some("us-east-2".into()), ..config };
    let client = Aws::new(config).client(&account, None).await.unwrap();
    assert_eq!(client.region(), "eu-south-1", "the fallback is the last to be asked");

    let error = aws.client(&Account::new(Some("two".into()), None, None), None).await.unwrap_err();
    assert!(matches!(error, AwsError::NoProfile { .. }), "{error:?}");
    let error = aws.client(&account, Some("evil.example/")).await.unwrap_err();
    assert!(matches!(error, AwsError::Region(_)), "{error:?}");
}

#[tokio::test]
async fn https_needs_the_ca_bundle() {
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
    let trusting = AwsConfig { ca_bundle: Some(bundle), ..config(&url) };
    let client = Aws::new(trusting).client(&Account::default(), None).await.unwrap();
    client.instance(&id).await.unwrap();
    let client = self::client(&url).await;
    let error = client.instance(&id).await.unwrap_err();
    assert!(matches!(error, AwsError::Network { .. }), "{error:?}");
    assert!(error_chain(&error).to_lowercase().contains("certificate"), "{}", error_chain(&error));
    server.abort();
}

#[tokio::test]
async fn web_identity_call_is_unsigned() {
    let sts = Server::start(vec![ok("<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
        <SessionToken>t</SessionToken><Expiration>2199-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
        <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>")]).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "a-token\n").unwrap();
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/web"),
    ];
    let config = AwsConfig {
        endpoint_urls: EndpointUrls { sts: Some(sts.url.clone()), ..EndpointUrls::default() },
        environment: EnvSource::of(&variables),
        ..AwsConfig::default()
    };
    let client = Aws::new(config).client(&Account::default(), None).await.unwrap();
    assert_eq!(client.credentials().await.unwrap().access_key_id(), "ASIAWEB");
    let asked = sts.bodies().remove(0);
    assert!(
        asked.contains("WebIdentityToken=a-token&") || asked.ends_with("WebIdentityToken=a-token"),
        "{asked}"
    );
    assert!(asked.contains("RoleSessionName=eice"), "{asked}");
    assert_eq!(sts.seen.lock().unwrap()[0].header("authorization"), None);
}
