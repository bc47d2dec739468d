//! Identifiers, timestamps and authorities round-trip.

use eice_proto::{Authority, EndpointId, InstanceId, MaxDuration, RemotePort, Timestamp};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = text.parse::<InstanceId>() {
        assert_eq!(id.as_str(), text);
        assert!(text.starts_with("i-") && text.is_ascii());
    }
    if let Ok(id) = text.parse::<EndpointId>() {
        assert_eq!(id.as_str(), text);
        assert!(text.starts_with("eice-") && text.is_ascii());
    }
    if let Ok(port) = text.parse::<RemotePort>() {
        assert_ne!(port.get(), 0);
        assert_eq!(port.to_string().parse(), Ok(port));
    }
    if let Ok(duration) = text.parse::<MaxDuration>() {
        assert!((1..=3600).contains(&duration.as_secs()));
        assert_eq!(duration.to_string().parse(), Ok(duration));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        assert_eq!(moment.to_string(), text);
    }
    if let Ok(authority) = text.parse::<Authority>() {
        assert!(!authority.as_str().contains(['/', '?', '#', '@', '\r', '\n', ' ']));
        assert_ne!(authority.port(), 0);
        assert_eq!(authority.as_str().parse(), Ok(authority));
    }
}
