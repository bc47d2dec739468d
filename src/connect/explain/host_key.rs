//! Faults and hints for host keys that are not trusted.

use std::path::Path;

use crate::aws::{Action, AwsError};
use crate::connect::console::ConsoleError;
use crate::docker::quote;
use crate::model::Fault;
use crate::ssh;
use crate::ssh::host_keys::{HostKeyScope, StoreError, WitnessError};

/// Returns the fault and the hint of a host key error; `None` for another error. `store` is the file of the
/// pinned keys, if they are in a file.
pub(super) fn fault_and_hint(error: &ssh::Error, store: Option<&Path>) -> Option<(Fault, String)> {
    Some(match error {
        ssh::Error::HostKeyChanged { scope, .. } | ssh::Error::HostKeyMissing { scope, .. } => (
            Fault::HostKey,
            format!(
                "another machine may be answering. If the host keys of {0} were changed on purpose, compare the \
                 fingerprint with the instance's console output, then: {1}",
                scope.instance(),
                forget(scope.instance().as_str(), store)
            ),
        ),
        ssh::Error::HostKeyUnknown { scope, .. } => (
            Fault::HostKey,
            format!(
                "verify it by the console with --host-key console, pin it with {}, or trust it on first use with \
                 --host-key tofu",
                import(scope, store)
            ),
        ),
        ssh::Error::HostKeyContradicted { scope, .. } => (
            Fault::HostKey,
            format!(
                "another machine may be answering. If the host keys of {} were changed after that boot, verify the \
                 offered key in another way and pin it: {}",
                scope.instance(),
                import(scope, store)
            ),
        ),
        ssh::Error::HostKeyUnverified { scope, source, .. } => unverified(scope, source, store),
        ssh::Error::HostKeyStore(error) => (error.fault(), store_hint(error, store)),
        _ => return None,
    })
}

/// Returns the hint that makes a store usable again.
fn store_hint(error: &StoreError, store: Option<&Path>) -> String {
    match error {
        StoreError::Contradiction { pins } => {
            let commands = pins.iter().map(|(scope, _)| forget(&scope.to_string(), store));
            let commands = commands.collect::<Vec<_>>().join(" or ");
            format!("determine which one is right and forget the other: {commands}")
        }
        StoreError::Full(_) => format!("unpin instances that no longer exist: {}", forget("INSTANCE", store)),
        _ => "make the store readable and writable, or name another".to_owned(),
    }
}

/// Returns the fault and the hint of a key that the console should have confirmed.
fn unverified(scope: &HostKeyScope, source: &WitnessError, store: Option<&Path>) -> (Fault, String) {
    let otherwise = format!(
        "pin the key with {} and use --host-key strict, or trust it on first use with --host-key tofu",
        import(scope, store)
    );
    let called = match source {
        WitnessError::Failed(cause) => cause.downcast_ref::<ConsoleError>(),
        WitnessError::Timeout(_) => {
            return (Fault::Timeout, format!("try again; or {otherwise}"));
        }
        _ => None,
    };
    match called {
        Some(ConsoleError::Call { source: source @ AwsError::Denied(_), .. }) => (
            source.fault(),
            format!("allow it in the IAM policy of the caller: {}; or {otherwise}", statement(scope)),
        ),
        Some(ConsoleError::Call { source, .. }) => {
            let first = source.hint().map(|hint| format!("{hint}; or "));
            (source.fault(), format!("{}{otherwise}", first.unwrap_or_default()))
        }
        Some(ConsoleError::Empty(_) | ConsoleError::NoKeys(_)) => (
            Fault::HostKey,
            format!(
                "an instance prints its keys at the end of its first boot: try again in a minute or two if that is \
                 now; EC2 keeps the last 64 KiB, so after a long time they are gone, and some images print none; \
                 otherwise {otherwise}"
            ),
        ),
        None => (Fault::HostKey, otherwise),
    }
}

/// Returns the IAM statement that allows reading the console of one instance.
fn statement(scope: &HostKeyScope) -> String {
    let account = if scope.account() == HostKeyScope::UNKNOWN { "*" } else { scope.account() };
    format!(
        r#"{{"Effect":"Allow","Action":"{}","Resource":"arn:{}:ec2:{}:{account}:instance/{}"}}"#,
        Action::GetConsoleOutput.permission(),
        scope.partition(),
        scope.region(),
        scope.instance(),
    )
}

/// Returns the command that unpins `what`.
fn forget(what: &str, store: Option<&Path>) -> String {
    match store {
        Some(file) => format!("eice host-keys forget {what}{}", named(file)),
        None => "restart the process, which keeps host keys in memory".to_owned(),
    }
}

/// Returns the command that pins the keys of a file in OpenSSH's format.
fn import(scope: &HostKeyScope, store: Option<&Path>) -> String {
    let mut command = String::from("`eice host-keys import FILE");
    for (option, part) in [("--account", scope.account()), ("--region", scope.region())] {
        if part != HostKeyScope::UNKNOWN {
            command.push_str(&format!(" {option} {part}"));
        }
    }
    format!("{command}{}`", store.map(named).unwrap_or_default())
}

/// Returns the option that names a store, quoted for a shell.
fn named(file: &Path) -> String {
    let file = file.display().to_string();
    format!(" --host-keys {}", quote(&file).unwrap_or(file))
}
