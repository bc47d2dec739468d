//! Each attack of one user on what all users share, and a second user who must not notice.

mod bodies;
mod cookies;
mod lookups;
mod other_sites;
mod slots;

use super::*;

/// The user who attacks: a token for everything.
const ATTACKER: (&str, &str) = ("Authorization", "Bearer all");
/// The other one, with a token for one workspace.
const NEIGHBOR: (&str, &str) = ("Authorization", "Bearer abc");

async fn start(script: Script, configure: impl FnOnce(&mut Config)) -> Server {
    Server::with(script, directory(), configure, |_| Router::new()).await
}

/// Sends the head of a request that announces a body, and keeps the connection.
async fn send_head(server: &Server, request: &str, bearer: (&str, &str), length: usize) -> TcpStream {
    let (name, value) = bearer;
    let head =
        format!("{request} HTTP/1.1\r\nHost: {HOST}\r\n{name}: {value}\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The status of the answer on a connection of [`send_head`].
async fn status(mut stream: TcpStream) -> u16 {
    let mut line = [0; 12];
    timeout(SOON, stream.read_exact(&mut line)).await.unwrap().unwrap();
    String::from_utf8(line.to_vec()).unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until `condition` holds.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, waited).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}
