//! `eice bench`: the figures are present, consistent, and within the announced plan. No time is asserted, only round
//! trips, which do not depend on the machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::lab::{
    ChildProcess, ClientShell, CommandOutput, INSTANCE, Process, Sshd, World, eventually, program,
};

/// A quick run that covers everything.
const SMALL: [&str; 10] =
    ["--runs", "2", "--warmup", "0", "--keystrokes", "20", "--think-ms", "0", "--bytes", "256KiB"];

/// Runs a small benchmark of the emulator or of an instance, with JSON output.
async fn run<'a>(shell: &ClientShell, subject: &'a str, more: &[&'a str]) -> CommandOutput {
    shell.run(&[&["bench", subject, "--json"], &SMALL[..], more].concat(), b"").await
}

#[track_caller]
fn document(said: &CommandOutput) -> Value {
    let text = String::from_utf8_lossy(&said.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", said.stderr))
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Asserts that a summary of `count` samples is ordered and within them.
#[track_caller]
fn check_summary(summary: &Value, count: usize) {
    let samples = summary["samples"].as_array().unwrap_or_else(|| panic!("no summary: {summary}"));
    assert_eq!(samples.len(), count, "{summary}");
    let of = |name: &str| number(&summary[name]);
    let order = [of("min"), of("q1"), of("median"), of("q3"), of("max")];
    assert!(order.is_sorted(), "{summary}");
    assert!(samples.iter().map(number).all(|sample| (of("min")..=of("max")).contains(&sample)), "{summary}");
}

#[track_caller]
fn check_prompt(runs: &Value, count: usize, wanted: &[&str]) {
    check_summary(&runs["total_ms"], count);
    let stages = runs["stages"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, wanted);
    for stage in stages {
        check_summary(&stage["start_ms"], count);
        check_summary(&stage["ms"], count);
    }
    for run in runs["runs"].as_array().unwrap() {
        let total = number(&run["total_ms"]);
        for step in run["stages"].as_array().unwrap() {
            let (start, ms) = (number(&step["start_ms"]), number(&step["ms"]));
            assert!(start >= 0.0 && ms >= 0.0 && start + ms <= total + 0.01, "{step} in {total} ms");
        }
    }
}

#[track_caller]
fn check_echo(echo: &Value, count: u64) {
    assert_eq!(echo["count"], count, "{echo}");
    assert_eq!(echo["samples"].as_array().unwrap().len() as u64, count);
    let order = ["p50_ms", "p90_ms", "p99_ms", "max_ms"].map(|name| number(&echo[name]));
    assert!(order.is_sorted() && order[0] > 0.0, "{order:?}");
    let buckets = echo["histogram"].as_array().unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum::<u64>(), count);
}

#[track_caller]
fn check_throughput(throughput: &Value, runs: usize) {
    for way in ["down_mib_s", "up_mib_s"] {
        check_summary(&throughput[way], runs);
        assert!(number(&throughput[way]["min"]) > 0.0);
    }
    assert_eq!(throughput["verified_bytes"], 2 * runs as u64 * (256 << 10), "every byte is accounted for");
}

const WARM: [&str; 13] = [
    "credentials",
    "instance",
    "endpoint",
    "key-push",
    "tcp",
    "tls",
    "upgrade",
    "banner",
    "key-exchange",
    "authentication",
    "channel",
    "shell",
    "first-byte",
];

#[track_caller]
fn check_all(document: &Value, kind: &str) {
    assert_eq!(document["schema"], "eice-bench/1");
    assert_eq!((&document["ended"], &document["target"]["kind"]), (&"complete".into(), &kind.into()));
    assert!(document["machine"]["cores"].as_u64().unwrap() > 0);
    let cold: Vec<_> = ["setup"].into_iter().chain(WARM).collect();
    check_prompt(&document["time_to_prompt"]["cold"], 2, &cold);
    check_prompt(&document["time_to_prompt"]["warm"], 2, &WARM);
    check_echo(&document["echo"], 20);
    check_throughput(&document["throughput"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn emulator_figures_are_consistent() {
    let home = tempfile::tempdir().unwrap();
    let shell = ClientShell { home, env: Vec::new() };
    let said = run(&shell, "--emulator", &[]).await;
    let document = document(&said);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    check_all(&document, "emulator");
    assert!(document["round_trips"].is_null() && document["comparison"].is_null());
    // Two runs each cold and warm, one for the keystrokes, two transfers twice.
    assert_eq!(document["plan"]["tunnels"], 4 + 1 + 4);
    assert!(said.stderr.starts_with("eice: this will open 9 tunnels"), "{}", said.stderr);
    assert!(said.stderr.contains("management traffic"), "{}", said.stderr);

    let args = ["bench", "--emulator", "--runs", "1", "--keystrokes", "5", "--think-ms", "0", "--bytes", "0"];
    let table = shell.run(&args, b"").await.expect_success();
    for part in ["nothing cached", "lookups cached", "key-push", "total", "Keystroke echo: 5 keys"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!table.contains("Throughput"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_is_compared_with_openssh() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let shell = ClientShell::new(&world);
    let destination = format!("{}@{INSTANCE}", sshd.user.name);
    let direct = sshd.addr.to_string();
    let said =
        run(&shell, &destination, &["--compare", "ssh,direct,aws", "--direct", &direct, "--aws", "/no/aws"])
            .await;
    let document = document(&said);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stderr, sshd.log());
    check_all(&document, "instance");
    let comparison = &document["comparison"];
    let subjects = comparison["subjects"].as_array().unwrap();
    let names: Vec<_> = subjects.iter().map(|subject| subject["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["eice", "ssh", "direct"], "{}", said.stderr);
    assert_eq!(comparison["left_out"].as_array().unwrap().len(), 1, "{}\n{}", said.stderr, sshd.log());
    for subject in subjects {
        check_summary(&subject["prompt_ms"], 2);
        check_echo(&subject["echo"], 20);
        check_throughput(&subject["throughput"], 2);
    }
    assert!(subjects[1]["version"].as_str().unwrap().starts_with("OpenSSH"), "{}", subjects[1]["version"]);
    for ratios in comparison["ratios"].as_array().unwrap() {
        for what in ["prompt", "echo", "down", "up"] {
            check_summary(&ratios[what], 2);
        }
    }
    let left = comparison["left_out"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["name"]), (1, &"aws".into()));
    assert!(said.stderr.contains("aws is left out: /no/aws is no program"), "{}", said.stderr);

    // The announced number of tunnels was opened, including the peers'; direct ssh opened none.
    let opened = world.emulator.records().iter().filter(|record| record.event_name == "OpenTunnel").count();
    assert_eq!(document["plan"]["tunnels"], opened);
    assert_eq!(opened, 9 + 6 + 6);
    sshd.is_idle();
    eventually("every tunnel is closed", || (world.emulator.open_tunnels() == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn prompt_takes_ten_round_trips() {
    let home = tempfile::tempdir().unwrap();
    let shell = ClientShell { home, env: Vec::new() };
    // A round trip of 300 ms is far more than a busy machine adds to the fastest of three runs.
    let args =
        ["--emulator", "--json", "--delay-ms", "150", "--runs", "3", "--keystrokes", "0", "--bytes", "0"];
    let said = shell.run(&[&["bench"], &args[..]].concat(), b"").await;
    let document = document(&said);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let trips = &document["round_trips"];
    assert_eq!(trips["rtt_ms"], 300.0);
    let stages = |kind: &str| -> Vec<(String, i64)> {
        let stages = trips[kind]["stages"].as_array().unwrap().iter();
        stages
            .map(|stage| {
                (stage["name"].as_str().unwrap().to_owned(), number(&stage["measured"]).round() as i64)
            })
            .collect()
    };
    let expected = |lookup: i64| {
        [
            ("credentials", 0),
            ("instance", lookup),
            ("endpoint", lookup),
            ("key-push", 1),
            ("tcp", 0),
            ("tls", 1),
            ("upgrade", 1),
            ("banner", 0),
            ("key-exchange", 2),
            ("authentication", 3),
            ("channel", 1),
            ("shell", 1),
            ("first-byte", 0),
        ]
        .map(|(name, count)| (name.to_owned(), count))
    };
    assert_eq!(stages("warm"), expected(0), "{trips:#}");
    assert_eq!(stages("cold")[1..], expected(1), "{trips:#}");
    // TCP's round trip is counted, although no byte of it is delayed; the key push overlaps the rest.
    assert_eq!((&trips["warm"]["total"], &trips["cold"]["total"]), (&10.into(), &12.into()), "{trips:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_plan_needs_confirmation() {
    let world = World::builtin().await;
    let shell = ClientShell::new(&world);
    for (args, expected) in [
        (&["--bytes", "64MiB", "--runs", "5"][..], "640 MiB"),
        (&["--bytes", "0", "--runs", "150", "--keystrokes", "0"], "302 tunnels"),
    ] {
        let args: Vec<_> = ["bench", INSTANCE].iter().chain(args).copied().collect();
        let said = shell.run(&args, b"").await;
        assert_eq!(said.code, Some(64), "{}", said.stderr);
        assert!(
            said.stderr.contains(expected) && said.stderr.contains("--yes"),
            "{expected}: {}",
            said.stderr
        );
        assert!(said.stdout.is_empty());
    }
    for (wrong, expected) in [
        (&["--bytes", "1K"][..], "256 KiB to 1024 MiB"),
        (&["--bytes", "2GiB"], "256 KiB to 1024 MiB"),
        (&["--runs", "0"], "0"),
        (&["--delay-ms", "5"], "cannot be used with"),
        (&["--compare", "telnet"], "telnet"),
        (&["--emulator"], "cannot be used with"),
    ] {
        let args: Vec<_> = ["bench", INSTANCE].iter().chain(wrong).copied().collect();
        let said = shell.run(&args, b"").await;
        assert_eq!(said.code, Some(64), "{wrong:?}: {}", said.stderr);
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
    let said = shell.run(&["bench"], b"").await;
    assert_eq!(said.code, Some(64), "{}", said.stderr);
    assert!(world.emulator.records().iter().all(|record| record.event_name != "OpenTunnel"));
}

/// Returns the program's entries in the system's temporary folder.
fn private_folders(shell: &ClientShell) -> Vec<String> {
    let entries = fs::read_dir(shell.home.path().join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_prints_partial_report() {
    let sshd = Sshd::start();
    let world = World::of(&sshd).await;
    let mut shell = ClientShell::new(&world);
    fs::create_dir(shell.home.path().join("tmp")).unwrap();
    shell.export("TMPDIR", shell.home.path().join("tmp").display().to_string());
    let destination = format!("{}@{INSTANCE}", sshd.user.name);
    // Keystrokes for an hour; the process is interrupted during a peer's turn.
    let args = [
        "bench",
        &destination,
        "--json",
        "--runs",
        "1",
        "--warmup",
        "0",
        "--keystrokes",
        "2000",
        "--think-ms",
        "0",
        "--bytes",
        "0",
        "--compare",
        "ssh",
        "--timeout",
        "600",
    ];
    let (out, log) = (shell.file("out"), shell.file("log"));
    let mut command = shell.command(&args);
    command
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&log).unwrap());
    let mut part = ChildProcess::start(&mut command);
    let pid = part.process.pid;
    eventually("OpenSSH runs as a peer", || {
        Process::descendants(pid)
            .into_iter()
            .any(|process| process.command.contains("ProxyCommand"))
            .then_some(())
    });
    let folder = private_folders(&shell);
    assert_eq!(folder.len(), 1, "{folder:?}");
    let key = shell.home.path().join("tmp").join(&folder[0]).join("key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let peers = Process::descendants(pid);
    part.process.signal(Signal::INT);
    let status = eventually("it ends", || part.child().try_wait().unwrap());
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    let document: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(document["ended"], "interrupted");
    check_echo(&document["echo"], 2000);
    check_summary(&document["time_to_prompt"]["warm"]["total_ms"], 1);
    assert_eq!(private_folders(&shell), Vec::<String>::new(), "the key is gone");
    for process in peers {
        eventually("nothing of the peers is left", || (!process.is_there()).then_some(()));
    }
    sshd.is_idle();
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_prints_partial_report() {
    let world = World::builtin().await;
    let shell = ClientShell::new(&world);
    let slow = ["--runs", "2", "--warmup", "0", "--keystrokes", "20000", "--timeout", "5"];
    let said = shell.run(&[&["bench", INSTANCE, "--json"], &slow[..]].concat(), b"").await;
    assert_eq!(said.code, Some(75), "{}", said.stderr);
    let out_of_time = document(&said);
    assert_eq!(out_of_time["ended"], "timed-out");
    check_summary(&out_of_time["time_to_prompt"]["cold"]["total_ms"], 2);
    assert!(said.stderr.contains("not done after 5 s"), "{}", said.stderr);

    world.emulator.set_policies(world.emulator.access().access_key_id(), Vec::new());
    let said = run(&shell, INSTANCE, &[]).await;
    assert_eq!(said.code, Some(77), "{}", said.stderr);
    let failed = document(&said);
    assert_eq!(failed["ended"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("DescribeInstances"), "{}", failed["error"]);
    assert!(failed["time_to_prompt"]["cold"]["total_ms"].is_null() && failed["echo"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_peer_is_left_out() {
    let home = tempfile::tempdir().unwrap();
    let aws = home.path().join("aws");
    fs::write(&aws, "#!/bin/sh\necho 'aws: error: argument command: Invalid choice' >&2\nexit 252\n")
        .unwrap();
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", program("ssh").parent().unwrap().display(), "/usr/bin:/bin");
    let shell = ClientShell { home, env: vec![("PATH".into(), path)] };
    let said = run(&shell, "--emulator", &["--compare", "direct,aws", "--aws", aws.to_str().unwrap()]).await;
    let document = document(&said);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let left: Vec<_> =
        document["comparison"]["left_out"].as_array().unwrap().iter().map(|l| &l["name"]).collect();
    assert_eq!(left, ["aws-ssh", "aws-tunnel"], "{}", said.stderr);
    let subjects = document["comparison"]["subjects"].as_array().unwrap();
    let reason = document["comparison"]["left_out"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("Invalid choice"), "the tunnel's error is reported: {reason}");
    assert!(subjects[2]["name"] == "aws-ssh" && subjects[2]["echo"].is_null());
    // The other two have all rounds.
    for subject in &subjects[..2] {
        check_summary(&subject["prompt_ms"], 2);
        check_throughput(&subject["throughput"], 2);
    }
    assert!(
        said.stderr.contains("aws-ssh is left out: no shell: ") && said.stderr.contains("Invalid choice"),
        "{}",
        said.stderr
    );
}
