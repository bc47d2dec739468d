//! Accepts tunnels on loopback and echoes what they carry: `cargo run --example server`, then the `client` example.
//! It prints its address; the signature is checked against the clients' credentials.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

mod support;

use std::error::Error;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::{Instant, SystemTime};

use eice_proto::handshake::{RejectionCode, accept_key};
use eice_proto::sigv4::{PayloadHash, ReceivedRequest, Scope, VerifyPolicy, verify};
use eice_proto::tunnel::{Config, Event, Role, Tunnel};
use eice_proto::{Timestamp, TunnelParams};
use support::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, read_head, receive, transmit};
use tungstenite::{WebSocket, protocol};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        // One client at a time, and one that fails ends nobody else's tunnel.
        if let Err(error) = serve(stream?) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<(), Box<dyn Error>> {
    let (request_line, headers) = read_head(&mut stream)?;
    let path_and_query = request_line.split(' ').nth(1).ok_or("no path")?;
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    if let Err(error) = check(path_and_query, &headers) {
        let body = RejectionCode::AccessDenied.body(&error.to_string());
        let length = body.len();
        write!(stream, "HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n{body}")?;
        return Err(error);
    }
    let key = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    let accept = accept_key(key.ok_or("no key")?.1);
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nx-amzn-RequestId: example\r\n\r\n"
    )?;

    let mut socket = WebSocket::from_raw_socket(stream, protocol::Role::Server, None);
    let mut tunnel = Tunnel::new(Role::Server, Config::default(), Instant::now());
    while !tunnel.is_closed() {
        receive(&mut tunnel, &mut socket);
        while let Some(event) = tunnel.poll_event() {
            if let Event::Data(mut data) = event {
                // A client that sends more than the queue takes gets the rest dropped: enough for an echo.
                tunnel.send(&mut data)?;
            }
        }
        transmit(&mut tunnel, &mut socket)?;
    }
    Ok(())
}

/// Checks signature and parameters, in the service's order.
fn check(path_and_query: &str, headers: &[(&str, &str)]) -> Result<(), Box<dyn Error>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let request = ReceivedRequest { method: "GET", path_and_query, headers, payload: PayloadHash::of(b"") };
    let secret = |key: &str, _token: Option<&str>| (key == ACCESS_KEY_ID).then_some(SECRET_ACCESS_KEY);
    let scope = Scope::new(REGION, "ec2-instance-connect");
    verify(&request, secret, &scope, Timestamp::from_unix(now), &VerifyPolicy::default())?;
    let (_, query) = path_and_query.split_once('?').unwrap_or_default();
    let params = TunnelParams::parse(query)?;
    println!("a tunnel to {}:{}", params.address, params.port);
    Ok(())
}
