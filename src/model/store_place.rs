//! On which of a box's media an image's data lies.

use std::fmt;

/// A store as clients call it: the medium that data lies on. 0 is the box's home, which every box has;
/// others are places beside it, whose numbers are given out once and never again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StorePlace(pub u8);

impl StorePlace {
    /// Where everything lies that is not image data, and image data too unless somebody asks otherwise.
    pub const HOME: StorePlace = StorePlace(0);
    /// The highest number there is.
    pub const MAX: StorePlace = StorePlace(254);

    /// Whether it is the home.
    pub fn is_home(self) -> bool {
        self == StorePlace::HOME
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_home() { f.write_str("the home store") } else { write!(f, "place {}", self.0) }
    }
}
