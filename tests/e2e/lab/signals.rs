//! Default signal actions for the programs that the tests start.

use std::sync::Once;

/// Makes programs that are started from now on react to Ctrl-C and hang-ups, even when the tests themselves were
/// started with these signals ignored, as by `make test &` in a script.
pub(crate) fn restore_default_signals() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // A runtime of its own, on a thread of its own: the caller may or may not be in one.
        let register = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async { eice::model::restore_default_signals() }).unwrap();
        };
        std::thread::spawn(register).join().expect("the signal handlers are registered");
    });
}
