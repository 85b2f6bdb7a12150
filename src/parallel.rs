//! Work that is split into tasks for all cores.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::Result;

/// The tasks' results, in their order. Tasks are begun from the highest `cost` (in any unit) to the lowest, in their order
/// where it is the same, so that no core is left with a long one at the end.
///
/// The first of several failures, in the tasks' order, is told, whatever the threads do; tasks behind it may be left out.
///
/// # Errors
/// The first failure, in the order of tasks.
pub fn in_parallel<T: Sync, R: Send>(
    tasks: &[T],
    cost: impl Fn(&T) -> u64,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let mut sequence: Vec<usize> = (0..tasks.len()).collect();
    sequence.sort_by_key(|task| Reverse(cost(&tasks[*task])));
    let failed = AtomicUsize::new(usize::MAX);
    // A bridge hands out one task after the other; a parallel iterator would give each core a range of them.
    let outcomes = sequence.into_iter().par_bridge().filter_map(|task| {
        if failed.load(Ordering::Relaxed) < task {
            return None;
        }
        let outcome = work(&tasks[task]);
        if outcome.is_err() {
            failed.fetch_min(task, Ordering::Relaxed);
        }
        Some((task, outcome))
    });
    let mut outcomes: Vec<(usize, Result<R>)> = outcomes.collect();
    outcomes.sort_unstable_by_key(|(task, _)| *task);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Hands the tasks' results to `take`, in their order, while the next ones are worked on: a few for each core at a time.
///
/// # Errors
/// The first failure, in the order of tasks.
pub fn in_turn<T: Sync, R: Send>(
    tasks: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
    mut take: impl FnMut(R) -> Result<()> + Send,
) -> Result<()> {
    let mut done: Vec<R> = Vec::new();
    for few in tasks.chunks(rayon::current_num_threads()).chain(std::iter::once(&[][..])) {
        let (taken, next) = rayon::join(
            || done.drain(..).try_for_each(&mut take),
            || few.par_iter().map(&work).collect::<Result<Vec<R>>>(),
        );
        taken?;
        done = next?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::error::{Error, Place};

    #[test]
    fn results_come_in_the_order_of_tasks_and_the_costly_ones_begin_first() {
        let begun = Mutex::new(Vec::new());
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let results = one.install(|| {
            in_parallel(
                &[3u64, 9, 1, 9],
                |t| *t,
                |t| {
                    begun.lock().unwrap().push(*t);
                    Ok(t * 10)
                },
            )
        });
        assert_eq!(results.unwrap(), [30, 90, 10, 90]);
        assert_eq!(*begun.lock().unwrap(), [9, 9, 3, 1]);
    }

    #[test]
    fn results_are_handed_on_in_order_up_to_the_first_failure() {
        let tasks: Vec<u64> = (0..50).collect();
        for failing in [7, 49, 50] {
            let fail = |t: u64| Err(Error::input(Place::default(), format!("task {t}"), "none"));
            let mut seen = Vec::new();
            let work = |t: &u64| if *t < failing { Ok(t * 2) } else { fail(*t) };
            let outcome = in_turn(&tasks, work, |result| {
                seen.push(result);
                Ok(())
            });
            assert_eq!(outcome.is_err(), failing < 50);
            assert!(seen.iter().copied().eq((0..seen.len() as u64).map(|t| t * 2)));
            assert!(failing < 50 || seen.len() == 50);
            assert!(outcome.err().is_none_or(|e| e.to_string().contains(&format!("task {failing}"))));
        }
    }

    #[test]
    fn the_first_failure_in_task_order_is_told() {
        let tasks: Vec<u64> = (0..200).collect();
        for _ in 0..50 {
            let outcome = in_parallel(
                &tasks,
                |t| *t,
                |t| match t {
                    17 | 60.. => Err(Error::input(Place::default(), format!("task {t}"), "none")),
                    _ => Ok(()),
                },
            );
            assert!(outcome.unwrap_err().to_string().contains("task 17"));
        }
    }
}
