//! Tells a service manager how a verb that serves is doing (sd_notify(3)).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// What a verb tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// It listens.
    Ready,
    /// It reads its configuration anew, and is [`Ready`](Self::Ready) again afterwards, whatever came of it.
    Reloading,
    /// It takes nothing new, and ends when what is open has ended.
    Stopping,
}

impl State {
    fn message(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => {
                // By the clock that the manager compares with: it waits for the READY that is later than this.
                let now = clock_gettime(ClockId::Monotonic);
                format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000)
            }
            Self::Stopping => "STOPPING=1".to_owned(),
        }
    }
}

/// Tells `state` to the service manager that started this process, if one did and asks to be told. One that does not
/// listen is no reason to fail.
pub(crate) fn notify(state: State) {
    notify_at(std::env::var_os("NOTIFY_SOCKET"), state);
}

fn notify_at(socket: Option<OsString>, state: State) {
    let Some(socket) = socket.filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

fn send(socket: &OsStr, state: State) -> io::Result<()> {
    // A name that begins with an @ is in Linux's namespace without files.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.message().as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("eice-notify-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (manager, socket) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}").into()),
        ] {
            for (state, expected) in [(State::Ready, "READY=1"), (State::Stopping, "STOPPING=1")] {
                notify_at(Some(socket.clone()), state);
                let mut told = [0; 64];
                let length = manager.recv(&mut told).unwrap();
                assert_eq!(&told[..length], expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_reload_is_told_with_the_moment_it_began() {
        let micros = || State::Reloading.message().rsplit_once('=').unwrap().1.parse::<u64>().unwrap();
        assert!(State::Reloading.message().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let (first, second) = (micros(), micros());
        // The uptime counts time asleep as well.
        assert!(first <= second && second as f64 / 1e6 <= uptime + 1.0, "{first} {second} {uptime}");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        notify_at(None, State::Ready);
        notify_at(Some(OsString::new()), State::Ready);
        notify_at(Some("/nonexistent/notify".into()), State::Ready);
        notify_at(Some("x".repeat(200).into()), State::Ready);
    }
}
