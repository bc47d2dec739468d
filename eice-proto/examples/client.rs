//! Opens a tunnel to the `server` example, sends a line and prints what comes back:
//! `cargo run --example client -- 127.0.0.1:PORT`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

mod support;

use std::env;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use eice_proto::handshake::{Handshake, Upgrade};
use eice_proto::tunnel::{Config, Event, Role, Tunnel};
use eice_proto::{Credentials, Timestamp, TunnelRequest};
use support::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, read_head, receive, transmit};
use tungstenite::{WebSocket, protocol};

fn main() -> Result<(), Box<dyn Error>> {
    let authority = env::args().nth(1).ok_or("usage: client HOST:PORT")?;
    let request =
        TunnelRequest::new(authority.parse()?, "eice-0123456789abcdef0".parse()?, "10.0.1.23".parse()?);
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let url = request.presign(&credentials, REGION, Timestamp::from_unix(now), Some(60));

    // The real service speaks TLS; between these examples there is nothing to hide.
    let mut stream = TcpStream::connect(&authority)?;
    let mut nonce = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    let upgrade = Upgrade::new(&url, nonce, "eice-proto-example");
    stream.write_all(upgrade.head())?;
    let (status_line, headers) = read_head(&mut stream)?;
    let status = status_line.split(' ').nth(1).ok_or("no status")?.parse()?;
    match upgrade.conclude(status, &headers, b"")? {
        Handshake::Accepted { request_id, .. } => println!("accepted, request id {request_id:?}"),
        refused => return Err(format!("{refused:?}").into()),
    }

    let mut socket = WebSocket::from_raw_socket(stream, protocol::Role::Client, None);
    let mut tunnel = Tunnel::new(Role::Client, Config::default(), Instant::now());
    let mut line = Bytes::from_static(b"hello\n");
    tunnel.send(&mut line)?;
    while !tunnel.is_closed() {
        transmit(&mut tunnel, &mut socket)?;
        receive(&mut tunnel, &mut socket);
        while let Some(event) = tunnel.poll_event() {
            match event {
                Event::Data(data) => {
                    print!("{}", String::from_utf8_lossy(&data));
                    tunnel.close(Instant::now());
                }
                event => println!("{event:?}"),
            }
        }
    }
    Ok(())
}
