//! What a command says while it works, on stderr: bars where a person is watching, else a line for each stage.

use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

/// How the process logs. Where nobody said so, as in a library, only warnings are told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log {
    /// A line for each stage, or a bar on a terminal.
    pub stages: bool,
    /// And one where it begins.
    pub begins: bool,
    /// Lines are JSON objects.
    pub json: bool,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Settles how the process logs, once.
pub fn log_as(log: Log) {
    LOG.get_or_init(|| log);
}

/// The stages of a command, one at a time.
pub struct Progress {
    bar: ProgressBar,
    log: Log,
    running: Mutex<Option<Stage>>,
}

struct Stage {
    name: &'static str,
    steps: usize,
    unit: &'static str,
    begun: Instant,
}

impl Progress {
    pub fn new() -> Self {
        let log = LOG.get().copied().unwrap_or_default();
        let watched = log.stages && !log.json && std::io::stderr().is_terminal();
        let bar = if watched { ProgressBar::new(0) } else { ProgressBar::hidden() };
        Progress { bar, log: Log { stages: log.stages && !watched, ..log }, running: Mutex::new(None) }
    }

    /// Starts a stage of `steps` so many units; 0: it is not known how many.
    pub fn stage(&self, name: &'static str, steps: usize, unit: &'static str) {
        self.end_stage();
        if self.log.begins {
            self.say(|| format!("{name} …"), || json!({ "begins": name }));
        }
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Stage { name, steps, unit, begun: Instant::now() });
        let template =
            if steps == 0 { "{msg:<22} {elapsed}" } else { "{msg:<22} {bar:30} {human_pos}/{human_len} {eta}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
        self.bar.set_length(steps as u64);
        self.bar.set_message(name);
        self.bar.tick();
    }

    pub fn advance(&self, steps: usize) {
        self.bar.inc(steps as u64);
    }

    /// A line that stays, on stderr.
    pub fn warn(&self, message: &str) {
        self.say(|| format!("warning: {message}"), || json!({ "warning": message }));
    }

    /// All stages are done. Dropped without it, the last one has failed.
    pub fn finish(&self) {
        self.end_stage();
        self.bar.finish_and_clear();
    }

    fn end_stage(&self) {
        let ended = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Stage { name, steps, unit, begun }) = ended.filter(|_| self.log.stages) else { return };
        let seconds = begun.elapsed().as_secs_f64();
        let done = if steps == 0 { String::new() } else { format!("{steps} {unit}, ") };
        self.say(
            || format!("{name}: {done}{seconds:.2} s"),
            || {
                let mut line = json!({ "stage": name, "seconds": (seconds * 1e3).round() / 1e3 });
                if steps > 0 {
                    line[unit.replace(' ', "_")] = steps.into();
                }
                line
            },
        );
    }

    fn say(&self, text: impl Fn() -> String, object: impl Fn() -> serde_json::Value) {
        let line = if self.log.json { object().to_string() } else { text() };
        self.bar.suspend(|| eprintln!("{line}"));
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
