//! No sequence of frames, ends and timers makes a tunnel panic or exceed its bounds.
//!
//! The input is a list of operations of four bytes each: kind, two bytes of length or time, a flag.

use std::time::{Duration, Instant};

use bytes::Bytes;
use eice_proto::tunnel::{Config, Event, Frame, MAX_CONTROL_PAYLOAD, Opcode, Role, Tunnel};

/// More operations find nothing new and only slow a run down.
const MAX_OPERATIONS: usize = 512;

pub fn run(data: &[u8]) {
    let Some((&first, operations)) = data.split_first() else { return };
    let mut config = Config::default();
    config.max_duration = (first & 2 != 0).then_some(Duration::from_secs(60));
    config.duration_warning = (first & 4 != 0).then_some(Duration::from_secs(10));
    config.max_queued = 100_000;
    let role = if first & 1 == 0 { Role::Client } else { Role::Server };
    let mut now = Instant::now();
    let mut tunnel = Tunnel::new(role, config, now);
    let mut state = Bounds::default();

    for operation in operations.chunks_exact(4).take(MAX_OPERATIONS) {
        let &[what, high, low, flag] = operation else { continue };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let payload = || Bytes::from(vec![flag; len]);
        match what % 12 {
            opcode @ 0..=5 => {
                let opcode = [
                    Opcode::Continuation,
                    Opcode::Text,
                    Opcode::Binary,
                    Opcode::Close,
                    Opcode::Ping,
                    Opcode::Pong,
                ][usize::from(opcode)];
                if opcode == Opcode::Binary || opcode == Opcode::Continuation {
                    state.received += len;
                }
                tunnel.handle_frame(Frame { fin: flag & 1 == 0, opcode, payload: payload() }, now);
            }
            6 => tunnel.handle_eof(now),
            7 => {
                now += Duration::from_millis(len as u64);
                tunnel.handle_timeout(now);
            }
            8 | 9 => {
                let room = tunnel.capacity();
                let mut bytes = payload();
                if let Ok(taken) = tunnel.send(&mut bytes) {
                    assert!(taken <= room && taken + bytes.len() == len);
                    state.sent += taken;
                }
            }
            10 => tunnel.close(now),
            _ => tunnel.close_with(Frame::close(1011, "over"), now),
        }
        state.drain(&mut tunnel, flag & 2 == 0);
    }
    tunnel.handle_eof(now);
    state.drain(&mut tunnel, true);
    assert!(tunnel.is_closed() && state.is_over);
    assert_eq!(tunnel.poll_timeout(), None);
}

#[derive(Default)]
struct Bounds {
    sent: usize,
    transmitted: usize,
    received: usize,
    delivered: usize,
    is_over: bool,
}

impl Bounds {
    fn drain(&mut self, tunnel: &mut Tunnel, takes_frames: bool) {
        while let Some(event) = tunnel.poll_event() {
            assert!(!self.is_over, "no event follows the end");
            match event {
                Event::Data(bytes) => {
                    assert!(!bytes.is_empty());
                    self.delivered += bytes.len();
                }
                Event::Closed(reason) => {
                    assert_eq!(Some(&reason), tunnel.close_reason());
                    assert!(!reason.to_string().contains(char::is_control));
                    self.is_over = true;
                }
                _ => {}
            }
        }
        assert_eq!(self.is_over, tunnel.is_closed());
        let mut closes = 0;
        while takes_frames && let Some(frame) = tunnel.poll_transmit() {
            assert!(frame.fin && closes == 0, "nothing follows a CLOSE");
            match frame.opcode {
                Opcode::Binary => {
                    assert!((1..=65_000).contains(&frame.payload.len()));
                    self.transmitted += frame.payload.len();
                }
                Opcode::Close => closes += 1,
                opcode => assert!(opcode.is_control() && frame.payload.len() <= MAX_CONTROL_PAYLOAD),
            }
        }
        // Handing out our own CLOSE is the end, which is reported by the next poll.
        while let Some(event) = tunnel.poll_event() {
            self.is_over = matches!(event, Event::Closed(_));
        }
        assert!(self.transmitted <= self.sent && self.delivered <= self.received);
        assert!(tunnel.capacity() <= 100_000);
        assert!(!tunnel.is_closed() || tunnel.capacity() == 0);
    }
}
