//! `[audit]`: the audit log.

use super::SettingsReader;
use crate::config::Audit;

/// Reads `[audit]`.
pub(in crate::config) fn audit(reader: &mut SettingsReader<'_>) -> Audit {
    let mut section = reader.section("audit");
    let file = reader.value(&mut section, "file", Some("EICE_AUDIT_FILE"));
    let is_required = reader.flag(&mut section, "required").unwrap_or_default();
    reader.end(section);
    if is_required && file.is_none() {
        reader.problem("audit.file", "with required = true it must name the file");
    }
    Audit { file, is_required }
}
