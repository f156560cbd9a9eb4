//! Ground floor: time, randomness, the bounds everything else must respect, and errors as text.
//!
//! Knows nothing of images, files or networks. Both sources are traits, so that tests decide
//! what time it is and what is random.

pub mod causes;
pub mod clock;
pub mod entropy;
pub mod limits;

pub use causes::with_causes;
pub use clock::{Clock, SystemClock, Time};
pub use entropy::{Entropy, OsEntropy};
