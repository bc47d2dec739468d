//! `eice host-keys import`.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::SystemTime;

use clap::Args;
use eice_proto::InstanceId;

use super::{FileHostKeys, print, unusable};
use crate::aws::partition;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::ssh::host_keys::known_hosts::{self, HostMarker, KnownHost};
use crate::ssh::host_keys::{HostKey, HostKeyScope, Learned};

/// The largest accepted file, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Pins the keys of a known_hosts file whose host is an instance id.
///
/// A line is reported by its number when it is invalid, contradicts what is pinned, or cannot be pinned:
/// @cert-authority, since no certificate is accepted, and patterns. A key that @revoked names is not pinned. The other
/// lines are pinned nevertheless, all at once.
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// File in OpenSSH's form, or - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Account that the instances are in; it is learnt with the first connection when absent
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,

    /// Region that they are in; else AWS_REGION or AWS_DEFAULT_REGION, else learnt as well
    #[arg(long, value_name = "REGION", value_parser = region)]
    region: Option<String>,

    /// An instance to look for among hashed names, which can be checked but not read
    #[arg(long, value_name = "ID")]
    instance: Vec<InstanceId>,

    /// Lines about HOST, as written in the file, are about this instance
    #[arg(long, value_name = "HOST=ID")]
    map: Vec<Mapping>,
}

/// Maps a host of the file to an instance.
#[derive(Clone, Debug)]
struct Mapping {
    host: String,
    instance: InstanceId,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, id) = text.rsplit_once('=').ok_or("it must read HOST=i-…")?;
        let instance = id.parse().map_err(|error: eice_proto::id::InvalidId| error.to_string())?;
        Ok(Self { host: host.to_owned(), instance })
    }
}

fn account(text: &str) -> Result<String, String> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_account || text == HostKeyScope::UNKNOWN {
        Ok(text.to_owned())
    } else {
        Err("it must be 12 digits, or -".to_owned())
    }
}

fn region(text: &str) -> Result<String, String> {
    // Valid exactly if it is valid in a scope.
    let scope: Result<HostKeyScope, _> = format!("-/-/{text}/i-0").parse();
    scope.map(|_| text.to_owned()).map_err(|_| "it is not the name of a region".to_owned())
}

pub(super) fn run(args: &ImportArgs, store: &FileHostKeys) -> Result<u8, Failure> {
    let text = read(&args.file)?;
    let sorted = args.sort(&text);
    let place = args.place();
    let pinned = store.edit(|pins| {
        let (mut added, mut known, mut complaints) = (0, 0, Vec::new());
        for (number, instance, key) in &sorted.keys {
            let scope = HostKeyScope::new(&place.0, &place.1, &place.2, instance);
            match pins.pin(&scope, key, SystemTime::now()) {
                Ok(Learned::Added) => added += 1,
                Ok(Learned::Known) => known += 1,
                Ok(Learned::Conflict(others)) => {
                    let others: Vec<_> = others.iter().map(|key| key.fingerprint().to_string()).collect();
                    complaints.push((
                        *number,
                        format!(
                            "{instance} is pinned with {}, not {}; `eice host-keys forget {instance}` comes first",
                            others.join(", "),
                            key.fingerprint()
                        ),
                    ));
                }
                Err(error) => complaints.push((*number, error.to_string())),
            }
        }
        for (number, instance, key) in &sorted.revoked {
            if pins.iter().any(|(scope, pin)| scope.instance() == instance && pin.key == *key) {
                complaints.push((
                    *number,
                    format!(
                        "the key is revoked, and it is pinned: {}; `eice host-keys forget {instance}` unpins it",
                        key.fingerprint()
                    ),
                ));
            }
        }
        Ok(((added, known, complaints), added > 0))
    });
    let (added, known, more) = pinned.map_err(unusable)?;
    let mut complaints = sorted.complaints;
    complaints.extend(more);
    complaints.sort_by_key(|(number, _)| *number);
    for (number, note) in &sorted.notes {
        super::super::say(&format!("eice: line {number}: {note}\n"));
    }
    let mut said = format!("pinned {added}, known already {known}");
    if sorted.others > 0 {
        said.push_str(&format!(", about other hosts {}", sorted.others));
    }
    if sorted.hashed > 0 {
        said.push_str(&format!(", with hashed names of nobody named here {}", sorted.hashed));
    }
    let printed = print(&format!("{said}\n"))?;
    if complaints.is_empty() {
        return Ok(printed);
    }
    let lines = complaints.iter().map(|(number, what)| format!("line {number}: {what}"));
    let failure = Failure::new(exit::PROTOCOL, format!("{} line(s) could not be taken", complaints.len()));
    Err(failure.with_details(lines))
}

/// The lines of a file, by their treatment.
#[derive(Default)]
struct Sorted {
    keys: Vec<(usize, InstanceId, HostKey)>,
    revoked: Vec<(usize, InstanceId, HostKey)>,
    /// Skipped lines, with the reason.
    notes: Vec<(usize, String)>,
    /// Invalid lines, with the reason.
    complaints: Vec<(usize, String)>,
    /// The number of lines about other hosts.
    others: usize,
    /// The number of lines with other hashed names.
    hashed: usize,
}

impl ImportArgs {
    /// Returns partition, account and region of the imported keys.
    fn place(&self) -> (String, String, String) {
        let unknown = || HostKeyScope::UNKNOWN.to_owned();
        let var = |name| std::env::var(name).ok().filter(|value| region(value).is_ok());
        let region = self.region.clone().or_else(|| var("AWS_REGION")).or_else(|| var("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(unknown);
        let partition =
            if region == HostKeyScope::UNKNOWN { unknown() } else { partition(&region).to_owned() };
        (partition, self.account.clone().unwrap_or_else(unknown), region)
    }

    /// Returns the instances that a line is about.
    fn instances(&self, line: &KnownHost) -> Vec<InstanceId> {
        let named = line.names().into_iter().flatten().filter_map(|name| name.parse().ok());
        let asked = self.instance.iter().filter(|id| line.is_about(id.as_str())).cloned();
        let mapped = self.map.iter().filter(|map| line.is_about(&map.host)).map(|map| map.instance.clone());
        let mut all: Vec<_> = named.chain(asked).chain(mapped).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn sort(&self, text: &str) -> Sorted {
        let mut sorted = Sorted::default();
        for (number, line) in known_hosts::lines(text) {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    sorted.complaints.push((number, error.to_string()));
                    continue;
                }
            };
            let instances = self.instances(&line);
            match line.marker {
                Some(HostMarker::CertAuthority) => {
                    sorted
                        .notes
                        .push((number, "@cert-authority is left out: no certificate is accepted".into()));
                }
                _ if line.has_patterns() => {
                    sorted
                        .notes
                        .push((number, "patterns are left out: a key is pinned for one instance".into()));
                }
                _ if instances.is_empty() && line.names().is_none() => sorted.hashed += 1,
                _ if instances.is_empty() => sorted.others += 1,
                marker => {
                    let to = if marker.is_some() { &mut sorted.revoked } else { &mut sorted.keys };
                    to.extend(instances.into_iter().map(|instance| (number, instance, line.key.clone())));
                }
            }
        }
        let Sorted { keys, revoked, notes, .. } = &mut sorted;
        keys.retain(|(number, instance, key)| {
            let is_revoked = revoked.iter().any(|(_, id, bad)| id == instance && bad == key);
            if is_revoked {
                notes.push((*number, format!("the key is left out: it is revoked for {instance}")));
            }
            !is_revoked
        });
        sorted.notes.sort_by_key(|(number, _)| *number);
        sorted
    }
}

/// Reads the file, or stdin.
fn read(file: &PathBuf) -> Result<String, Failure> {
    let place = file.display();
    let cannot = |error: io::Error| {
        let code = if error.kind() == io::ErrorKind::NotFound { exit::NOT_FOUND } else { exit::UNAVAILABLE };
        Failure::because(code, format!("cannot read {place}"), &error)
    };
    let source: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).map_err(cannot)?)
    };
    let mut bytes = Vec::new();
    source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::new(exit::USAGE, format!("{place} is larger than {MAX_FILE_BYTES} bytes")));
    }
    // A comment may have any encoding; hosts and keys are ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
