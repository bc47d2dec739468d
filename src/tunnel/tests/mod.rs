//! The dialer and the stream against scripted peers on loopback sockets.

mod dial;
mod peer;
mod proxies;
mod stream;
