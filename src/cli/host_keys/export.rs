//! `eice host-keys export`.

use std::time::SystemTime;

use clap::Args;
use eice_proto::InstanceId;

use super::{FileHostKeys, print, unusable};
use crate::cli::failure::Failure;
use crate::ssh::host_keys::{HostKeyScope, StoreError, known_hosts};

/// Prints what is pinned as lines of OpenSSH's known_hosts, the instance id as the host.
///
/// With hosts it prints the lines for them and nothing else, and nothing for a host that is no instance id: it can be
/// the KnownHostsCommand of ssh_config(5), as `/path/to/eice host-keys export %H`.
#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// Only these
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,

    /// Hide the names, as ssh's HashKnownHosts does
    #[arg(long)]
    hashed: bool,
}

pub(super) fn run(args: &ExportArgs, store: &FileHostKeys) -> Result<u8, Failure> {
    let pins = store.read().map_err(unusable)?;
    let mut instances: Vec<InstanceId> = if args.hosts.is_empty() {
        pins.scopes().map(|scope| scope.instance().clone()).collect()
    } else {
        args.hosts.iter().filter_map(|host| host.parse().ok()).collect()
    };
    instances.sort_unstable();
    instances.dedup();
    let mut text = String::new();
    let mut contradictory = None;
    for instance in instances {
        let unknown = HostKeyScope::UNKNOWN;
        let anywhere = HostKeyScope::new(unknown, unknown, unknown, &instance);
        match pins.known(&anywhere, SystemTime::now()) {
            Ok(known) => {
                let line = if args.hashed { known_hosts::hashed_line } else { known_hosts::line };
                text.extend(known.keys.iter().map(|key| line(instance.as_str(), key)));
            }
            Err(error @ StoreError::Contradiction { .. }) => contradictory = Some(error),
            Err(error) => return Err(unusable(error)),
        }
    }
    let printed = print(&text)?;
    match contradictory {
        None => Ok(printed),
        Some(error) => {
            Err(unusable(error).with_hint("`eice host-keys forget SCOPE` unpins the one that is wrong"))
        }
    }
}
