//! Credentials of the machine: the container's endpoint and the instance metadata service, at addresses set by the
//! environment.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{MACHINE, SESSION_TOKEN, Scene, key_id, secret};

/// Answers requests by their path and remembers them.
struct Metadata {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Metadata {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let credentials = format!(
            "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"LastUpdated\":\"2026-01-01T00:00:00Z\",\"AccessKeyId\":\"{}\",\
             \"SecretAccessKey\":\"{}\",\"Token\":\"{SESSION_TOKEN}\",\"Expiration\":\"2199-01-01T00:00:00Z\"}}",
            key_id(MACHINE),
            secret(MACHINE)
        );
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") && stream.read_line(&mut request).await.unwrap() > 0 {}
                let line = request.lines().next().unwrap_or_default().to_owned();
                let body = match line.split(' ').nth(1).unwrap_or_default() {
                    "/latest/api/token" => "a-token",
                    "/latest/meta-data/placement/region" => "eu-west-1",
                    "/latest/meta-data/iam/security-credentials/" => "machine",
                    _ => credentials.as_str(),
                };
                log.lock().unwrap().push(line);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, asked, task }
    }
}

const STS: [&str; 3] = ["aws", "sts", "get-caller-identity"];

#[tokio::test(flavor = "multi_thread")]
async fn machine_credentials_come_last() {
    let scene = Scene::start().await;
    let metadata = Metadata::start().await;
    let url = format!("http://{}", metadata.address);
    let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/container"))];
    let instance = [
        ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.clone()),
    ];
    for (variables, path) in [(&container[..], "GET /container "), (&instance, "GET /latest/meta-data/iam/")]
    {
        // A default profile takes precedence.
        scene.write("[profile bare]\n");
        scene.run(&STS, variables).await.expect_success();
        assert_eq!(scene.callers(), ["default"], "{path}");
        assert!(metadata.asked.lock().unwrap().is_empty());
        // A profile without credentials falls through to them, as in aws-cli.
        let said = scene.run(&[&STS[..], &["--profile", "bare"]].concat(), variables).await;
        said.expect_success();
        assert_eq!(scene.callers(), [MACHINE], "{path}");
        let asked = std::mem::take(&mut *metadata.asked.lock().unwrap());
        assert!(asked.iter().any(|line| line.starts_with(path)), "{asked:?}");
    }
}
