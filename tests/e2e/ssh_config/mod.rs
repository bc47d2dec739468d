//! OpenSSH's programs with the output of `eice ssh-config` as their whole configuration, to a real sshd, for a user
//! without a key.

mod agent;
mod host_keys;
mod programs;

use std::fs;

use crate::lab::{INSTANCE, LocalUser, Sshd, World, eventually};

/// An instance with a real sshd, and a user configured for it.
struct Lab {
    local_user: LocalUser,
    world: World,
    sshd: Sshd,
}

impl Lab {
    /// Starts both; the user's configuration is made with `args` and the instance's login name.
    async fn with(args: &[&str]) -> Self {
        let sshd = Sshd::start();
        let world = World::of(&sshd).await;
        let local_user = LocalUser::new(&world);
        let user = ["--user", &sshd.user.name];
        local_user.configure(&[&user, args].concat()).await;
        Self { local_user, world, sshd }
    }

    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn ssh(&self, command: &str) -> crate::lab::CommandOutput {
        self.local_user.run("ssh", &[INSTANCE, command], b"").await
    }

    /// Waits until the connection, the tunnel and the agent are gone, and asserts that no file contains a private key.
    #[track_caller]
    fn wait_until_clean(&self) {
        self.sshd.is_idle();
        eventually("the tunnel is closed", || (self.world.emulator.open_tunnels() == 0).then_some(()));
        eventually("the agent's socket is gone", || {
            fs::read_dir(self.local_user.agents())
                .map_or(true, |mut left| left.next().is_none())
                .then_some(())
        });
        for (path, content) in self.local_user.files() {
            let text = String::from_utf8_lossy(&content);
            assert!(!text.contains("PRIVATE KEY"), "{} is a private key", path.display());
        }
    }

    /// Returns how often a key was pushed.
    fn pushes(&self) -> usize {
        self.world.emulator.records().iter().filter(|it| it.event_name == "SendSSHPublicKey").count()
    }
}
