//! Word that space can come back: use cases leave it, whoever reclaims waits for it.
//!
//! Invariant: word is never lost, and any number of it costs one run. It lives in memory only: the
//! first run after a start looks for everything anyway.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::Reach;

/// What there is to reclaim. Cheap to share.
#[derive(Clone, Default)]
pub struct Litter {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    reach: Mutex<Option<Reach>>,
    left: Notify,
}

impl Litter {
    /// Something was left, and this finds it.
    pub fn left(&self, reach: Reach) {
        let mut waiting = self.inner.reach.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = (*waiting).max(Some(reach));
        drop(waiting);
        self.inner.left.notify_one();
    }

    /// Waits until something was left.
    pub async fn wait(&self) {
        while self.inner.reach.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.inner.left.notified().await;
        }
    }

    /// What finds everything that was left until now.
    pub fn take(&self) -> Option<Reach> {
        self.inner.reach.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn all_word_is_taken_at_once_and_the_widest_counts() {
        let litter = Litter::default();
        assert!(litter.wait().now_or_never().is_none());
        litter.left(Reach::Everything);
        litter.left(Reach::Released);
        assert!(litter.wait().now_or_never().is_some());
        assert_eq!(litter.take(), Some(Reach::Everything));
        assert_eq!(litter.take(), None);
        assert!(litter.wait().now_or_never().is_none());
    }
}
