//! Frames on their way into a pack: compressed on a spare core where there is one, else by the thread that
//! filled them, and taken out in the order in which they came.
//!
//! Invariant: what comes out, and in which order, does not depend on who compressed it. A frame that
//! nobody began is compressed by whoever wants it out, so a line never waits for a core.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::compress::Compressors;
use super::super::error::Error;
use super::super::spare;

/// A frame, ready to be written.
pub struct Ready {
    /// Its bytes, compressed or not.
    pub bytes: Vec<u8>,
    /// How: 0 plain, 1 zstd.
    pub codec: u8,
    /// Bytes before compression.
    pub raw_bytes: u32,
    /// Its chunks.
    pub chunks: u32,
}

/// The frames of one pack.
pub struct Line {
    compressors: Arc<Compressors>,
    /// Frames of all streams that may wait in lines; `None` where none may.
    places: Option<Arc<Semaphore>>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: u64,
}

/// A frame in the line.
struct Waiting {
    work: Arc<Work>,
    raw_bytes: u32,
    chunks: u32,
    _place: OwnedSemaphorePermit,
}

/// A frame that one thread or another compresses.
struct Work {
    state: Mutex<State>,
    done: Condvar,
}

enum State {
    /// Nobody began.
    Raw(Vec<u8>),
    Begun,
    Done(Result<(u8, Vec<u8>), Error>),
}

impl Line {
    /// An empty line. Frames wait in it while `places` has some left; without, each is compressed at once.
    pub fn new(compressors: Arc<Compressors>, places: Option<Arc<Semaphore>>) -> Line {
        Line { compressors, places, waiting: VecDeque::new(), waiting_bytes: 0 }
    }

    /// An empty room for the next frame.
    pub fn room(&self) -> Vec<u8> {
        self.compressors.room()
    }

    /// Takes a room back.
    pub fn give_back(&self, room: Vec<u8>) {
        self.compressors.give_back(room);
    }

    /// The most that the frames in the line can take when they are written, in bytes.
    pub fn bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Adds a frame, where there is a place for it; gives it back where there is none.
    pub fn push(&mut self, raw: Vec<u8>, chunks: u32) -> Option<Vec<u8>> {
        let place = self.places.as_ref().and_then(|places| places.clone().try_acquire_owned().ok());
        let Some(place) = place else { return Some(raw) };
        let ticket = spare::ticket();
        if ticket.is_none() && self.waiting.is_empty() {
            return Some(raw);
        }
        let raw_bytes = raw.len() as u32;
        let work = Arc::new(Work { state: Mutex::new(State::Raw(raw)), done: Condvar::new() });
        match ticket {
            Some(ticket) => {
                let (work, compressors) = (work.clone(), self.compressors.clone());
                ticket.run(move || work.compress(&compressors));
            }
            None => work.compress(&self.compressors),
        }
        self.waiting.push_back(Waiting { work, raw_bytes, chunks, _place: place });
        self.waiting_bytes += u64::from(raw_bytes);
        None
    }

    /// Compresses a frame that stands in no line.
    pub fn compress(&self, mut raw: Vec<u8>, chunks: u32) -> Result<Ready, Error> {
        let raw_bytes = raw.len() as u32;
        let codec = self.compressors.compress(&mut raw)?;
        Ok(Ready { bytes: raw, codec, raw_bytes, chunks })
    }

    /// The first frame, if it is ready.
    pub fn pop_ready(&mut self) -> Result<Option<Ready>, Error> {
        match self.waiting.front() {
            Some(first) if first.work.is_done() => self.pop(),
            _ => Ok(None),
        }
    }

    /// The first frame, once it is ready.
    pub fn pop(&mut self) -> Result<Option<Ready>, Error> {
        let Some(first) = self.waiting.pop_front() else { return Ok(None) };
        self.waiting_bytes -= u64::from(first.raw_bytes);
        first.work.compress(&self.compressors);
        let (codec, bytes) = first.work.wait()?;
        Ok(Some(Ready { bytes, codec, raw_bytes: first.raw_bytes, chunks: first.chunks }))
    }
}

impl Work {
    /// Compresses the frame, unless somebody began.
    fn compress(&self, compressors: &Compressors) {
        let mut state = self.state();
        let mut frame = match std::mem::replace(&mut *state, State::Begun) {
            State::Raw(frame) => frame,
            other => {
                *state = other;
                return;
            }
        };
        drop(state);
        let told = Told { work: self, outcome: Some(Err(Error::Broken)) };
        told.tell(compressors.compress(&mut frame).map(|codec| (codec, frame)));
    }

    fn is_done(&self) -> bool {
        matches!(*self.state(), State::Done(_))
    }

    /// Waits for whoever compresses it. Its bytes are handed over: nobody is to ask twice.
    fn wait(&self) -> Result<(u8, Vec<u8>), Error> {
        let mut state = self.state();
        loop {
            match std::mem::replace(&mut *state, State::Begun) {
                State::Done(outcome) => return outcome,
                other => *state = other,
            }
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what became of a frame, also when the work on it panics.
struct Told<'w> {
    work: &'w Work,
    outcome: Option<Result<(u8, Vec<u8>), Error>>,
}

impl Told<'_> {
    fn tell(mut self, outcome: Result<(u8, Vec<u8>), Error>) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            *self.work.state() = State::Done(outcome);
            self.work.done.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u8) -> Vec<u8> {
        vec![number; 1000 + usize::from(number)]
    }

    fn opened(ready: &Ready) -> Vec<u8> {
        zstd::bulk::decompress(&ready.bytes, ready.raw_bytes as usize).unwrap()
    }

    /// A line whose frames nobody begins.
    fn untouched(frames: u8) -> Line {
        let places = Arc::new(Semaphore::new(100));
        let mut line = Line::new(Arc::new(Compressors::new(1)), Some(places.clone()));
        for number in 0..frames {
            let state = Mutex::new(State::Raw(frame(number)));
            let (work, raw_bytes) =
                (Arc::new(Work { state, done: Condvar::new() }), frame(number).len() as u32);
            let _place = places.clone().try_acquire_owned().unwrap();
            line.waiting.push_back(Waiting { work, raw_bytes, chunks: number.into(), _place });
            line.waiting_bytes += u64::from(raw_bytes);
        }
        line
    }

    #[test]
    fn frames_come_out_in_their_order_whoever_compresses_them() {
        let mut line = untouched(5);
        assert!(line.pop_ready().unwrap().is_none(), "nobody began");
        let (third, compressors) = (line.waiting[3].work.clone(), line.compressors.clone());
        let elsewhere = std::thread::spawn(move || third.compress(&compressors));
        for number in 0..5 {
            let ready = line.pop().unwrap().unwrap();
            assert_eq!((ready.chunks, ready.codec), (number.into(), 1));
            assert!(opened(&ready) == frame(number));
        }
        elsewhere.join().unwrap();
        assert!(line.pop().unwrap().is_none() && line.bytes() == 0);
    }

    #[test]
    fn work_that_panics_breaks_its_line_and_no_other() {
        let mut line = untouched(2);
        let first = line.waiting[0].work.clone();
        *first.state() = State::Begun;
        let panicked = std::thread::spawn(move || {
            let _told = Told { work: &first, outcome: Some(Err(Error::Broken)) };
            panic!("on purpose");
        });
        assert!(matches!(line.pop(), Err(Error::Broken)));
        assert!(panicked.join().is_err());
        assert!(opened(&line.pop().unwrap().unwrap()) == frame(1));
    }

    #[test]
    fn p5_without_a_place_a_frame_comes_back() {
        let compressors = Arc::new(Compressors::new(1));
        for places in [None, Some(Arc::new(Semaphore::new(0)))] {
            let mut line = Line::new(compressors.clone(), places);
            let raw = line.push(frame(9), 1).unwrap();
            assert!(raw == frame(9) && line.bytes() == 0);
            let ready = line.compress(raw, 1).unwrap();
            assert!(opened(&ready) == frame(9));
        }
    }

    #[test]
    fn p5_a_line_takes_no_more_than_there_are_places_and_gives_them_back() {
        let places = Arc::new(Semaphore::new(3));
        let mut line = Line::new(Arc::new(Compressors::new(1)), Some(places.clone()));
        let refused = (0..50).filter(|number| line.push(frame(*number), 1).is_some()).count();
        assert!(line.waiting.len() <= 3 && refused + line.waiting.len() == 50);
        while line.pop().unwrap().is_some() {}
        assert_eq!(places.available_permits(), 3);
    }
}
