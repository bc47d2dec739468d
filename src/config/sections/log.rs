//! `[log]`: the log filter, unless the command line or the environment has one.

use super::SettingsReader;
use crate::telemetry;

/// Reads `[log]`.
pub(in crate::config) fn log(reader: &mut SettingsReader<'_>) -> Option<String> {
    let mut section = reader.section("log");
    let filter: Option<String> = reader.value(&mut section, "filter", None);
    reader.end(section);
    if let Some(Err(error)) = filter.as_deref().map(telemetry::check_filter) {
        reader.problem("log.filter", error.to_string());
    }
    filter
}
