//! The report as text.

use super::{ENDPOINT, Patient, outcomes, step, without};
use crate::lab::World;

/// Replaces the varying parts of the text.
fn normalised(text: &str, world: &World) -> String {
    let port = world.emulator.access().tunnel_addr().port().to_string();
    let text = text.replace(&port, "PORT");
    let words = |line: &str| {
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            out.push_str(&rest[..at]);
            let end = rest[at..].find([' ', ',', ';', ')']).map_or(rest.len(), |end| at + end);
            let word = &rest[at..end];
            let is_id = word.len() == 36 && word.bytes().filter(|b| *b == b'-').count() == 4;
            out.push_str(match word {
                _ if is_id => "REQUEST-ID--------------------------",
                word if word.starts_with("SHA256:") => "SHA256:FINGERPRINT",
                word => word,
            });
            rest = &rest[end..];
        }
        out + rest
    };
    let lines = text.lines().map(|line| {
        let line = words(line);
        match time(&line) {
            // Keeps the columns of the table.
            Some(time) if ["ok ", "FAIL", "warn", "skip"].iter().any(|mark| line.starts_with(mark)) => {
                line.replacen(time, &format!("{:>1$}", "TIME", time.len()), 1)
            }
            Some(time) => line.replacen(time, "TIME", 1),
            None => line,
        }
    });
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Returns the first decimal number with a unit of time.
fn time(line: &str) -> Option<&str> {
    let units = [" ms", " s"].map(|unit| line.match_indices(unit).map(move |(at, _)| (at, unit.len())));
    units.into_iter().flatten().find_map(|(at, unit)| {
        let start = line[..at].rfind(' ').map_or(0, |space| space + 1);
        let number = &line[start..at];
        let is_time = number.contains('.') && number.parse::<f64>().is_ok();
        is_time.then(|| &line[start..at + unit])
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_report() {
    let patient = Patient::builtin().await;
    let report = patient.passes().await;
    assert_eq!(outcomes(&report, "skipped"), ["proxy", "engine", "container"]);
    assert_eq!(outcomes(&report, "passed").len(), 16, "{report:#}");
    for asked in ["credentials", "instance", "endpoint", "security-groups", "key-push", "upgrade"] {
        assert!(step(&report, asked)["request_id"].is_string(), "{asked}: {report:#}");
    }
    assert_eq!(report["account"], "123456789012");
    assert_eq!(report["endpoint"], ENDPOINT);
    let said = patient.ask(&[]).await;
    insta::assert_snapshot!("healthy_report", normalised(&said.expect_success(), &patient.world));
    // It reports a first use without pinning the key.
    assert!(step(&report, "key-exchange")["message"].as_str().unwrap().contains("was not kept"));
    assert!(!patient.shell.file("state/eice/host_keys.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permission_report() {
    let patient = Patient::builtin().await;
    patient.set_policy(&without("ec2-instance-connect:OpenTunnel"));
    patient.world.emulator.edit_endpoint(&ENDPOINT.parse().unwrap(), |spec| spec.tags.clear());
    let said = patient.ask(&[]).await;
    assert_eq!(said.code, Some(77), "{}", said.stderr);
    insta::assert_snapshot!(
        "missing_permission_report",
        normalised(&String::from_utf8_lossy(&said.stdout), &patient.world)
    );
}
