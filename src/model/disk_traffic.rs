//! What passed between disks and those who have them, in numbers.
//!
//! Invariant: they name no image, user or project.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow, but for connections.
#[derive(Debug, Default)]
pub struct Traffic {
    connections: AtomicU64,
    connected: AtomicU64,
    turned_away: AtomicU64,
    requests: AtomicU64,
    refused: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

/// Those of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrafficFigures {
    /// Connections that are open.
    pub connections: u64,
    /// Connections that got a disk.
    pub connected: u64,
    /// Connections that were turned away, or did not come as far as a disk.
    pub turned_away: u64,
    /// Requests.
    pub requests: u64,
    /// Requests that were answered with an error.
    pub refused: u64,
    /// Bytes of disks that were sent, holes included.
    pub sent_bytes: u64,
    /// Bytes that were written.
    pub received_bytes: u64,
}

impl Traffic {
    /// A connection was opened.
    pub fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection ended.
    pub fn ended(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection got a disk.
    pub fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection got none.
    pub fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// A request came.
    pub fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// It was answered with an error.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// So much of a disk was sent.
    pub fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much was written.
    pub fn received(&self, bytes: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All of it.
    pub fn figures(&self) -> TrafficFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficFigures {
            connections: read(&self.connections),
            connected: read(&self.connected),
            turned_away: read(&self.turned_away),
            requests: read(&self.requests),
            refused: read(&self.refused),
            sent_bytes: read(&self.sent_bytes),
            received_bytes: read(&self.received_bytes),
        }
    }
}
