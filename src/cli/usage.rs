//! What the process took, for those who run it every night.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use serde::Serialize;

use crate::store;

/// Ticks of a second in the kernel's files.
const TICKS: f64 = 100.0;

static START: OnceLock<Instant> = OnceLock::new();

/// The process begins.
pub fn begin() {
    START.get_or_init(Instant::now);
}

/// What the process took so far; `None` where the system does not tell.
#[derive(Debug, Serialize)]
pub struct Usage {
    pub seconds: f64,
    pub cpu_seconds: Option<f64>,
    pub peak_bytes: Option<u64>,
}

impl Usage {
    pub fn now() -> Self {
        let read = |name: &str| store::read_to_string(Path::new(name)).ok();
        Usage {
            seconds: START.get_or_init(Instant::now).elapsed().as_secs_f64(),
            cpu_seconds: read("/proc/self/stat").and_then(|stat| cpu_seconds(&stat)),
            peak_bytes: read("/proc/self/status").and_then(|status| peak_bytes(&status)),
        }
    }
}

/// Fields 14 and 15; the second is a name in parentheses, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn peak_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 3 0 0 0 250 50 0 0 20 0 1 0 9 8 7";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(peak_bytes("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS: 1 kB\n"), Some(2 << 20));
        assert_eq!((cpu_seconds("nothing"), peak_bytes("nothing")), (None, None));
    }
}
