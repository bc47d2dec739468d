//! `[limits]`: counts, sizes and times of sessions, sockets and requests.

use std::time::Duration;

use super::{MAX_SECONDS, Section, SettingsReader, count, seconds, set};
use crate::gateway::Config;

/// The largest message or queue, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// The largest count.
const MAX_COUNT: u64 = 1 << 20;

/// Reads `[limits]`.
pub(in crate::config) fn limits(reader: &mut SettingsReader<'_>, config: &mut Config) {
    let mut whole = reader.section("limits");
    let section = &mut whole;
    let session = &mut config.session;
    set(&mut session.idle_timeout, time_or_never(reader, section, "idle_timeout_secs"));
    set(&mut session.idle_warning, time_or_none(reader, section, "idle_warning_secs"));
    set(&mut session.output_is_activity, reader.flag(section, "output_is_activity"));
    set(&mut session.max_duration, time_or_never(reader, section, "max_duration_secs"));
    set(&mut session.max_duration_warning, time_or_none(reader, section, "max_duration_warning_secs"));
    count(reader, section, "max_sessions", MAX_COUNT, &mut session.max_sessions);
    count(reader, section, "max_sessions_per_workspace", MAX_COUNT, &mut session.max_per_workspace);
    count(reader, section, "max_sessions_per_user", MAX_COUNT, &mut session.max_per_user);
    seconds(reader, section, "connect_timeout_secs", &mut session.connect_timeout);
    seconds(reader, section, "close_timeout_secs", &mut session.close_timeout);
    count(reader, section, "input_queue_bytes", MAX_BYTES, &mut session.input_queue);
    count(reader, section, "output_queue_pieces", MAX_COUNT, &mut session.output_queue);
    count(reader, section, "max_piece_bytes", MAX_BYTES, &mut session.max_piece);

    count(reader, section, "max_message_bytes", MAX_BYTES, &mut config.max_message);
    let rate = reader.number(section, "max_control_per_sec", 1, MAX_COUNT);
    set(&mut config.max_control_rate, rate.and_then(|rate| u32::try_from(rate).ok()));
    seconds(reader, section, "attach_timeout_secs", &mut config.attach_timeout);
    seconds(reader, section, "ticket_ttl_secs", &mut config.ticket_ttl);

    count(reader, section, "max_connections", MAX_COUNT, &mut config.max_connections);
    seconds(reader, section, "header_read_timeout_secs", &mut config.header_read_timeout);
    seconds(reader, section, "write_stall_timeout_secs", &mut config.write_stall_timeout);
    seconds(reader, section, "request_timeout_secs", &mut config.request_timeout);
    count(reader, section, "max_body_bytes", MAX_BYTES, &mut config.max_body);
    seconds(reader, section, "directory_timeout_secs", &mut config.directory_timeout);
    count(reader, section, "max_files_bytes", MAX_BYTES, &mut config.max_files_body);
    count(reader, section, "max_file_requests", MAX_COUNT, &mut config.max_file_requests);
    let per_user = &mut config.max_file_requests_per_user;
    count(reader, section, "max_file_requests_per_user", MAX_COUNT, per_user);
    let per_workspace = &mut config.max_file_requests_per_workspace;
    count(reader, section, "max_file_requests_per_workspace", MAX_COUNT, per_workspace);
    seconds(reader, section, "files_timeout_secs", &mut config.files_timeout);
    count(reader, section, "max_diagnoses", MAX_COUNT, &mut config.max_diagnoses);
    count(reader, section, "max_diagnoses_per_user", MAX_COUNT, &mut config.max_diagnoses_per_user);
    seconds(reader, section, "diagnose_timeout_secs", &mut config.diagnose_timeout);
    let wrong = reader.number(section, "max_wrong_tokens", 1, MAX_COUNT);
    set(&mut config.max_wrong_tokens, wrong.and_then(|wrong| u32::try_from(wrong).ok()));
    seconds(reader, section, "wrong_token_window_secs", &mut config.wrong_token_window);
    count(reader, section, "max_cookies", MAX_COUNT, &mut config.max_cookies);
    reader.end(whole);
}

/// Reads a time in whole seconds; 0 disables the limit.
fn time_or_never(
    reader: &mut SettingsReader<'_>,
    section: &mut Section,
    key: &str,
) -> Option<Option<Duration>> {
    time_or_none(reader, section, key).map(|time| Some(time).filter(|time| !time.is_zero()))
}

/// Reads a time in whole seconds; 0 is allowed.
fn time_or_none(reader: &mut SettingsReader<'_>, section: &mut Section, key: &str) -> Option<Duration> {
    reader.seconds(section, key, 0, MAX_SECONDS)
}
