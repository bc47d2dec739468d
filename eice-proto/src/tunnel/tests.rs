use super::due::DURATION_GRACE;
use super::*;

fn open(role: Role, config: Config) -> (Tunnel, Instant) {
    let now = Instant::now();
    (Tunnel::new(role, config, now), now)
}

fn client() -> (Tunnel, Instant) {
    open(Role::Client, Config::default())
}

fn binary(payload: &'static [u8]) -> Frame {
    Frame::new(Opcode::Binary, payload)
}

fn piece(fin: bool, opcode: Opcode, payload: &'static [u8]) -> Frame {
    Frame { fin, opcode, payload: Bytes::from_static(payload) }
}

fn events(tunnel: &mut Tunnel) -> Vec<Event> {
    std::iter::from_fn(|| tunnel.poll_event()).collect()
}

fn frames(tunnel: &mut Tunnel) -> Vec<Frame> {
    std::iter::from_fn(|| tunnel.poll_transmit()).collect()
}

/// Returns why the tunnel closed after `frame`, which must be its first event.
fn closed_by(frame: Frame) -> CloseReason {
    let (mut tunnel, now) = client();
    tunnel.handle_frame(frame, now);
    match events(&mut tunnel).as_slice() {
        [Event::Closed(reason)] => reason.clone(),
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn data_is_sent_in_chunks_of_65_000_bytes() {
    let (mut tunnel, _) = client();
    let mut data = Bytes::from(vec![7; 150_000]);
    assert_eq!(tunnel.send(&mut data), Ok(150_000));
    let sizes: Vec<_> = frames(&mut tunnel).iter().map(|f| (f.fin, f.opcode, f.payload.len())).collect();
    let chunk = |len| (true, Opcode::Binary, len);
    assert_eq!(sizes, [chunk(65_000), chunk(65_000), chunk(20_000)]);
}

#[test]
fn send_queue_is_bounded() {
    let (mut tunnel, _) = open(Role::Client, Config { max_queued: 10, ..Config::default() });
    let mut data = Bytes::from_static(b"0123456789abcdef");
    assert_eq!(tunnel.send(&mut data), Ok(10));
    assert_eq!(tunnel.send(&mut data), Ok(0));
    assert_eq!(tunnel.poll_transmit(), Some(binary(b"0123456789")));
    assert_eq!(tunnel.send(&mut data), Ok(6));
    assert_eq!(tunnel.poll_transmit(), Some(binary(b"abcdef")));
}

#[test]
fn empty_frame_is_ignored() {
    let (mut tunnel, now) = client();
    tunnel.handle_frame(binary(b""), now);
    tunnel.handle_frame(binary(b"x"), now);
    assert_eq!(events(&mut tunnel), [Event::Data(Bytes::from_static(b"x"))]);
}

#[test]
fn text_frame_is_fatal() {
    assert_eq!(
        closed_by(Frame::new(Opcode::Text, &b"hello"[..])),
        CloseReason::Protocol(ProtocolError::Text)
    );
}

#[test]
fn fragments_are_joined() {
    let (mut tunnel, now) = client();
    tunnel.handle_frame(piece(false, Opcode::Binary, b"AB"), now);
    tunnel.handle_frame(Frame::new(Opcode::Ping, &b"p"[..]), now);
    tunnel.handle_frame(piece(true, Opcode::Continuation, b"CD"), now);
    tunnel.handle_frame(binary(b"E"), now);
    let data = |bytes| Event::Data(Bytes::from_static(bytes));
    assert_eq!(events(&mut tunnel), [data(b"AB"), data(b"CD"), data(b"E")]);
    assert_eq!(frames(&mut tunnel), [Frame::new(Opcode::Pong, &b"p"[..])]);
}

#[test]
fn invalid_frames_are_rejected() {
    let stray = closed_by(piece(true, Opcode::Continuation, b"x"));
    assert_eq!(stray, CloseReason::Protocol(ProtocolError::StrayContinuation));
    let control = closed_by(piece(false, Opcode::Ping, b"x"));
    assert_eq!(control, CloseReason::Protocol(ProtocolError::FragmentedControl));
    let long = closed_by(Frame::new(Opcode::Ping, vec![0; 126]));
    assert_eq!(long, CloseReason::Protocol(ProtocolError::LongControl));

    let (mut tunnel, now) = client();
    tunnel.handle_frame(piece(false, Opcode::Binary, b"A"), now);
    tunnel.handle_frame(binary(b"B"), now);
    assert_eq!(tunnel.close_reason(), Some(&CloseReason::Protocol(ProtocolError::InterruptedMessage)));
}

#[test]
fn close_frame_gives_the_reason() {
    assert_eq!(closed_by(Frame::new(Opcode::Close, Bytes::new())), CloseReason::Clean);
    assert_eq!(closed_by(Frame::close(1000, "bye")), CloseReason::Clean);
    let refused = closed_by(Frame::close(1011, "Unable to connect to target"));
    assert!(!refused.is_clean());
    assert_eq!(refused.to_string(), "closed by the peer: Unable to connect to target (code 1011)");
    assert_eq!(
        closed_by(Frame::new(Opcode::Close, &b"\x03\xf3\xff\xfe"[..])),
        CloseReason::Peer { code: 1011, reason: "\u{fffd}\u{fffd}".into() }
    );
    assert_eq!(
        closed_by(Frame::new(Opcode::Close, &b"\x03"[..])),
        CloseReason::Protocol(ProtocolError::ClosePayload)
    );
    assert!(!closed_by(Frame::close(1011, "\u{1b}[2J")).to_string().contains('\u{1b}'));
}

#[test]
fn fin_without_close_is_an_error() {
    let (mut tunnel, now) = client();
    tunnel.handle_eof(now);
    assert_eq!(events(&mut tunnel), [Event::Closed(CloseReason::Eof)]);
    assert_eq!(tunnel.send(&mut Bytes::from_static(b"x")), Err(Closed));
}

#[test]
fn ping_flood_queues_one_pong() {
    let (mut tunnel, now) = client();
    for i in 0..1000_u32 {
        tunnel.handle_frame(Frame::new(Opcode::Ping, i.to_be_bytes().to_vec()), now);
    }
    assert_eq!(frames(&mut tunnel), [Frame::new(Opcode::Pong, 999_u32.to_be_bytes().to_vec())]);
}

#[test]
fn silent_peer_is_pinged_then_given_up() {
    let (mut tunnel, start) = client();
    let due = tunnel.poll_timeout().unwrap();
    assert_eq!(due, start + Duration::from_secs(25));
    tunnel.handle_timeout(due);
    let ping = tunnel.poll_transmit().unwrap();
    assert_eq!(ping.opcode, Opcode::Ping);

    // Anything received counts and restarts the timer.
    let heard = due + Duration::from_secs(1);
    tunnel.handle_frame(Frame::new(Opcode::Pong, ping.payload), heard);
    assert_eq!(tunnel.poll_timeout(), Some(heard + Duration::from_secs(25)));

    let second = heard + Duration::from_secs(25);
    tunnel.handle_timeout(second);
    tunnel.handle_timeout(second + Duration::from_secs(20));
    assert_eq!(tunnel.close_reason(), Some(&CloseReason::PeerSilent { silence: Duration::from_secs(45) }));
    assert_eq!(tunnel.poll_timeout(), None);
}

#[test]
fn end_at_max_duration_is_reported() {
    let limit = Duration::from_secs(10);
    let config = Config { max_duration: Some(limit), keepalive_interval: None, ..Config::default() };
    let forms: [fn(&mut Tunnel, Instant); 4] = [
        |t, now| t.handle_frame(Frame::new(Opcode::Close, Bytes::new()), now),
        |t, now| t.handle_frame(Frame::close(1001, "max duration"), now),
        |t, now| t.handle_eof(now),
        |t, now| t.handle_timeout(now + DURATION_GRACE),
    ];
    for form in forms {
        let (mut tunnel, start) = open(Role::Client, config.clone());
        form(&mut tunnel, start + limit);
        assert_eq!(tunnel.close_reason(), Some(&CloseReason::DurationReached { limit }));
        let (mut early, start) = open(Role::Client, config.clone());
        form(&mut early, start);
        assert_ne!(early.close_reason(), Some(&CloseReason::DurationReached { limit }));
    }
}

#[test]
fn server_reports_its_duration_once() {
    let limit = Duration::from_secs(1);
    let config = Config { max_duration: Some(limit), keepalive_interval: None, ..Config::default() };
    let (mut server, start) = open(Role::Server, config);
    assert_eq!(server.poll_timeout(), Some(start + limit));
    server.handle_timeout(start + limit);
    assert_eq!(events(&mut server), [Event::DurationReached]);
    assert_eq!(server.poll_timeout(), None);
    server.close_with(Frame::close(1001, "over"), start + limit);
    assert_eq!(frames(&mut server), [Frame::close(1001, "over")]);
    assert_eq!(events(&mut server), [Event::Closed(CloseReason::Local)]);
}

#[test]
fn close_sends_queued_bytes_first() {
    let (mut tunnel, now) = client();
    tunnel.send(&mut Bytes::from_static(b"last")).unwrap();
    tunnel.close(now);
    tunnel.handle_frame(binary(b"still coming"), now);
    assert_eq!(frames(&mut tunnel), [binary(b"last"), Frame::new(Opcode::Close, Bytes::new())]);
    let said = events(&mut tunnel);
    assert_eq!(said.last(), Some(&Event::Closed(CloseReason::Local)));
    assert_eq!(said.len(), 2);

    let (mut stuck, now) = client();
    stuck.send(&mut Bytes::from_static(b"never flushed")).unwrap();
    stuck.close(now);
    assert_eq!(stuck.poll_timeout(), Some(now + CLOSE_TIMEOUT));
    stuck.handle_timeout(now + CLOSE_TIMEOUT);
    assert_eq!(stuck.close_reason(), Some(&CloseReason::Local));
}

#[test]
fn peer_close_is_answered_once() {
    let (mut tunnel, now) = client();
    tunnel.handle_frame(Frame::close(1000, ""), now);
    assert_eq!(frames(&mut tunnel), [Frame::new(Opcode::Close, Bytes::new())]);
    tunnel.handle_frame(binary(b"after the end"), now);
    assert_eq!(events(&mut tunnel), [Event::Closed(CloseReason::Clean)]);
    assert!(frames(&mut tunnel).is_empty());
}

#[test]
fn long_close_reason_is_truncated() {
    let frame = Frame::close(1011, &"\u{e9}".repeat(100));
    assert!(frame.payload.len() <= MAX_CONTROL_PAYLOAD);
    assert!(std::str::from_utf8(&frame.payload[2..]).is_ok());
}

#[test]
fn peer_without_pongs_keeps_its_tunnel() {
    let (mut tunnel, start) = client();
    for minute in 0..60 {
        tunnel.handle_timeout(start + Duration::from_secs(60 * minute));
    }
    assert!(!tunnel.is_closed());
    assert_eq!(frames(&mut tunnel).len(), 1, "unsent pings do not accumulate");
}

#[test]
fn busy_peer_is_pinged_until_a_pong() {
    let (mut tunnel, start) = client();
    let interval = Duration::from_secs(25);
    tunnel.handle_frame(binary(b"x"), start + interval / 2);
    assert_eq!(tunnel.poll_timeout(), Some(start + interval));
    tunnel.handle_timeout(start + interval);
    let ping = tunnel.poll_transmit().unwrap();
    let heard = start + interval + Duration::from_secs(1);
    tunnel.handle_frame(Frame::new(Opcode::Pong, ping.payload), heard);
    tunnel.handle_frame(binary(b"y"), heard + interval / 2);
    assert_eq!(tunnel.poll_timeout(), Some(heard + interval / 2 + interval), "traffic is enough from now on");
}

#[test]
fn unsolicited_pong_proves_nothing() {
    let (mut tunnel, start) = client();
    tunnel.handle_frame(Frame::new(Opcode::Pong, &b"hello"[..]), start);
    tunnel.handle_timeout(start + Duration::from_secs(25));
    tunnel.handle_timeout(start + Duration::from_secs(100));
    assert!(!tunnel.is_closed());
}

#[test]
fn duration_warning_is_sent_once() {
    let config = Config {
        max_duration: Some(Duration::from_secs(100)),
        duration_warning: Some(Duration::from_secs(30)),
        keepalive_interval: None,
        ..Config::default()
    };
    let (mut tunnel, start) = open(Role::Client, config);
    let due = tunnel.poll_timeout().unwrap();
    assert_eq!(due, start + Duration::from_secs(70));
    tunnel.handle_timeout(due);
    tunnel.handle_timeout(due);
    assert_eq!(events(&mut tunnel), [Event::DurationNear { remaining: Duration::from_secs(30) }]);
    assert_eq!(tunnel.poll_timeout(), Some(start + Duration::from_secs(100) + DURATION_GRACE));
}

#[test]
fn early_end_is_not_duration_reached() {
    let config = Config { max_duration: Some(Duration::from_secs(1)), ..Config::default() };
    let (mut tunnel, start) = open(Role::Client, config.clone());
    tunnel.handle_frame(Frame::close(1000, ""), start + Duration::from_millis(100));
    assert_eq!(tunnel.close_reason(), Some(&CloseReason::Clean));
    let (mut tunnel, start) = open(Role::Client, config);
    tunnel.handle_frame(Frame::close(1000, ""), start + Duration::from_millis(900));
    assert!(matches!(tunnel.close_reason(), Some(CloseReason::DurationReached { .. })));
}

#[test]
fn single_byte_writes_are_bounded() {
    let (mut tunnel, _) = client();
    let mut taken = 0;
    while tunnel.send(&mut Bytes::from_static(b"x")).unwrap() == 1 {
        taken += 1;
    }
    assert_eq!(taken, MAX_QUEUED_PIECES);
    assert!(!tunnel.is_flushed());
    assert_eq!(frames(&mut tunnel).len(), MAX_QUEUED_PIECES);
    assert!(tunnel.is_flushed() && tunnel.capacity() > 0);
}

#[test]
fn protocol_error_is_answered_with_1002() {
    let (mut tunnel, now) = client();
    tunnel.handle_frame(Frame::new(Opcode::Text, &b"x"[..]), now);
    assert_eq!(frames(&mut tunnel), [Frame::close(PROTOCOL_ERROR, "")]);
}

#[test]
fn extreme_settings_are_clamped() {
    let long = Some(Duration::MAX);
    let config = Config {
        max_chunk: 0,
        keepalive_interval: long,
        keepalive_timeout: Duration::MAX,
        max_duration: long,
        duration_warning: long,
        ..Config::default()
    };
    for role in [Role::Client, Role::Server] {
        let (mut tunnel, now) = open(role, config.clone());
        tunnel.send(&mut Bytes::from_static(b"ab")).unwrap();
        assert_eq!(frames(&mut tunnel).len(), 2);
        tunnel.handle_timeout(now);
        tunnel.handle_eof(now);
    }
}
