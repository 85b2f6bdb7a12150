//! Turns a panic of a decoder into an error about the file.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Place, Result};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that `guarded` turns into errors off stderr; all others are reported as ever.
pub fn silence_guarded_panics() {
    // What Polars deprecates is ours to follow, not a user's to read.
    polars::error::set_warning_function(|_, _| {});
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Polars decodes on threads of its own, and hands the panic on.
        let on_its_own = std::thread::current().name().is_some_and(|name| name.contains("polars"));
        if !GUARDED.get() && !on_its_own {
            report(info);
        }
    }));
}

/// Runs a decoder on a file that may be damaged in any way.
///
/// # Errors
/// What `decode` says, or that it panicked.
pub fn guarded<T>(place: &Place, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    unless_panic(decode).unwrap_or_else(|| Err(Error::damaged(place.clone(), "its bytes contradict one another")))
}

/// Runs, within [`guarded`], what is not the decoder's: a panic there is a fault of ours, and is reported as one.
pub fn unguarded<T>(ours: impl FnOnce() -> T) -> T {
    let before = GUARDED.replace(false);
    let outcome = ours();
    GUARDED.set(before);
    outcome
}

/// `None` if `read` panicked, without a word on stderr.
pub fn unless_panic<T>(read: impl FnOnce() -> T) -> Option<T> {
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    outcome.ok()
}
