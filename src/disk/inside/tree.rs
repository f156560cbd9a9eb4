//! Files and directories of a file system, whichever it is, found by their paths.
//!
//! Invariant: a link is followed inside its file system alone, as if that were mounted as the root; a path ends in a
//! bounded number of links and names. Must not know how any file system lays itself out.

use super::ext::Inode;
use super::fat::Chain;
use super::fault::Fault;
use super::iso::Extents;

/// Links that are followed on the way to one file.
const LINKS_MAX: usize = 40;
/// Names on the way to one file, links taken apart.
const NAMES_MAX: usize = 1024;
/// A longer link is none.
pub(super) const LINK_BYTES_MAX: u64 = 4096;

/// What something in a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

/// Something in a file system, apart from its name.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Bytes of its content.
    pub size_bytes: u64,
    /// Permissions, where the file system has them.
    pub mode: Option<u16>,
    /// When its content changed, in seconds since 1970, where the file system says so; FAT has times of no zone, which say nothing.
    pub modified_s: Option<i64>,
    /// Where it lies.
    pub(super) spot: Spot,
}

/// Where something lies, as its own file system says it.
#[derive(Debug, Clone)]
pub(super) enum Spot {
    Ext(Box<Inode>),
    Fat(Chain),
    Iso(Extents),
}

/// Something in a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub node: Node,
}

/// A directory, as far as it was listed.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// What is in it, in its own order.
    pub entries: Vec<Entry>,
    /// Whether there is more.
    pub is_cut: bool,
}

/// What a file system says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes that it manages, where it says so.
    pub size_bytes: Option<u64>,
    /// Bytes of them that nothing lies in, where it says so.
    pub free_bytes: Option<u64>,
    /// What is not in order about it, though it is read: a sentence each.
    pub remarks: Vec<Remark>,
}

/// Something that a file system says of its own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// Changes wait in a journal that is not applied to what is read here.
    JournalWaits,
    /// Its driver found errors in it.
    HasErrors,
}

/// A file system that is read here.
pub(super) trait FileSystem: Send + Sync {
    /// What it says of itself.
    fn usage(&self) -> Result<Usage, Fault>;

    /// Its topmost directory.
    fn root(&self) -> Result<Node, Fault>;

    /// What has this name in a directory. Never asked for `.` and `..`.
    fn child(&self, directory: &Node, name: &str) -> Result<Option<Node>, Fault>;

    /// What is in a directory but for `.` and `..`, at most so much of it.
    fn list(&self, directory: &Node, entries_max: usize) -> Result<Listing, Fault>;

    /// Where a link leads.
    fn link(&self, link: &Node) -> Result<String, Fault>;

    /// Fills `out` from byte `at` of a file on; the range lies within its size.
    fn read(&self, file: &Node, at: u64, out: &mut [u8]) -> Result<(), Fault>;
}

/// What a path leads to, with all links followed.
#[derive(Debug, Clone)]
pub struct Found {
    /// The path without links, from the file system's root on.
    pub path: String,
    /// What is there.
    pub node: Node,
}

/// A file system, opened.
pub struct Tree(Box<dyn FileSystem>);

impl Tree {
    pub(super) fn new(files: impl FileSystem + 'static) -> Tree {
        Tree(Box::new(files))
    }

    /// What the file system says of itself.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn usage(&self) -> Result<Usage, Fault> {
        self.0.usage()
    }

    /// What a path leads to; `None` where nothing is. The path begins at the file system's root, with a slash or without.
    ///
    /// # Errors
    /// When the way there is not in order, or takes too much.
    pub fn find(&self, path: &str) -> Result<Option<Found>, Fault> {
        let mut way = vec![(String::new(), self.0.root()?)];
        // Names that are still to be gone, the next one last.
        let mut names: Vec<String> = backwards(path);
        let (mut links, mut steps) = (0, 0);
        while let Some(name) = names.pop() {
            steps += 1;
            if steps > NAMES_MAX || names.len() > NAMES_MAX {
                return Err(Fault::TooLarge("the path has too many names"));
            }
            let Some((_, here)) = way.last() else { return Ok(None) };
            if here.kind != NodeKind::Directory {
                return Ok(None);
            }
            match name.as_str() {
                "." => {}
                // The root is its own parent.
                ".." if way.len() > 1 => drop(way.pop()),
                ".." => {}
                _ => {
                    let Some(node) = self.0.child(here, &name)? else { return Ok(None) };
                    if node.kind != NodeKind::Link {
                        way.push((name, node));
                        continue;
                    }
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Fault::TooLarge("too many links lead to each other"));
                    }
                    let target = self.target(&node)?;
                    if target.starts_with('/') {
                        way.truncate(1);
                    }
                    names.extend(backwards(&target));
                }
            }
        }
        let path: Vec<&str> = way.iter().skip(1).map(|(name, _)| name.as_str()).collect();
        let path = format!("/{}", path.join("/"));
        Ok(way.pop().map(|(_, node)| Found { path, node }))
    }

    /// Where a link leads.
    ///
    /// # Errors
    /// When it is not in order.
    pub fn target(&self, link: &Node) -> Result<String, Fault> {
        if link.kind != NodeKind::Link || link.size_bytes > LINK_BYTES_MAX {
            return Err(Fault::broken("a link is too long"));
        }
        self.0.link(link)
    }

    /// What is in a directory, at most so much of it, by name; `None` where the path leads to none.
    ///
    /// # Errors
    /// As [`Tree::find`].
    pub fn list(&self, path: &str, entries_max: usize) -> Result<Option<Listing>, Fault> {
        match self.find(path)? {
            Some(found) if found.node.kind == NodeKind::Directory => {
                self.list_of(&found.node, entries_max).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What is in a directory, at most so much of it, by name.
    ///
    /// # Errors
    /// When it is not in order, or takes too much.
    pub fn list_of(&self, directory: &Node, entries_max: usize) -> Result<Listing, Fault> {
        let mut listing = self.0.list(directory, entries_max)?;
        listing.entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listing)
    }

    /// The first bytes of a file, at most so many; `None` where the path leads to none.
    ///
    /// # Errors
    /// As [`Tree::find`].
    pub fn read(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Fault> {
        match self.find(path)? {
            Some(found) if found.node.kind == NodeKind::File => {
                let size = usize::try_from(found.node.size_bytes).unwrap_or(usize::MAX);
                let mut bytes = vec![0; size.min(bytes_max)];
                self.read_at(&found.node, 0, &mut bytes)?;
                Ok(Some(bytes))
            }
            _ => Ok(None),
        }
    }

    /// Fills `out` from byte `at` of a file on.
    ///
    /// # Errors
    /// When it is no file, the range does not lie in it, its map is not in order, or it takes too much.
    pub fn read_at(&self, file: &Node, at: u64, out: &mut [u8]) -> Result<(), Fault> {
        let end = at.checked_add(out.len() as u64);
        if file.kind != NodeKind::File || end.is_none_or(|end| end > file.size_bytes) {
            return Err(Fault::broken("the range does not lie in the file"));
        }
        self.0.read(file, at, out)
    }
}

/// The names of a path, the first one last.
fn backwards(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !name.is_empty()).rev().map(str::to_owned).collect()
}
