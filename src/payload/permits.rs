//! Memory that tasks on several cores share.

use std::sync::{Condvar, Mutex};

pub struct Permits {
    bytes: u64,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// Gives back what was taken.
pub struct Taken<'a> {
    permits: &'a Permits,
    bytes: u64,
}

impl Permits {
    pub fn new(bytes: u64) -> Self {
        Permits { bytes, taken: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until there is room for so many bytes; a task that needs more than there is gets all of it. A task must not take
    /// twice, nor wait for others while it has any.
    pub fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.bytes);
        if bytes > 0 {
            let mut taken = self.taken.lock().unwrap_or_else(|p| p.into_inner());
            while *taken + bytes > self.bytes {
                taken = self.freed.wait(taken).unwrap_or_else(|p| p.into_inner());
            }
            *taken += bytes;
        }
        Taken { permits: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            *self.permits.taken.lock().unwrap_or_else(|p| p.into_inner()) -= self.bytes;
            self.permits.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_more_taken_than_there_is() {
        let permits = Permits::new(10);
        let most = Mutex::new(0);
        std::thread::scope(|scope| {
            for bytes in [3, 10, 99, 0, 4, 4, 7, 1] {
                let (permits, most) = (&permits, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _taken = permits.take(bytes);
                        let now = *permits.taken.lock().unwrap();
                        let mut most = most.lock().unwrap();
                        *most = now.max(*most);
                    }
                });
            }
        });
        assert_eq!(*most.lock().unwrap(), 10);
        assert_eq!(*permits.taken.lock().unwrap(), 0);
    }
}
