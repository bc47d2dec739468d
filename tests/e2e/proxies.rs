//! The program behind a proxy that the environment names, with the variables that curl reads.

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::lab::{ClientShell, INSTANCE, Proxy, ProxyLog, World};

/// Serves HTTP CONNECT and SOCKS5 with the credentials `user:p@ss`.
async fn serve(mut stream: TcpStream, log: ProxyLog) -> std::io::Result<()> {
    let first = stream.read_u8().await?;
    let target = if first == 5 { socks(&mut stream).await? } else { connect(&mut stream).await? };
    log.record(&target);
    let mut onward = TcpStream::connect(&target).await?;
    copy_bidirectional(&mut stream, &mut onward).await?;
    Ok(())
}

/// Reads the rest of a CONNECT, after its first byte; returns the target.
async fn connect(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = vec![b'C'];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    // printf 'user:p@ss' | base64
    assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok(head.split(' ').nth(1).unwrap().to_owned())
}

/// Reads the rest of a SOCKS5 request by name (RFC 1928, RFC 1929), after its first byte; returns the target.
async fn socks(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut methods = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut methods).await?;
    assert!(methods.contains(&2), "{methods:?}");
    stream.write_all(&[5, 2]).await?;
    let mut login = [0; 11];
    stream.read_exact(&mut login).await?;
    assert_eq!(&login, b"\x01\x04user\x04p@ss");
    stream.write_all(&[1, 0]).await?;
    let mut request = [0; 5];
    stream.read_exact(&mut request).await?;
    assert_eq!(request[..4], [5, 1, 0, 3], "CONNECT by name");
    let mut name = vec![0; usize::from(request[4])];
    stream.read_exact(&mut name).await?;
    let port = stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    Ok(format!("{}:{port}", String::from_utf8(name).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_uses_environment_proxy() {
    let world = World::builtin().await;
    let endpoint = world.emulator.access().tunnel_authority();
    let proxy = Proxy::start(serve).await;
    let (http, socks) =
        (format!("http://user:p%40ss@{}", proxy.addr), format!("socks5h://user:p%40ss@{}", proxy.addr));
    let dead = "http://127.0.0.1:9";
    let ssh = ["ssh", INSTANCE, "--", "echo through"];
    for (variables, is_used) in [
        (vec![("HTTPS_PROXY", http.as_str())], true),
        (vec![("https_proxy", http.as_str()), ("HTTPS_PROXY", dead)], true),
        (vec![("HTTPS_PROXY", socks.as_str())], true),
        (vec![("ALL_PROXY", socks.as_str())], true),
        (vec![("HTTP_PROXY", dead)], false),
        (vec![("HTTPS_PROXY", dead), ("NO_PROXY", "localhost")], false),
        (vec![("HTTPS_PROXY", dead), ("NO_PROXY", "example.com,.localhost")], false),
        (vec![("HTTPS_PROXY", dead), ("no_proxy", "*")], false),
        (vec![("HTTPS_PROXY", http.as_str()), ("NO_PROXY", "host,ocalhost")], true),
    ] {
        let mut shell = ClientShell::new(&world);
        for (name, value) in &variables {
            shell.export(name, *value);
        }
        let said = shell.run(&ssh, b"").await;
        assert_eq!(said.expect_success(), "through\n", "{variables:?}");
        let expected = if is_used { vec![endpoint.clone()] } else { Vec::new() };
        assert_eq!(proxy.take_targets(), expected, "{variables:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_proxy_hides_password() {
    let world = World::builtin().await;
    let mut shell = ClientShell::new(&world);
    shell.export("HTTPS_PROXY", "gopher://user:canary@proxy");
    let said = shell.run(&["ssh", INSTANCE, "--", "true"], b"").await;
    assert_eq!(said.code, Some(78), "{}", said.stderr);
    assert!(said.stderr.contains("HTTPS_PROXY") && !said.stderr.contains("canary"), "{}", said.stderr);
}
