//! The scripts of fixtures/frames: frames and time in, frames and events out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken fixture ends the test")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use eice_proto::tunnel::{Config, Event, Frame, Opcode, Role, Tunnel};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    name: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    config: BTreeMap<String, u64>,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    In(String),
    Eof(bool),
    Send(String),
    SendLen(usize),
    Close(bool),
    CloseWith(u16, String),
    AfterMs(u64),
    Out(Vec<String>),
    #[serde(rename = "told")]
    Events(Vec<String>),
}

impl Script {
    fn role(&self) -> Role {
        match self.role.as_deref() {
            None | Some("client") => Role::Client,
            Some("server") => Role::Server,
            Some(other) => panic!("{}: no role {other}", self.name),
        }
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.keepalive_interval = None;
        for (key, &ms) in &self.config {
            let duration = Duration::from_millis(ms);
            match key.as_str() {
                "keepalive_interval" => config.keepalive_interval = Some(duration),
                "keepalive_timeout" => config.keepalive_timeout = duration,
                "max_duration" => config.max_duration = Some(duration),
                "duration_warning" => config.duration_warning = Some(duration),
                other => panic!("{}: no setting {other}", self.name),
            }
        }
        config
    }

    fn run(&self) {
        let mut now = Instant::now();
        let mut tunnel = Tunnel::new(self.role(), self.config(), now);
        for (number, step) in self.steps.iter().enumerate() {
            let place = format!("{}, step {number}", self.name);
            match step {
                Step::In(frame) => tunnel.handle_frame(parse(frame), now),
                Step::Eof(is_meant) => {
                    assert!(is_meant, "{place}");
                    tunnel.handle_eof(now);
                }
                Step::Send(text) => send(&mut tunnel, text.clone().into()),
                Step::SendLen(len) => send(&mut tunnel, vec![0; *len].into()),
                Step::Close(is_meant) => {
                    assert!(is_meant, "{place}");
                    tunnel.close(now);
                }
                Step::CloseWith(code, reason) => tunnel.close_with(Frame::close(*code, reason), now),
                Step::AfterMs(ms) => {
                    now += Duration::from_millis(*ms);
                    tunnel.handle_timeout(now);
                }
                Step::Out(expected) => {
                    let got: Vec<_> = std::iter::from_fn(|| tunnel.poll_transmit()).collect();
                    assert_eq!(got, expected.iter().map(|text| parse(text)).collect::<Vec<_>>(), "{place}");
                }
                Step::Events(expected) => {
                    let got: Vec<_> = std::iter::from_fn(|| tunnel.poll_event()).collect();
                    let got: Vec<_> = got.iter().map(print).collect();
                    assert_eq!(got, *expected, "{place}");
                }
            }
        }
    }
}

fn send(tunnel: &mut Tunnel, mut data: Bytes) {
    tunnel.send(&mut data).unwrap();
    assert!(data.is_empty(), "more than the queue holds");
}

fn parse(text: &str) -> Frame {
    let end = text.find([':', '*', '#']).unwrap();
    let (opcode, rest) = text.split_at(end);
    let (mark, value) = rest.split_at(1);
    let fin = !opcode.ends_with('+');
    let opcode = match opcode.trim_end_matches('+') {
        "binary" => Opcode::Binary,
        "cont" => Opcode::Continuation,
        "text" => Opcode::Text,
        "close" => Opcode::Close,
        "ping" => Opcode::Ping,
        "pong" => Opcode::Pong,
        other => panic!("no opcode {other}"),
    };
    let payload: Bytes = match (mark, opcode) {
        ("*", _) => vec![0; value.parse().unwrap()].into(),
        ("#", _) => (0..value.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&value[at..at + 2], 16).unwrap())
            .collect::<Vec<_>>()
            .into(),
        (_, Opcode::Close) if !value.is_empty() => {
            let (code, reason) = value.split_once(' ').unwrap();
            return Frame::close(code.parse().unwrap(), reason);
        }
        _ => value.to_owned().into(),
    };
    Frame { fin, opcode, payload }
}

fn print(event: &Event) -> String {
    match event {
        Event::Data(bytes) if bytes.iter().all(|byte| *byte == 0) => format!("data*{}", bytes.len()),
        Event::Data(bytes) => format!("data:{}", std::str::from_utf8(bytes).unwrap()),
        Event::DurationNear { remaining } => format!("near:{}", remaining.as_millis()),
        Event::DurationReached => "duration".into(),
        Event::Closed(reason) => format!("closed:{reason:?}"),
        other => panic!("unknown event in a script: {other:?}"),
    }
}

#[test]
fn each_script_passes() {
    let text = std::fs::read_to_string("../fixtures/frames/scripts.json").unwrap();
    let scripts: Vec<Script> = serde_json::from_str(&text).unwrap();
    assert!(scripts.len() >= 35);
    scripts.iter().for_each(Script::run);
}
