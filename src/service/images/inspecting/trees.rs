//! Files out of an image: listing its directories, and reading single files piece by piece.
//!
//! Invariant: each request of an open tree has an allowance of its own; a piece is as large as its caller's memory.

use std::sync::Arc;

use super::explain;
use crate::disk::inside::partitions;
use crate::disk::inside::{
    Allowance, Effort, Fault, Found, Listing, Node, NodeKind, Part, Tree, mount, recognise,
};
use crate::model::{Image, ImageId};
use crate::service::{Actor, Error, ErrorKind, Service};

/// A file system of an image, open for reading. A clone is the same.
#[derive(Clone)]
pub struct OpenTree {
    /// The image's record, as it was when it was opened.
    pub image: Arc<Image>,
    /// The volume's number; 0 is the whole disk.
    pub volume: u32,
    /// What the image's data is read as: another disk of the same machine has other files.
    pub read_as: String,
    tree: Arc<Tree>,
    effort: Arc<Effort>,
}

/// A file of an image, open for reading. A clone is the same.
#[derive(Clone)]
pub struct OpenFile {
    tree: OpenTree,
    node: Arc<Node>,
    /// Its path without links.
    pub path: String,
}

impl Service {
    /// Opens a file system of an image: that of a volume, or the operating system's root, or where there is none, the
    /// first that is read. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Service::open_disk`]; `NotFound` without such a volume; `UnsupportedContent` where its files are not read.
    pub fn open_tree(&self, actor: &Actor, id: &ImageId, volume: Option<u32>) -> Result<OpenTree, Error> {
        let open = self.open_disk(actor, id)?;
        let number = match volume {
            Some(number) => number,
            None => {
                let inspection = self.inspection_of(&open)?;
                let first =
                    inspection.volumes.iter().find(|volume| volume.is_read).map(|volume| volume.number);
                inspection.root.or(first).ok_or_else(|| no_files(id))?
            }
        };
        let effort = Arc::new(Effort::new(Allowance::PIECE));
        let disk = Part::whole(open.disk.clone(), effort.clone());
        let what = super::volumes::named(number);
        let part = part(&disk, number).map_err(|fault| explain(fault, &what))?;
        let part = part.ok_or_else(|| Error::not_found(format!("image {id} has no partition {number}")))?;
        let found = recognise(&part).map_err(|fault| explain(fault, &what))?;
        let tree = match found.filter(|found| found.kind.is_read()) {
            None => None,
            Some(found) => mount(&part, found.kind).map_err(|fault| explain(fault, &what))?,
        };
        let tree = tree.ok_or_else(|| no_files(id))?;
        let (image, tree) = (Arc::new(open.image), Arc::new(tree));
        Ok(OpenTree { image, volume: number, read_as: open.disk.read_as().words(), tree, effort })
    }
}

fn part(disk: &Part, number: u32) -> Result<Option<Part>, Fault> {
    if number == 0 {
        return Ok(Some(disk.clone()));
    }
    let table = partitions::table(disk)?;
    let partitions = table.map(|table| table.partitions).unwrap_or_default();
    let wanted = partitions.iter().find(|partition| partition.number == number);
    Ok(wanted.and_then(|wanted| disk.stretch(wanted.start_bytes, wanted.size_bytes)))
}

fn no_files(id: &ImageId) -> Error {
    let message = format!(
        "no file system of image {id} is read there: that is possible with ext2, ext3, ext4, FAT and ISO 9660; its \
         inspection says what there is"
    );
    Error::new(ErrorKind::UnsupportedContent, message)
}

impl OpenTree {
    /// What a path leads to, links followed. Blocks on the medium.
    ///
    /// # Errors
    /// `NotFound`; `UnsupportedContent` where what is there is not in order, or more than is looked through; `TooLarge` where
    /// that takes too much.
    pub fn find(&self, path: &str) -> Result<Found, Error> {
        self.effort.renew(Allowance::PIECE);
        let found = self.tree.find(path).map_err(|fault| explain(fault, path))?;
        found.ok_or_else(|| {
            let (id, path) = (self.image.id, path.trim_start_matches('/'));
            Error::not_found(format!("image {id} has no file /{path}"))
        })
    }

    /// What is in a directory, at most so much of it, by name. Blocks on the medium.
    ///
    /// # Errors
    /// As [`OpenTree::find`].
    pub fn list(&self, directory: &Found, entries_max: usize) -> Result<Listing, Error> {
        self.effort.renew(Allowance::PIECE);
        self.tree.list_of(&directory.node, entries_max).map_err(|fault| explain(fault, &directory.path))
    }

    /// Where a link leads, for people. Blocks on the medium.
    ///
    /// # Errors
    /// As [`OpenTree::find`].
    pub fn target(&self, link: &Node) -> Result<String, Error> {
        self.tree.target(link).map_err(|fault| explain(fault, "a link"))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// `Invalid` where it is none.
    pub fn open(&self, found: Found) -> Result<OpenFile, Error> {
        if found.node.kind != NodeKind::File {
            return Err(Error::invalid(format!("{} is no file", found.path)));
        }
        Ok(OpenFile { tree: self.clone(), node: Arc::new(found.node), path: found.path })
    }
}

impl OpenFile {
    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        self.node.size_bytes
    }

    /// The `count` bytes from byte `at` on, which lie in it. Blocks on the medium.
    ///
    /// # Errors
    /// As [`OpenTree::find`].
    pub fn read_at(&self, at: u64, count: usize) -> Result<Vec<u8>, Error> {
        self.tree.effort.renew(Allowance::PIECE);
        let mut bytes = vec![0; count];
        let read = self.tree.tree.read_at(&self.node, at, &mut bytes);
        read.map(|()| bytes).map_err(|fault| explain(fault, &self.path))
    }
}
