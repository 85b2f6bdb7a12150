//! Progress on stderr, only where a person is watching.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// The stages of a command, one at a time.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows itself only on a terminal.
    pub fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        Progress { bar }
    }

    /// Starts a stage of `len` steps; 0: it is not known how many.
    pub fn stage(&self, name: &'static str, len: usize) {
        let template =
            if len == 0 { "{msg:<22} {elapsed}" } else { "{msg:<22} {bar:30} {human_pos}/{human_len} {eta}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
        self.bar.set_length(len as u64);
        self.bar.set_message(name);
        self.bar.tick();
    }

    pub fn advance(&self, steps: usize) {
        self.bar.inc(steps as u64);
    }

    /// A line that stays, on stderr.
    pub fn warn(&self, message: &str) {
        self.bar.suspend(|| eprintln!("warning: {message}"));
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
