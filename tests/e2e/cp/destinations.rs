//! Files, folders and pipes, both ways, and what cannot be copied.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{noise, report, succeeded, tree};
use crate::lab::{ClientMachine, Sshd, Tty, text};

#[tokio::test(flavor = "multi_thread")]
async fn destinations_match_cp_rules() {
    let client = ClientMachine::start().await;
    let here = client.here().to_owned();
    fs::create_dir_all(here.join("site/css/none")).unwrap();
    fs::write(here.join("site/index.html"), noise(10_000)).unwrap();
    fs::write(here.join("site/css/a b.css"), "x").unwrap();
    fs::write(here.join("site/large"), noise(3 << 20)).unwrap();
    fs::set_permissions(here.join("site/large"), Permissions::from_mode(0o751)).unwrap();
    fs::write(here.join("a:b"), "colon").unwrap();
    // A new name, in a folder that does not exist yet.
    succeeded(&client.cp(&["site/index.html", "@:new/place/renamed"]).await);
    assert!(fs::read(client.there("new/place/renamed")).unwrap() == noise(10_000));
    // Into a folder: because it exists, because of the slash, because there are several sources.
    succeeded(&client.cp(&["site/large", "@:new"]).await);
    assert_eq!(fs::metadata(client.there("new/large")).unwrap().mode() & 0o777, 0o751);
    succeeded(&client.cp(&["./a:b", "@:other/"]).await);
    succeeded(&client.cp(&["./a:b", "site/index.html", "@:several"]).await);
    assert_eq!(tree(&client.there("several")), ["a:b", "index.html"]);
    assert_eq!(tree(&client.there("other")), ["a:b"]);
    // Folders: a new name, into an existing folder, and only the content.
    let output = client.cp(&["-rp", "--json", "site", "@:copy"]).await;
    succeeded(&output);
    let json = report(&output);
    assert_eq!((&json["files"], &json["folders"]), (&3.into(), &3.into()), "{json}");
    assert_eq!(tree(&client.there("copy")), tree(&here.join("site")));
    assert!(fs::read(client.there("copy/large")).unwrap() == noise(3 << 20));
    let mtime = |path: &Path| fs::metadata(path).unwrap().mtime();
    assert_eq!(mtime(&client.there("copy/css")), mtime(&here.join("site/css")));
    succeeded(&client.cp(&["-r", "site", "@:copy"]).await);
    assert_eq!(tree(&client.there("copy/site")), tree(&here.join("site")));
    succeeded(&client.cp(&["-r", "site/.", "@:inside"]).await);
    assert_eq!(tree(&client.there("inside")), tree(&here.join("site")));
    // Downloads.
    succeeded(&client.cp(&["-rp", "@:copy/site", "back"]).await);
    assert_eq!(tree(&here.join("back")), tree(&here.join("site")));
    assert!(fs::read(here.join("back/large")).unwrap() == noise(3 << 20));
    succeeded(&client.cp(&["@:inside/index.html", "@:other/a:b", "got/"]).await);
    assert_eq!(tree(&here.join("got")), ["a:b", "index.html"]);
    succeeded(&client.cp(&["@:inside/index.html", "."]).await);
    assert!(fs::read(here.join("index.html")).unwrap() == noise(10_000));
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipe_is_written_at_eof() {
    let client = ClientMachine::start().await;
    let data = noise(5 << 20);
    let output = client.cp_with(&["-", "@:piped"], data.clone()).await;
    succeeded(&output);
    assert!(fs::read(client.there("piped")).unwrap() == data);
    let output = client.cp(&["@:piped", "-"]).await;
    assert!(output.stdout == data, "{} bytes: {}", output.stdout.len(), text(&output.stderr));
    succeeded(&client.cp_with(&["-", "@:empty"], Vec::new()).await);
    assert_eq!(fs::metadata(client.there("empty")).unwrap().len(), 0);
    let output = client.cp(&["@:none", "-"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(66), 0), "{}", text(&output.stderr));
    assert_eq!(tree(&client.sshd.home()), ["empty", "piped"]);
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_quote_the_remote_and_rest_copies() {
    let client = ClientMachine::start().await;
    let here = client.here();
    for name in ["a", "b", "c"] {
        fs::write(here.join(name), name).unwrap();
    }
    fs::create_dir_all(client.there("to/b")).unwrap();
    fs::set_permissions(client.there("to"), Permissions::from_mode(0o777)).unwrap();
    let output = client.cp(&["--json", "a", "b", "missing", "c", "@:to"]).await;
    let (json, said) = (report(&output), text(&output.stderr));
    assert_eq!(output.status.code(), Some(66), "{said}");
    assert_eq!((&json["files"], &json["failed"].as_array().unwrap().len()), (&2.into(), &2), "{json}");
    assert!(said.contains("missing: No such file") && said.contains("is a folder"), "{said}");
    assert_eq!(fs::read(client.there("to/c")).unwrap(), b"c");
    let output = client.cp(&["a", "@:/proc/x/y"]).await;
    assert!(!output.status.success());
    let output = client.cp(&["a", "@:/etc/eice-test"]).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("ermission denied") && said.contains("hint: "), "{said}");
    assert!(!said.contains("ssh") && !said.contains("aws"), "{said}");
    for (args, code) in [(&["to", "@:x"][..], 66), (&["a", "b"], 64), (&["@:to", "back"], 64)] {
        let output = client.cp(args).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    }
    // No partial file is left.
    assert_eq!(tree(&client.sshd.home()), ["to", "to/a", "to/b", "to/c"]);
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_shows_progress_bar() {
    let client = ClientMachine::start().await;
    fs::write(client.here().join("large"), noise(8 << 20)).unwrap();
    client.world.emulator.faults().update(|faults| faults.rate = Some(8 << 20));
    let target = format!("{}:file", client.destination);
    let source = client.here().join("large");
    let args = ["cp", source.to_str().unwrap(), &target];
    let mut tty = Tty::start(&args, &client.env(), client.here(), None);
    tty.until("MiB/s");
    assert_eq!(tty.ends().code(), Some(0));
    assert!(tty.said().contains("8.00 MiB"), "{:?}", tty.said());
    client.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn few_sessions_suffice() {
    for sessions in [1, 2] {
        let client = ClientMachine::of(Sshd::with(&format!("MaxSessions {sessions}"), &[])).await;
        let names: Vec<String> = (0..5).map(|n| format!("f{n}")).collect();
        for name in &names {
            fs::write(client.here().join(name), noise(300_000)).unwrap();
        }
        let mut args: Vec<&str> = names.iter().map(String::as_str).collect();
        args.push("@:to/");
        succeeded(&client.cp(&args).await);
        assert_eq!(tree(&client.there("to")), names);
        client.is_idle();
    }
}
