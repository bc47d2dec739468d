//! The testbed: an instance of the user's account, or a private emulator.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::BenchArgs;
#[cfg(feature = "emulator")]
use crate::cli::build::{self, HostKeyOptions};
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::target::AwsArgs;
use crate::connect::Connector;
#[cfg(feature = "emulator")]
use crate::emulator;
use crate::model::{InstanceTarget, StageEvent};
use crate::ssh;

/// The measured instance and its account.
pub(super) struct Testbed {
    pub(super) target: InstanceTarget,
    /// For calls that are not measured: lookups and key pushes of the peers.
    pub(super) connector: Arc<Connector>,
    kind: Kind,
}

enum Kind {
    Account(Box<BenchArgs>),
    /// A private emulator, with the host-key store that its clients share.
    #[cfg(feature = "emulator")]
    Emulator(Box<emulator::Emulator>, HostKeyOptions),
}

impl Testbed {
    /// Finds the instance, or starts the emulator.
    pub(super) async fn open(args: &BenchArgs, progress: &Progress) -> Result<Self, Failure> {
        #[cfg(feature = "emulator")]
        if args.emulator {
            return Self::emulated().await;
        }
        let connector = args.client.connector(ssh::Config::default())?;
        let destination = args.destination.as_ref().ok_or_else(|| {
            Failure::new(crate::cli::exit::USAGE, "an instance is missing").with_hint("name one")
        })?;
        let target = args.client.locate(&connector, destination, progress).await?;
        Ok(Self { target, connector, kind: Kind::Account(Box::new(args.clone())) })
    }

    #[cfg(feature = "emulator")]
    async fn emulated() -> Result<Self, Failure> {
        let id = emulator::InstanceSpec::default().id;
        let emulator = crate::cli::emulator::start(emulator::EmulatorConfig::default()).await?;
        let keys = HostKeyOptions::in_memory();
        let connector = build::emulated_connector(emulator.access(), &keys, ssh::Config::default())?;
        Ok(Self {
            target: InstanceTarget::new(id),
            connector,
            kind: Kind::Emulator(Box::new(emulator), keys),
        })
    }

    /// Returns a new client without cached lookups, with the SSH configuration `tuning`.
    pub(super) fn fresh(&self, tuning: ssh::Config) -> Result<Arc<Connector>, Failure> {
        match &self.kind {
            Kind::Account(args) => args.client.connector(tuning),
            #[cfg(feature = "emulator")]
            Kind::Emulator(emulator, keys) => build::emulated_connector(emulator.access(), keys, tuning),
        }
    }

    pub(super) fn is_emulator(&self) -> bool {
        match &self.kind {
            Kind::Account(_) => false,
            #[cfg(feature = "emulator")]
            Kind::Emulator(..) => true,
        }
    }

    /// Delays each byte of new tunnels one way by `one_way_ms`, and each API response by a round trip. Has an effect
    /// only with an emulator.
    #[cfg_attr(not(feature = "emulator"), allow(unused_variables, reason = "there is nothing to delay"))]
    pub(super) fn delay(&self, one_way_ms: u32) {
        match &self.kind {
            Kind::Account(_) => {}
            #[cfg(feature = "emulator")]
            Kind::Emulator(emulator, _) => emulator.faults().update(|faults| {
                faults.latency_ms = one_way_ms.into();
                faults.api_delay_ms = 2 * u64::from(one_way_ms);
            }),
        }
    }

    /// Returns the environment in which another program uses the same account; `folder` is private to the run.
    #[cfg_attr(
        not(feature = "emulator"),
        allow(unused_variables, reason = "the emulator's host keys are kept there")
    )]
    pub(super) fn env(&self, folder: &Path) -> Vec<(String, OsString)> {
        match &self.kind {
            Kind::Account(args) => account_env(&args.client.to.aws, &self.target),
            #[cfg(feature = "emulator")]
            Kind::Emulator(emulator, _) => emulator_env(emulator.access(), folder),
        }
    }

    /// Returns the address of sshd without a tunnel: of the emulator's instance, or the public address.
    pub(super) async fn direct(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Account(_) => {
                let (account, region) = (&self.target.account, self.target.region.as_deref());
                let client = self.connector.client(account, region, &|_: StageEvent| {}).await.ok()?;
                let public = client.instance(&self.target.instance).await.ok()?.public_ipv4?;
                Some(SocketAddr::new(public, self.target.port.get()))
            }
            #[cfg(feature = "emulator")]
            Kind::Emulator(emulator, _) => emulator.ssh_addr(&self.target.instance),
        }
    }

    /// Shuts the emulator down, if there is one.
    pub(super) async fn close(self) {
        #[cfg(feature = "emulator")]
        if let Kind::Emulator(emulator, _) = self.kind {
            drop(self.connector);
            emulator.shutdown().await;
        }
    }
}

/// The command line's settings, as every AWS client reads them from its environment.
fn account_env(aws: &AwsArgs, target: &InstanceTarget) -> Vec<(String, OsString)> {
    let region = target.region.as_ref().map(OsString::from);
    let profile = target.account.profile.as_ref().map(OsString::from);
    // Keys in the environment would win over AWS_PROFILE; empty ones count as unset.
    let no_key = profile.as_ref().map(|_| OsString::new());
    let pairs = [
        ("AWS_REGION", region.clone()),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_PROFILE", profile),
        ("AWS_ACCESS_KEY_ID", no_key.clone()),
        ("AWS_SECRET_ACCESS_KEY", no_key.clone()),
        ("AWS_SESSION_TOKEN", no_key),
        ("AWS_ENDPOINT_URL", aws.endpoint_url.as_ref().map(OsString::from)),
        ("AWS_CA_BUNDLE", aws.ca_bundle.as_ref().map(OsString::from)),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(feature = "emulator")]
fn emulator_env(access: &emulator::EmulatorAccess, folder: &Path) -> Vec<(String, OsString)> {
    let pairs = access.env().into_iter().map(|(name, value)| (name.to_owned(), OsString::from(value)));
    // Its instance has a new host key each time, which must not reach the user's store.
    pairs.chain([("EICE_HOST_KEYS".to_owned(), folder.join("host_keys.json").into())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Account;

    #[test]
    fn profile_of_a_peer_wins_over_keys() {
        let mut target = InstanceTarget::new("i-1".parse().unwrap());
        assert_eq!(account_env(&AwsArgs::default(), &target), []);
        target.account = Account::new(Some("b".into()), None, None);
        let env = account_env(&AwsArgs::default(), &target);
        let value = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        assert_eq!(value("AWS_PROFILE"), Some("b".into()));
        assert_eq!(value("AWS_ACCESS_KEY_ID"), Some("".into()));
    }
}
