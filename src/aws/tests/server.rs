//! A server that sends scripted responses and records the requests.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A recorded request.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) head: String,
    pub(super) body: String,
}

impl Recorded {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends its responses in order, repeating the last one; records the requests.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) seen: Arc<Mutex<Vec<Recorded>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start(responses: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let task = tokio::spawn(async move {
            let mut n = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let (head, body) = loop {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        break (String::new(), String::new());
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let seen = Recorded { head: head.to_owned(), body: body.to_owned() };
                    let length = seen.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
                    if body.len() >= length {
                        break (seen.head, seen.body);
                    }
                };
                log.lock().unwrap().push(Recorded { head, body });
                let response = responses.get(n).or(responses.last()).unwrap();
                n += 1;
                let _ = stream.write_all(response.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { url, seen, task }
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.body.clone()).collect()
    }
}

pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

pub(super) fn ok(body: &str) -> String {
    answer("200 OK", "", body)
}

pub(super) fn error_response(status: &str, code: &str) -> String {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>because</Message></Error></Errors>\
         <RequestID>req-1</RequestID></Response>"
    );
    answer(status, "", &body)
}

pub(super) fn running(id: &str) -> String {
    ok(&format!(
        "<DescribeInstancesResponse><requestId>r</requestId><reservationSet><item><ownerId>1</ownerId><instancesSet>\
         <item><instanceId>{id}</instanceId><instanceState><name>running</name></instanceState>\
         <privateIpAddress>10.0.1.23</privateIpAddress><vpcId>vpc-1</vpcId><subnetId>subnet-1</subnetId></item>\
         </instancesSet></item></reservationSet></DescribeInstancesResponse>"
    ))
}

pub(super) fn endpoint_page(items: &[(&str, &str, &str)], next: Option<&str>) -> String {
    let items: String = items
        .iter()
        .map(|(id, subnet, state)| {
            format!(
                "<item><instanceConnectEndpointId>{id}</instanceConnectEndpointId><state>{state}</state>\
                 <dnsName>{id}.example</dnsName><vpcId>vpc-1</vpcId><subnetId>{subnet}</subnetId>\
                 <ipAddressType>ipv4</ipAddressType></item>"
            )
        })
        .collect();
    let next = next.map(|token| format!("<nextToken>{token}</nextToken>")).unwrap_or_default();
    ok(&format!(
        "<DescribeInstanceConnectEndpointsResponse><instanceConnectEndpointSet>{items}\
         </instanceConnectEndpointSet>{next}</DescribeInstanceConnectEndpointsResponse>"
    ))
}
