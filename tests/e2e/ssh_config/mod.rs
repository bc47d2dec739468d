//! OpenSSH's own programs, with what `eice ssh-config` prints as their whole configuration, to a real sshd: by a person
//! who has no key.

mod agent;
mod host_keys;
mod programs;

use std::fs;

use crate::lab::{INSTANCE, Person, Sshd, World, eventually};

/// An instance with a real sshd, and somebody configured for it.
struct Lab {
    person: Person,
    world: World,
    sshd: Sshd,
}

impl Lab {
    /// Configured with `args`, as whom the instance knows.
    async fn with(args: &[&str]) -> Self {
        let sshd = Sshd::start();
        let world = World::of(&sshd).await;
        let person = Person::new(&world);
        let user = ["--user", &sshd.user.name];
        person.configure(&[&user, args].concat()).await;
        Self { person, world, sshd }
    }

    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn ssh(&self, command: &str) -> crate::lab::Said {
        self.person.run("ssh", &[INSTANCE, command], b"").await
    }

    /// Waits until nothing is left: of the connection, of the tunnel, of the agent; and sees that no private key was
    /// written to any file.
    #[track_caller]
    fn is_clean(&self) {
        self.sshd.is_idle();
        eventually("the tunnel is closed", || (self.world.emulator.open_tunnels() == 0).then_some(()));
        eventually("the agent's socket is gone", || {
            fs::read_dir(self.person.agents()).map_or(true, |mut left| left.next().is_none()).then_some(())
        });
        for (path, content) in self.person.files() {
            let text = String::from_utf8_lossy(&content);
            assert!(!text.contains("PRIVATE KEY"), "{} is a private key", path.display());
        }
    }

    /// How often a key was pushed.
    fn pushes(&self) -> usize {
        self.world.emulator.records().iter().filter(|it| it.event_name == "SendSSHPublicKey").count()
    }
}
