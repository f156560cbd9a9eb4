//! Reading what a report is made of.
//!
//! Invariant: a file that is not in order, or is more than is looked through, counts as one that is not there, and is told
//! of; only a disk whose bytes cannot be had, or an allowance that is spent, ends the look.

use std::cell::RefCell;

use super::findings::Code;
use super::report::Inspection;
use super::volumes::Opened;
use crate::disk::inside::{Entry, Fault, NodeKind, Tree};

/// Longest file of settings that is read, in bytes; more of it is passed over.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Entries of one directory that are looked at.
const ENTRIES_MAX: usize = 4096;
/// Files that are named as not readable.
const UNREAD_MAX: usize = 10;

/// The root file system of an operating system, and the volumes beside it.
pub(super) struct Look<'t> {
    tree: &'t Tree,
    pub(super) volumes: &'t [Opened],
    unread: RefCell<Vec<(String, String)>>,
}

impl<'t> Look<'t> {
    pub(super) fn new(tree: &'t Tree, volumes: &'t [Opened]) -> Look<'t> {
        Look { tree, volumes, unread: RefCell::default() }
    }

    /// The beginning of a file as a text.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>, Fault> {
        let bytes = self.bytes(path, TEXT_BYTES_MAX)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The first bytes of a file.
    pub(super) fn bytes(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.readable(path, self.tree.read(path, bytes_max))?.flatten())
    }

    /// Whether something is there.
    pub(super) fn has(&self, path: &str) -> Result<bool, Fault> {
        Ok(self.readable(path, self.tree.find(path))?.flatten().is_some())
    }

    /// The size of a file.
    pub(super) fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        let found = self.readable(path, self.tree.find(path))?.flatten();
        Ok(found.filter(|found| found.node.kind == NodeKind::File).map(|found| found.node.size_bytes))
    }

    /// What is in a directory, by name; nothing where there is none.
    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, Fault> {
        let listing = self.readable(path, self.tree.list(path, ENTRIES_MAX))?.flatten();
        Ok(listing.map(|listing| listing.entries).unwrap_or_default())
    }

    /// The first of these paths that is there.
    pub(super) fn first_of<'p>(&self, paths: &[&'p str]) -> Result<Option<&'p str>, Fault> {
        for path in paths {
            if self.has(path)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn readable<T>(&self, path: &str, read: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(fault @ (Fault::Source(_) | Fault::TooMuch(_))) => Err(fault),
            Err(fault) => {
                let mut unread = self.unread.borrow_mut();
                if unread.len() < UNREAD_MAX && unread.iter().all(|(known, _)| known != path) {
                    unread.push((path.to_owned(), fault.to_string()));
                }
                Ok(None)
            }
        }
    }

    /// Tells which files were not in order.
    pub(super) fn tell_unread(self, report: &mut Inspection) {
        for (path, why) in self.unread.into_inner() {
            report.find(Code::NotReadable, Some(&path), format!("{path} was not looked at: {why}"));
        }
    }
}
