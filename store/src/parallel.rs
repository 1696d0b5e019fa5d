//! Work on many files with all processors, in the order of the list as far as anybody can tell.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// More threads than this only wait for the disk.
const THREADS_MAX: usize = 8;

/// Runs `work`, which computes, on every number below `count`; the results are in order.
///
/// # Errors
/// That of the first number that has one, among those that were tried: after an error nothing new is
/// begun.
pub(crate) fn for_each<R: Send, E: Send>(
    count: usize,
    work: &(dyn Fn(usize) -> Result<R, E> + Sync),
) -> Result<Vec<R>, E> {
    on_threads(thread::available_parallelism().map_or(1, usize::from), count, work)
}

/// As [`for_each`], for work that waits for the disk more than it computes: more of it at a time than
/// there are processors.
///
/// # Errors
/// As [`for_each`].
pub(crate) fn for_each_waiting<R: Send, E: Send>(
    count: usize,
    work: &(dyn Fn(usize) -> Result<R, E> + Sync),
) -> Result<Vec<R>, E> {
    on_threads(THREADS_MAX, count, work)
}

/// As [`for_each`], for work that is so little that a thread has to have much of it.
///
/// # Errors
/// As [`for_each`].
pub(crate) fn for_each_little<R: Send, E: Send>(
    count: usize,
    work: &(dyn Fn(usize) -> Result<R, E> + Sync),
) -> Result<Vec<R>, E> {
    const MUCH: usize = 64;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    on_threads(processors.min(count / MUCH), count, work)
}

fn on_threads<R: Send, E: Send>(
    threads: usize,
    count: usize,
    work: &(dyn Fn(usize) -> Result<R, E> + Sync),
) -> Result<Vec<R>, E> {
    let threads = threads.min(THREADS_MAX).min(count);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Mutex<Vec<(usize, Result<R, E>)>> = Mutex::new(Vec::with_capacity(count));
    let worker = || {
        let mut own = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let result = work(number);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            own.push((number, result));
        }
        results.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_an_error_ends_it() {
        let squares = for_each(1000, &|number| Ok::<_, ()>(number * number)).unwrap();
        assert!(squares.iter().enumerate().all(|(number, square)| number * number == *square));
        assert_eq!(for_each(0, &|_| Err::<(), _>(())), Ok(Vec::new()));
        let tried = AtomicUsize::new(0);
        let error = for_each(100_000, &|number| {
            tried.fetch_add(1, Ordering::SeqCst);
            if number == 10 { Err(number) } else { Ok(()) }
        });
        assert_eq!(error, Err(10));
        assert!(tried.into_inner() < 100_000);
    }
}
