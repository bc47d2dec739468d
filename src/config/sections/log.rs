//! `[log]`: what is logged, where neither the command line nor the environment says it.

use super::Reader;
use crate::telemetry;

/// `[log]`
pub(in crate::config) fn log(reader: &mut Reader<'_>) -> Option<String> {
    let mut section = reader.section("log");
    let filter: Option<String> = reader.value(&mut section, "filter", None);
    reader.end(section);
    if let Some(Err(error)) = filter.as_deref().map(telemetry::check_filter) {
        reader.problem("log.filter", error.to_string());
    }
    filter
}
