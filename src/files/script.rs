//! The scripts for the remote shell: POSIX sh, as in dash, bash and busybox.
//!
//! The first argument of each is an unpredictable word (the nonce), which begins every answer line, so that no
//! file name and no error message is taken for an answer. Where stdout carries only answers, stderr is
//! redirected to it: an error message precedes the answer that it explains.
//!
//! They need `cat`, `chmod`, `dd`, `find`, `head`, `mkdir`, `mv`, `rm`, `sha256sum`, `stat`, `tail`, `tee`,
//! `touch`, `tr` and `wc`, and each script only those that it uses.

use super::path::RemotePath;
use crate::docker::quote;

/// A script with its arguments.
pub(super) struct Script {
    body: &'static str,
    words: String,
}

impl Script {
    /// Returns the script `body` without arguments.
    pub(super) fn new(body: &'static str) -> Self {
        Self { body, words: String::new() }
    }

    /// Adds the argument `word`, which contains no NUL.
    pub(super) fn word(mut self, word: &str) -> Self {
        self.words.push(' ');
        self.words.push_str(&quote(word).unwrap_or_default());
        self
    }

    /// Adds the argument `path`.
    pub(super) fn path(mut self, path: &RemotePath) -> Self {
        self.words.push(' ');
        self.words.push_str(&path.word());
        self
    }

    /// Returns the length of its arguments, in bytes.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns its text with answers marked by `nonce`.
    pub(super) fn text(&self, nonce: &str) -> String {
        format!("set -- {nonce}{}; {}", self.words, self.body)
    }
}

/// The common beginning of the scripts that write. A writer whose reader is gone still cleans up.
macro_rules! writing {
    () => {
        "LC_ALL=C; export LC_ALL; exec 2>&1; trap '' HUP PIPE; \
n=$1 last=; shift; u=$(umask); umask 077; \
command -v sha256sum >/dev/null || { echo \"$n tool sha256sum\"; exit 1; }; \
sum() { h=$(sha256sum); echo \"${h%% *}\"; }; \
size() { c=$(wc -c <\"$1\") && echo $((c)); }; \
folder() { [ -d \"$1\" ] || (umask 022; mkdir -p \"$1\"); }; \
taken() { if [ -d \"$t\" ]; then why=folder; elif [ -e \"$t\" ] && [ ! -f \"$t\" ]; then why=special; else return 1; fi; }; \
create() { (set -C; true >\"$p\"); }; \
place() { \
w=$m; \
if [ -n \"$k\" ]; then \
if [ -e \"$t\" ]; then w=$(stat -L -c %a \"$t\") || return 1; \
else [ \"$m\" = \"$last\" ] || { last=$m; new=$(printf %o $((0$m & ~0$u))); }; w=$new; fi; fi; \
chmod \"$w\" \"$p\" && { [ -z \"$y\" ] || touch -d \"@$y\" \"$p\"; } && mv -f \"$p\" \"$t\"; }; "
    };
}

/// Writes one large file. Arguments: target, its folder, the partial file, a unique name, mode, `keep` or
/// nothing, modification time or nothing.
///
/// It claims the partial file by renaming it to the unique name, and answers `at SIZE SUM`. It reads a line
/// `FROM SIZE SUM`, where FROM is that size or 0, then the file from FROM on. Only a file with the right size
/// and sum is renamed to the target; one that is too short is kept as the partial file.
pub(super) const PUT: &str = concat!(
    writing!(),
    "t=$1 b=$2 d=$3 p=$4 m=$5 k=$6 y=$7; \
back() { if [ \"$o\" -gt 0 ] && [ ! -d \"$d\" ]; then mv -f \"$p\" \"$d\"; else rm -f \"$p\"; fi; }; \
if taken; then echo \"$n $why\"; exit 1; fi; \
folder \"$b\" || { echo \"$n no\"; exit 1; }; \
o=0 h=-; \
if [ -f \"$d\" ] && [ -O \"$d\" ] && [ ! -L \"$d\" ] && mv -f \"$d\" \"$p\" 2>/dev/null; then \
if [ -f \"$p\" ] && [ -O \"$p\" ] && [ ! -L \"$p\" ]; then o=$(size \"$p\"); h=$(sum <\"$p\"); \
else mv -f \"$p\" \"$d\"; create || { echo \"$n no\"; exit 1; }; fi; \
else create || { echo \"$n no\"; exit 1; }; fi; \
echo \"$n at $o $h\"; \
read -r from z s || from=; \
case $from in \"$o\") ;; 0) true >\"$p\" ;; *) back; exit 1 ;; esac; \
r=$({ [ \"$from\" -eq 0 ] || cat \"$p\"; tee -a \"$p\" || rm -f \"$p\"; } | sum); \
if [ ! -f \"$p\" ]; then echo \"$n no\"; exit 1; fi; \
o=$(size \"$p\"); \
if [ \"$o\" -lt \"$z\" ]; then back; echo \"$n short\"; \
elif [ \"$o\" -ne \"$z\" ] || [ \"$r\" != \"$s\" ]; then rm -f \"$p\"; echo \"$n differs\"; \
elif place; then echo \"$n ok\"; \
else rm -f \"$p\"; echo \"$n no\"; fi"
);

/// Writes one file of unknown size. Arguments as for [`PUT`]. The file is followed by 101 bytes: its sum, a
/// space, and the nonce, without which the file is incomplete.
pub(super) const PUT_STREAM: &str = concat!(
    writing!(),
    "t=$1 b=$2 p=$4 m=$5 k=$6 y=$7; \
if taken; then echo \"$n $why\"; exit 1; fi; \
folder \"$b\" && create || { echo \"$n no\"; exit 1; }; \
echo \"$n at 0 -\"; \
cat >>\"$p\" || { rm -f \"$p\"; echo \"$n no\"; exit 1; }; \
o=$(size \"$p\"); e=$(tail -c 101 \"$p\" | tr -d '\\000'); \
if [ \"$o\" -lt 101 ] || [ \"${e#* }\" != \"$n\" ]; then rm -f \"$p\"; echo \"$n short\"; exit 1; fi; \
dd if=/dev/null of=\"$p\" bs=1 seek=$((o - 101)) count=0 status=none && r=$(sum <\"$p\") || r=; \
if [ \"$r\" != \"${e%% *}\" ]; then rm -f \"$p\"; echo \"$n differs\"; \
elif place; then echo \"$n ok\"; \
else rm -f \"$p\"; echo \"$n no\"; fi"
);

/// Writes small files, one after the other. Arguments for each: its target, folder, a unique name, size, sum,
/// mode, `keep` or nothing, modification time or nothing. Their contents follow each other on stdin. Answers
/// for each in order.
///
/// A file's bytes are read from stdin even if it cannot be written, so that the next file gets its own. The
/// cost is starting programs: four per file.
pub(super) const PUT_MANY: &str = concat!(
    writing!(),
    "take() { [ \"$z\" -eq 0 ] || dd bs=\"$z\" count=1 iflag=fullblock status=none; }; \
is_right() { set -- $(wc -c <\"$p\"; sha256sum <\"$p\"); [ \"$1\" = \"$z\" ] && [ \"$2\" = \"$s\" ]; }; \
set -C; \
while [ $# -gt 0 ]; do \
t=$1 b=$2 p=$3 z=$4 s=$5 m=$6 k=$7 y=$8; shift 8; \
if taken; then take >/dev/null; echo \"$n $why\"; \
elif folder \"$b\" && { take >\"$p\" || [ -f \"$p\" ]; }; then \
if is_right; then if place; then echo \"$n ok\"; else rm -f \"$p\"; echo \"$n no\"; fi; \
else rm -f \"$p\"; echo \"$n differs\"; fi; \
else take >/dev/null; echo \"$n no\"; fi; \
done"
);

/// Creates folders and their parents. Answers for each in order.
pub(super) const FOLDERS: &str = "LC_ALL=C; export LC_ALL; exec 2>&1; n=$1; shift; \
for f do if [ -d \"$f\" ] || mkdir -p \"$f\"; then echo \"$n ok\"; else echo \"$n no\"; fi; done";

/// Sets the mode and modification time of folders. Arguments for each: its path, mode, time. Answers for each.
pub(super) const ATTRIBUTES: &str = "LC_ALL=C; export LC_ALL; exec 2>&1; n=$1; shift; \
while [ $# -gt 0 ]; do \
if chmod \"$2\" \"$1\" && touch -d \"@$3\" \"$1\"; then echo \"$n ok\"; else echo \"$n no\"; fi; shift 3; done";

/// Lists entries. Arguments: `all` or nothing, then paths. Answers for each `root`, its entries, and `done` or
/// `no`; an entry is `e MODE SIZE TIME NAME` with a hexadecimal mode and the name verbatim, newlines included.
/// A link that is an argument is followed, one below it is not.
pub(super) const LIST: &str = "LC_ALL=C; export LC_ALL; n=$1 a=$2; shift 2; \
for f do \
echo \"$n root\"; \
if stat -L -c \"$n e %f %s %Y %n\" \"$f\"; then \
if [ -n \"$a\" ] && [ -d \"$f\" ]; then find \"$f/.\" -exec stat -c \"$n e %f %s %Y %n\" {} + && echo \"$n done\" || echo \"$n no\"; \
else echo \"$n done\"; fi; \
else echo \"$n no\"; fi; done";

/// Reads one file. Arguments: its path, the size of the part that the caller has, the sum of that part. Answers
/// `at FROM SIZE MODE TIME` on stdout, then the file from FROM on; concurrently, on stderr, `sum SUM` of the
/// whole file.
pub(super) const GET: &str = "LC_ALL=C; export LC_ALL; n=$1 f=$2 o=$3; \
command -v sha256sum >/dev/null || { echo \"$n tool sha256sum\"; exit 1; }; \
sum() { h=$(sha256sum); echo \"${h%% *}\"; }; \
if [ -d \"$f\" ]; then echo \"$n folder\"; exit 1; fi; \
if [ -e \"$f\" ] && [ ! -f \"$f\" ]; then echo \"$n special\"; exit 1; fi; \
{ a=$(stat -L -c '%s %a %Y' \"$f\") && true <\"$f\"; } 2>&1 || { echo \"$n no\"; exit 1; }; \
z=${a%% *}; \
if [ \"$o\" -gt 0 ]; then if [ \"$o\" -gt \"$z\" ] || [ \"$(head -c \"$o\" <\"$f\" | sum)\" != \"$4\" ]; then o=0; fi; fi; \
{ r=$(head -c \"$z\" <\"$f\" | sum); echo \"$n sum $r\" >&2; } & \
echo \"$n at $o $a\"; \
if [ \"$o\" -eq 0 ]; then cat <\"$f\"; else tail -c +$((o + 1)) <\"$f\"; fi; \
wait";

/// Reads small files. Arguments: their paths. Answers for each `file SIZE MODE TIME`, the file, a newline and
/// `end SUM`; or `no` and the like.
pub(super) const GET_MANY: &str = "LC_ALL=C; export LC_ALL; exec 2>&1; n=$1; shift; \
command -v sha256sum >/dev/null || { echo \"$n tool sha256sum\"; exit 1; }; \
for f do \
if [ -d \"$f\" ]; then echo \"$n folder\"; \
elif [ -e \"$f\" ] && [ ! -f \"$f\" ]; then echo \"$n special\"; \
elif a=$(stat -L -c '%s %a %Y' \"$f\") && true <\"$f\"; then \
echo \"$n file $a\"; cat <\"$f\"; h=$(sha256sum <\"$f\"); echo; echo \"$n end ${h%% *}\"; \
else echo \"$n no\"; fi; done";
