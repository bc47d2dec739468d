//! `[audit]`: where the audit log is written.

use super::Reader;
use crate::config::Audit;

/// `[audit]`
pub(in crate::config) fn audit(reader: &mut Reader<'_>) -> Audit {
    let mut section = reader.section("audit");
    let file = reader.value(&mut section, "file", Some("EICE_AUDIT_FILE"));
    let is_required = reader.flag(&mut section, "required").unwrap_or_default();
    reader.end(section);
    if is_required && file.is_none() {
        reader.problem("audit.file", "with required = true it must name the file");
    }
    Audit { file, is_required }
}
