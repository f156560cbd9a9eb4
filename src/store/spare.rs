//! Cores that no thread of a stream needs now, and the threads that compute on them.
//!
//! Invariant: work is taken on only while there is a core for it, so that where streams keep all cores busy
//! each computes on its own thread and nothing is lost to hand-overs. Nothing that runs here waits for the
//! medium or for a stream. Must not know what is computed.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Pieces of work taken on for each spare core: enough to last while the stream that hands them over
/// gathers the next ones.
const AHEAD: usize = 8;

/// The machine's; they belong to no store.
static CORES: LazyLock<Cores> =
    LazyLock::new(|| Cores::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// The threads. One core's work is done by whoever has it; `None` where there is but one core, or no
/// thread to be had, and all work stays where it is.
static THREADS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let threads = CORES.all.checked_sub(1).filter(|threads| *threads > 0)?;
    let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "compute".into());
    // Whoever waits for work that panicked is told by what it left behind.
    let pool = builder.panic_handler(|_| tracing::error!("work on a spare core panicked")).build();
    pool.inspect_err(|error| tracing::warn!(%error, "streams compute on their own threads alone")).ok()
});

/// How many cores there are and what they have to do.
struct Cores {
    all: usize,
    /// Threads of streams that are at work.
    busy: AtomicUsize,
    /// Pieces of work taken on and not done.
    taken: AtomicUsize,
}

/// A thread of a stream at work, until it is dropped.
pub struct Busy<'c>(&'c Cores);

/// The right to have a piece of work done on a spare core.
pub struct Ticket<'c>(&'c Cores);

/// Says that the calling thread computes for a stream.
pub fn busy() -> Busy<'static> {
    CORES.busy()
}

/// Asks for a spare core; `None` while there is none.
pub fn ticket() -> Option<Ticket<'static>> {
    THREADS.as_ref()?;
    CORES.ticket(AHEAD)
}

impl Ticket<'static> {
    /// Has the work done.
    pub fn run(self, work: impl FnOnce() + Send + 'static) {
        let done = move || {
            work();
            drop(self);
        };
        match &*THREADS {
            Some(threads) => threads.spawn_fifo(done),
            None => done(),
        }
    }
}

/// Does `work`, which is made to be shared: on this thread, and beside it on spare cores that have nothing
/// to do. Returns when all are done.
pub fn share(work: impl Fn() + Sync) {
    let Some((threads, ticket)) = THREADS.as_ref().zip(CORES.ticket(1)) else { return work() };
    threads.in_place_scope_fifo(|scope| {
        let others = std::iter::once(ticket).chain(std::iter::from_fn(|| CORES.ticket(1)));
        for ticket in others {
            let work = &work;
            scope.spawn_fifo(move |_| {
                work();
                drop(ticket);
            });
        }
        work();
    });
}

impl Cores {
    fn new(all: usize) -> Cores {
        Cores { all, busy: AtomicUsize::new(0), taken: AtomicUsize::new(0) }
    }

    fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// A ticket, where each spare core has less than `ahead` to do.
    fn ticket(&self, ahead: usize) -> Option<Ticket<'_>> {
        let most = self.all.saturating_sub(self.busy.load(Ordering::Relaxed)) * ahead;
        let take = |taken: usize| (taken < most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok().then(|| Ticket(self))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn p5_work_is_taken_on_for_cores_that_no_stream_needs() {
        let cores = Cores::new(4);
        let streams = [(); 3].map(|()| cores.busy());
        let tickets = [(); 3].map(|()| cores.ticket(2));
        assert!(tickets[0].is_some() && tickets[1].is_some() && tickets[2].is_none());
        assert!(cores.ticket(1).is_none(), "the one spare core has enough to do");
        drop(tickets);
        let one_more = cores.busy();
        assert!(cores.ticket(2).is_none());
        drop((streams, one_more));
        assert_eq!((0..100).map_while(|_| cores.ticket(2).map(std::mem::forget)).count(), 8);
    }

    #[test]
    fn what_is_shared_is_done_once_it_returns() {
        let (left, done) = (Mutex::new(0..1000), Mutex::new(0));
        share(|| {
            while let Some(number) = { left.lock().unwrap().next() } {
                *done.lock().unwrap() += number;
            }
        });
        assert_eq!(done.into_inner().unwrap(), 499_500);
    }
}
