//! Immutable objects on a medium: a directory of files, or a bucket.
//!
//! Owns: names, durability of a write, ranged reads, listing, deletion. Invariant: an object is
//! visible under its name only when it is complete and durable. Must not know what is inside.
