//! `eice host-keys forget`.

use clap::Args;

use super::{FileHostKeys, Name, place, print, unusable};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::ssh::host_keys::HostKeyScope;

/// Unpins the host keys of instances: the next connection meets them for the first time.
#[derive(Args, Debug)]
pub(super) struct ForgetArgs {
    /// Whose, by instance id or full scope as `list` shows it
    #[arg(value_name = "INSTANCE", required_unless_present = "all")]
    names: Vec<Name>,

    /// Everything that is pinned
    #[arg(long, conflicts_with = "names", requires = "yes")]
    all: bool,

    /// Yes, everything
    #[arg(long, requires = "all")]
    yes: bool,
}

pub(super) fn run(args: &ForgetArgs, store: &FileHostKeys) -> Result<u8, Failure> {
    let forgotten = store.edit(|pins| {
        let scopes: Vec<HostKeyScope> = pins.scopes().cloned().collect();
        // All or nothing: an unknown name is probably a mistake.
        if let Some(name) = args.names.iter().find(|name| !scopes.iter().any(|scope| name.means(scope))) {
            return Ok((Err(name.clone()), false));
        }
        let is_meant = |scope: &&HostKeyScope| args.all || args.names.iter().any(|name| name.means(scope));
        let meant = scopes.iter().filter(is_meant);
        let forgotten: Vec<_> = meant.map(|scope| (scope.clone(), pins.forget(scope))).collect();
        let has_changed = !forgotten.is_empty();
        Ok((Ok(forgotten), has_changed))
    });
    let forgotten = forgotten.map_err(unusable)?.map_err(|name| {
        Failure::new(
            exit::NOT_FOUND,
            format!("no host key of {name} is pinned in {}; nothing is forgotten", place(store)),
        )
        .with_hint("`eice host-keys list` shows what is")
    })?;
    let lines = forgotten.iter().map(|(scope, count)| match count {
        1 => format!("forgot 1 key of {scope}\n"),
        count => format!("forgot {count} keys of {scope}\n"),
    });
    print(&lines.collect::<String>())
}
