//! Files, folders and pipes, there and back, and what cannot be copied.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{noise, succeeded, told, tree};
use crate::lab::{Sshd, Station, Tty, text};

#[tokio::test(flavor = "multi_thread")]
async fn destinations_match_cp_rules() {
    let station = Station::start().await;
    let here = station.here().to_owned();
    fs::create_dir_all(here.join("site/css/none")).unwrap();
    fs::write(here.join("site/index.html"), noise(10_000)).unwrap();
    fs::write(here.join("site/css/a b.css"), "x").unwrap();
    fs::write(here.join("site/large"), noise(3 << 20)).unwrap();
    fs::set_permissions(here.join("site/large"), Permissions::from_mode(0o751)).unwrap();
    fs::write(here.join("a:b"), "colon").unwrap();
    // A name of its own, in a folder that is not there yet.
    succeeded(&station.cp(&["site/index.html", "@:new/place/renamed"]).await);
    assert!(fs::read(station.there("new/place/renamed")).unwrap() == noise(10_000));
    // Into a folder: because it is one, because of the slash, because there are several.
    succeeded(&station.cp(&["site/large", "@:new"]).await);
    assert_eq!(fs::metadata(station.there("new/large")).unwrap().mode() & 0o777, 0o751);
    succeeded(&station.cp(&["./a:b", "@:other/"]).await);
    succeeded(&station.cp(&["./a:b", "site/index.html", "@:several"]).await);
    assert_eq!(tree(&station.there("several")), ["a:b", "index.html"]);
    assert_eq!(tree(&station.there("other")), ["a:b"]);
    // Folders: a new name, into one, and only what is in it.
    let output = station.cp(&["-rp", "--json", "site", "@:copy"]).await;
    succeeded(&output);
    let json = told(&output);
    assert_eq!((&json["files"], &json["folders"]), (&3.into(), &3.into()), "{json}");
    assert_eq!(tree(&station.there("copy")), tree(&here.join("site")));
    assert!(fs::read(station.there("copy/large")).unwrap() == noise(3 << 20));
    let mtime = |path: &Path| fs::metadata(path).unwrap().mtime();
    assert_eq!(mtime(&station.there("copy/css")), mtime(&here.join("site/css")));
    succeeded(&station.cp(&["-r", "site", "@:copy"]).await);
    assert_eq!(tree(&station.there("copy/site")), tree(&here.join("site")));
    succeeded(&station.cp(&["-r", "site/.", "@:inside"]).await);
    assert_eq!(tree(&station.there("inside")), tree(&here.join("site")));
    // And back.
    succeeded(&station.cp(&["-rp", "@:copy/site", "back"]).await);
    assert_eq!(tree(&here.join("back")), tree(&here.join("site")));
    assert!(fs::read(here.join("back/large")).unwrap() == noise(3 << 20));
    succeeded(&station.cp(&["@:inside/index.html", "@:other/a:b", "got/"]).await);
    assert_eq!(tree(&here.join("got")), ["a:b", "index.html"]);
    succeeded(&station.cp(&["@:inside/index.html", "."]).await);
    assert!(fs::read(here.join("index.html")).unwrap() == noise(10_000));
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipe_is_written_at_eof() {
    let station = Station::start().await;
    let data = noise(5 << 20);
    let output = station.cp_with(&["-", "@:piped"], data.clone()).await;
    succeeded(&output);
    assert!(fs::read(station.there("piped")).unwrap() == data);
    let output = station.cp(&["@:piped", "-"]).await;
    assert!(output.stdout == data, "{} bytes: {}", output.stdout.len(), text(&output.stderr));
    succeeded(&station.cp_with(&["-", "@:empty"], Vec::new()).await);
    assert_eq!(fs::metadata(station.there("empty")).unwrap().len(), 0);
    let output = station.cp(&["@:none", "-"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(66), 0), "{}", text(&output.stderr));
    assert_eq!(tree(&station.sshd.home()), ["empty", "piped"]);
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_quote_the_remote_and_rest_copies() {
    let station = Station::start().await;
    let here = station.here();
    for name in ["a", "b", "c"] {
        fs::write(here.join(name), name).unwrap();
    }
    fs::create_dir_all(station.there("to/b")).unwrap();
    fs::set_permissions(station.there("to"), Permissions::from_mode(0o777)).unwrap();
    let output = station.cp(&["--json", "a", "b", "missing", "c", "@:to"]).await;
    let (json, said) = (told(&output), text(&output.stderr));
    assert_eq!(output.status.code(), Some(66), "{said}");
    assert_eq!((&json["files"], &json["failed"].as_array().unwrap().len()), (&2.into(), &2), "{json}");
    assert!(said.contains("missing: No such file") && said.contains("is a folder"), "{said}");
    assert_eq!(fs::read(station.there("to/c")).unwrap(), b"c");
    let output = station.cp(&["a", "@:/proc/x/y"]).await;
    assert!(!output.status.success());
    let output = station.cp(&["a", "@:/etc/eice-test"]).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("ermission denied") && said.contains("hint: "), "{said}");
    assert!(!said.contains("ssh") && !said.contains("aws"), "{said}");
    for (args, code) in [(&["to", "@:x"][..], 66), (&["a", "b"], 64), (&["@:to", "back"], 64)] {
        let output = station.cp(args).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    }
    // Nothing unfinished is left anywhere.
    assert_eq!(tree(&station.sshd.home()), ["to", "to/a", "to/b", "to/c"]);
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_shows_progress_bar() {
    let station = Station::start().await;
    fs::write(station.here().join("large"), noise(8 << 20)).unwrap();
    station.world.emulator.faults().update(|faults| faults.rate = Some(8 << 20));
    let target = format!("{}:file", station.destination);
    let source = station.here().join("large");
    let args = ["cp", source.to_str().unwrap(), &target];
    let mut tty = Tty::start(&args, &station.env(), station.here(), None);
    tty.until("MiB/s");
    assert_eq!(tty.ends().code(), Some(0));
    assert!(tty.said().contains("8.00 MiB"), "{:?}", tty.said());
    station.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn few_sessions_suffice() {
    for sessions in [1, 2] {
        let station = Station::of(Sshd::with(&format!("MaxSessions {sessions}"), &[])).await;
        let names: Vec<String> = (0..5).map(|n| format!("f{n}")).collect();
        for name in &names {
            fs::write(station.here().join(name), noise(300_000)).unwrap();
        }
        let mut args: Vec<&str> = names.iter().map(String::as_str).collect();
        args.push("@:to/");
        succeeded(&station.cp(&args).await);
        assert_eq!(tree(&station.there("to")), names);
        station.is_idle();
    }
}
