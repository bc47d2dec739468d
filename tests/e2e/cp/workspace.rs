//! The files of a workspace, as the platform writes them: by the library.

use std::fs;
use std::time::Duration;

use eice::files::workspace::{self, File};
use eice::files::{Attributes, FileMode, Files, RemotePath, TransferError};
use eice::model::Host;

use super::{LARGE, noise, tree};
use crate::lab::{ClientMachine, INSTANCE, LeakCheck, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn workspace_files_are_atomic() {
    let client = ClientMachine::start().await;
    let before: LeakCheck = client.world.leak_check().await;
    let tunnels = || {
        let records = client.world.emulator.records();
        records.iter().filter(|record| record.event_name == "OpenTunnel").count()
    };
    let opened = tunnels();
    let host = client.world.host(&client.world.target()).await;
    let files: Vec<_> = (0..100)
        .map(|n| File::new(format!("dir {}/it's {n}", n % 7).parse().unwrap(), noise(4096)))
        .collect();
    // The platform's folders are not writable for this user: each file fails with the remote's message.
    let results =
        workspace::write_all(&*host, workspace::folder("langgraph"), &files, workspace::WRITE_TIMEOUT).await;
    assert_eq!(results.len(), files.len());
    for result in results {
        let Err(TransferError::Remote { words, .. }) = result else { panic!("{result:?}") };
        assert!(words.contains("ermission denied"), "{words}");
    }
    let there = Files::of(&*host);
    let path = RemotePath::new("~/x/y").unwrap();
    let with = Attributes::new(FileMode::Exactly(0o644));
    there.write(&path, "text".into(), with).await.unwrap();
    assert_eq!(there.read(&path, 10).await.unwrap(), b"text");
    drop(there);
    // An abandoned write leaves its partial file under the name that another attempt resumes.
    client.world.emulator.faults().update(|faults| faults.rate = Some(4 << 20));
    let slow = client.world.connector.connect_ssh(&client.world.target(), &|_| {}).await.unwrap();
    let there = Files::of(&slow);
    let writing = there.write(&path, noise(LARGE).into(), with);
    assert!(tokio::time::timeout(Duration::from_secs(2), writing).await.is_err());
    eventually("it tidied up", || (tree(&client.there("x")) == [".y.eice-part", "y"]).then_some(()));
    assert_eq!(fs::read(client.there("x/y")).unwrap(), b"text");
    drop(there);
    slow.close().await;
    drop(slow);
    client.world.emulator.faults().clear();
    host.close().await;
    drop(host);
    assert_eq!(tunnels() - opened, 2, "a connection for each host, and no more");
    client.is_idle();
    before.assert_no_leaks().await;
    assert_eq!(INSTANCE, client.world.instance().as_str());
}
