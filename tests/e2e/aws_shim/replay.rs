//! Replays the transcripts: the shim has the same output and exit status as the recorded aws-cli.

use std::collections::BTreeMap;

use super::scene::{Aws, Scene};
use super::transcript::{self, Recorded, TOPICS, Transcript};

async fn replay(topic: &str) {
    let mut scenes: BTreeMap<String, Scene> = BTreeMap::new();
    let mut wrong = Vec::new();
    for transcript in transcript::load(topic) {
        if !scenes.contains_key(&transcript.world) {
            let scene = Scene::of(&transcript.world, Aws::Ours).await;
            scenes.insert(transcript.world.clone(), scene);
        }
        let ours = transcript.run(&scenes[&transcript.world]).await;
        if let Err(how) = agrees(&transcript, &ours) {
            wrong.push(format!("aws {}\n  {how}\n  ours: {ours:?}", transcript.argv.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks that `ours` matches the transcript, or differs from it as documented there.
pub(super) fn agrees(transcript: &Transcript, ours: &Recorded) -> Result<(), String> {
    let said = transcript.said.as_ref().ok_or("it is not recorded yet")?;
    let Some(meant) = &transcript.ours else {
        return if said == ours { Ok(()) } else { Err(format!("aws-cli: {said:?}")) };
    };
    if ours == said {
        return Err("it is meant to differ and does not".to_owned());
    }
    let code = meant.code.unwrap_or(said.code);
    if ours.code != code {
        return Err(format!("the status is not {code}"));
    }
    for part in &meant.contains {
        if !ours.stdout.contains(part) && !ours.stderr.contains(part) {
            return Err(format!("it does not say {part:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_matches_aws_cli() {
    replay("usage").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_caller_identity_output_formats() {
    replay("identity").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn send_ssh_public_key_matches_aws_cli() {
    replay("send-key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_tunnel_matches_aws_cli() {
    replay("open-tunnel").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_output_and_status_match() {
    replay("ssh").await;
}

#[test]
fn transcripts_are_complete() {
    let mut count = 0;
    for topic in TOPICS {
        for transcript in transcript::load(topic) {
            assert!(transcript.said.is_some(), "{topic}: {:?} is not recorded", transcript.argv);
            if let Some(ours) = &transcript.ours {
                assert!(ours.why.len() > 10 && !ours.contains.is_empty(), "{topic}: {:?}", transcript.argv);
            }
            count += 1;
        }
    }
    assert!(count >= 90, "{count}");
}
