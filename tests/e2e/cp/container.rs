//! Copies into and out of a container of a real engine.

use std::fs;

use eice::emulator::{CloseAfter, CloseForm};

use super::{noise, report, succeeded, tree};
use crate::lab::{ClientMachine, Container, Docker, Sshd, text};

#[tokio::test(flavor = "multi_thread")]
async fn container_copies_leave_no_process() {
    let docker = Docker::shared();
    let sshd = Sshd::with(&format!("SetEnv DOCKER_HOST={}", docker.host()), &[&docker.group]);
    let container = Container::start(Docker::SH, "WORKSPACE=7");
    let client = ClientMachine::of(sshd).await;
    let here = client.here();
    fs::create_dir_all(here.join("d/e")).unwrap();
    let data = noise(2 << 20);
    fs::write(here.join("d/large"), &data).unwrap();
    for number in 0..30 {
        fs::write(here.join(format!("d/e/{number} it's")), noise(number * 100)).unwrap();
    }
    let inside = ["--container", container.name.as_str()];
    succeeded(&client.cp(&[&inside[..], &["-r", "d", "@:/tmp/copy"]].concat()).await);
    succeeded(&client.cp(&[&inside[..], &["-r", "@:/tmp/copy", "back"]].concat()).await);
    assert_eq!(tree(&here.join("back")), tree(&here.join("d")));
    assert!(fs::read(here.join("back/large")).unwrap() == data);
    container.is_idle();
    // Cut in the middle, the partial file stays in the container, and no process.
    client.world.emulator.faults().update(|faults| {
        faults.close_after_up = Some(CloseAfter { bytes: 1 << 20, form: CloseForm::Fin });
    });
    let output = client.cp(&[&inside[..], &["d/large", "@:/tmp/new"]].concat()).await;
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
    container.is_idle();
    client.world.emulator.faults().clear();
    let output = client.cp(&[&inside[..], &["--json", "d/large", "@:/tmp/new"]].concat()).await;
    succeeded(&output);
    assert!(report(&output)["resumed_at"].as_u64().unwrap() > 0, "{}", report(&output));
    container.is_idle();
    client.is_idle();
}
