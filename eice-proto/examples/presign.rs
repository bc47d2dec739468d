//! Presigns a tunnel: `cargo run --example presign -- eu-west-1 DNS_NAME eice-ID 10.0.1.23`, with the credentials in
//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. The URL is a secret for its 60 seconds.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::env;
use std::error::Error;
use std::time::SystemTime;

use eice_proto::{Credentials, Timestamp, TunnelRequest};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [region, dns_name, endpoint, address] = args.as_slice() else {
        return Err("usage: presign REGION DNS_NAME ENDPOINT_ID PRIVATE_ADDRESS".into());
    };
    let credentials = Credentials::new(
        env::var("AWS_ACCESS_KEY_ID")?,
        env::var("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let request = TunnelRequest::new(dns_name.parse()?, endpoint.parse()?, address.parse()?);
    let url = request.presign(&credentials, region, Timestamp::from_unix(now), Some(60));
    println!("{}", url.expose());
    Ok(())
}
