//! Room in memory that tasks on several cores share.

use std::sync::{Condvar, Mutex};

pub struct Room {
    bytes: u64,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// Gives back what was taken.
pub struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    pub fn new(bytes: u64) -> Self {
        Room { bytes, taken: Mutex::new(0), freed: Condvar::new() }
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
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            *self.room.taken.lock().unwrap_or_else(|p| p.into_inner()) -= self.bytes;
            self.room.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_more_taken_than_there_is() {
        let room = Room::new(10);
        let most = Mutex::new(0);
        std::thread::scope(|scope| {
            for bytes in [3, 10, 99, 0, 4, 4, 7, 1] {
                let (room, most) = (&room, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _taken = room.take(bytes);
                        let now = *room.taken.lock().unwrap();
                        let mut most = most.lock().unwrap();
                        *most = now.max(*most);
                    }
                });
            }
        });
        assert_eq!(*most.lock().unwrap(), 10);
        assert_eq!(*room.taken.lock().unwrap(), 0);
    }
}
