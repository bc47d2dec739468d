//! The files of a workspace, as the platform writes them: over a host and not by the program.

use std::fs;
use std::time::Duration;

use eice::files::workspace::{self, File};
use eice::files::{Attributes, FileMode, Files, RemotePath, TransferError};
use eice::model::Host;

use super::{LARGE, noise, tree};
use crate::lab::{Census, INSTANCE, Station, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn workspace_files_are_atomic() {
    let station = Station::start().await;
    let before: Census = station.world.census().await;
    let tunnels = || {
        let records = station.world.emulator.records();
        records.iter().filter(|record| record.event_name == "OpenTunnel").count()
    };
    let opened = tunnels();
    let host = station.world.host(&station.world.target()).await;
    let files: Vec<_> = (0..100)
        .map(|n| File::new(format!("dir {}/it's {n}", n % 7).parse().unwrap(), noise(4096)))
        .collect();
    // The platform's own folders are not this user's: each file says so, in the far side's words.
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
    // One that is given up on the way leaves its part under the name that another attempt looks for.
    station.world.emulator.faults().update(|faults| faults.rate = Some(4 << 20));
    let slow = station.world.connector.connect_ssh(&station.world.target(), &|_| {}).await.unwrap();
    let there = Files::of(&slow);
    let writing = there.write(&path, noise(LARGE).into(), with);
    assert!(tokio::time::timeout(Duration::from_secs(2), writing).await.is_err());
    eventually("it tidied up", || (tree(&station.there("x")) == [".y.eice-part", "y"]).then_some(()));
    assert_eq!(fs::read(station.there("x/y")).unwrap(), b"text");
    drop(there);
    slow.close().await;
    drop(slow);
    station.world.emulator.faults().clear();
    host.close().await;
    drop(host);
    assert_eq!(tunnels() - opened, 2, "a connection for each host, and no more");
    station.is_idle();
    before.is_restored().await;
    assert_eq!(INSTANCE, station.world.instance().as_str());
}
