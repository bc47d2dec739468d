//! Exit codes, from `sysexits.h`: one for each kind of failure that a script may handle.

use crate::model::Fault;

/// Success; `ssh` returns the remote's status instead.
pub const OK: u8 = 0;
/// The command line is wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// The instance, endpoint, workspace or container does not exist (`EX_NOINPUT`).
pub const NOT_FOUND: u8 = 66;
/// It exists but cannot be used or reached: network, proxy, state, quota (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// A fault of this program (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;
/// A timeout; a later attempt may work (`EX_TEMPFAIL`).
pub const TIMEOUT: u8 = 75;
/// TLS, the protocol or the host key is wrong (`EX_PROTOCOL`).
pub const PROTOCOL: u8 = 76;
/// AWS or the instance denies access (`EX_NOPERM`).
pub const DENIED: u8 = 77;
/// The configuration, or no usable credentials (`EX_CONFIG`).
pub const CONFIG: u8 = 78;

/// Returns the exit code of a fault.
#[must_use]
pub fn code(fault: Fault) -> u8 {
    match fault {
        Fault::Usage => USAGE,
        Fault::Credentials | Fault::Configuration => CONFIG,
        Fault::Denied | Fault::Authentication => DENIED,
        Fault::NotFound => NOT_FOUND,
        Fault::State | Fault::Quota | Fault::Network | Fault::Proxy | Fault::Remote => UNAVAILABLE,
        Fault::Tls | Fault::Protocol | Fault::HostKey => PROTOCOL,
        Fault::Timeout => TIMEOUT,
        Fault::Internal => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help::exit_help;

    #[test]
    fn fault_codes_are_in_help() {
        let table = [
            (Fault::Usage, 64),
            (Fault::Credentials, 78),
            (Fault::Denied, 77),
            (Fault::NotFound, 66),
            (Fault::State, 69),
            (Fault::Quota, 69),
            (Fault::Network, 69),
            (Fault::Proxy, 69),
            (Fault::Tls, 76),
            (Fault::Protocol, 76),
            (Fault::HostKey, 76),
            (Fault::Authentication, 77),
            (Fault::Timeout, 75),
            (Fault::Remote, 69),
            (Fault::Configuration, 78),
            (Fault::Internal, 70),
        ];
        for (fault, expected) in table {
            assert_eq!(code(fault), expected, "{fault:?}");
            assert!(exit_help!().contains(&format!("\n  {expected}  ")), "{expected} is not in the help");
        }
    }
}
