//! Notifies a service manager of a verb's state (sd_notify(3)).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// The state of a verb.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// It listens.
    Ready,
    /// It reloads its configuration, and is [`Ready`](Self::Ready) again afterwards, even if that failed.
    Reloading,
    /// It accepts no new work, and ends when the open work has ended.
    Stopping,
}

impl State {
    fn message(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => {
                // The manager's clock: it waits for a READY that is later than this.
                let now = clock_gettime(ClockId::Monotonic);
                format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000)
            }
            Self::Stopping => "STOPPING=1".to_owned(),
        }
    }
}

/// Sends `state` to the service manager, if NOTIFY_SOCKET names one. Errors are only logged.
pub(crate) fn notify(state: State) {
    notify_at(std::env::var_os("NOTIFY_SOCKET"), state);
}

fn notify_at(socket: Option<OsString>, state: State) {
    let Some(socket) = socket.filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, "the service manager cannot be notified");
    }
}

fn send(socket: &OsStr, state: State) -> io::Result<()> {
    // A name that starts with @ is in Linux's abstract namespace.
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
    fn path_and_abstract_sockets_work() {
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
                let mut buffer = [0; 64];
                let length = manager.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], expected.as_bytes());
            }
        }
    }

    #[test]
    fn reload_has_monotonic_time() {
        let micros = || State::Reloading.message().rsplit_once('=').unwrap().1.parse::<u64>().unwrap();
        assert!(State::Reloading.message().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let (first, second) = (micros(), micros());
        // The uptime includes suspended time.
        assert!(first <= second && second as f64 / 1e6 <= uptime + 1.0, "{first} {second} {uptime}");
    }

    #[test]
    fn missing_manager_is_ignored() {
        notify_at(None, State::Ready);
        notify_at(Some(OsString::new()), State::Ready);
        notify_at(Some("/nonexistent/notify".into()), State::Ready);
        notify_at(Some("x".repeat(200).into()), State::Ready);
    }
}
