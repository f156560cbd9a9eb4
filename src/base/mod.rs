//! Ground floor: time, randomness and the bounds everything else must respect.
//!
//! Knows nothing of images, files or networks. Both sources are traits, so that tests decide
//! what time it is and what is random.

pub mod clock;
pub mod entropy;
pub mod limits;

pub use clock::{Clock, SystemClock, Time};
pub use entropy::{Entropy, OsEntropy};
