//! Discs as they are read, and what is refused of them.

use super::super::fixtures::{Content, iso};
use super::super::part::tests::disk;
use super::super::recognise::Kind;
use super::super::tree::{NodeKind, Tree};
use super::super::{Fault, mount};
use crate::disk::fixtures::put;

const FILES: [(&str, Content<'_>); 4] = [
    ("/dists/bookworm/Release", Content::File(b"Suite: stable\n")),
    ("/dists/stable", Content::Link("bookworm")),
    ("/pool/package.deb", Content::File(&[3; 5000])),
    ("/top", Content::Link("../pool/./package.deb")),
];

fn open(image: Vec<u8>) -> Result<Tree, Fault> {
    mount(&disk(image), Kind::Iso).map(|tree| tree.expect("it is read"))
}

#[test]
fn files_have_the_names_and_links_of_rock_ridge() {
    let tree = open(iso(&FILES, true)).unwrap();
    assert_eq!(tree.read("/dists/stable/Release", 100).unwrap().unwrap(), b"Suite: stable\n");
    assert_eq!(tree.read("/top", 1 << 20).unwrap().unwrap(), vec![3; 5000]);
    let listing = tree.list("/dists", 10).unwrap().unwrap();
    let kinds: Vec<(&str, NodeKind)> =
        listing.entries.iter().map(|entry| (entry.name.as_str(), entry.node.kind)).collect();
    assert_eq!(kinds, [("bookworm", NodeKind::Directory), ("stable", NodeKind::Link)]);
    assert_eq!(tree.target(&listing.entries[1].node).unwrap(), "bookworm");
    assert_eq!(tree.find("/pool/package.deb").unwrap().unwrap().node.mode, Some(0o644));
    // Those names are compared as they are.
    assert!(tree.find("/dists/bookworm/release").unwrap().is_none());
}

#[test]
fn plain_names_are_shown_in_small_letters_without_their_version() {
    let tree = open(iso(&[("/DISTS/Release", Content::File(b"x"))], false)).unwrap();
    let listing = tree.list("/dists", 10).unwrap().unwrap();
    assert_eq!(listing.entries[0].name, "release");
    assert_eq!(tree.read("/Dists/RELEASE", 10).unwrap().unwrap(), b"x");
}

#[test]
fn a_file_has_the_time_of_its_record_where_that_is_one() {
    // What date -u -d says of these; the last byte counts quarters of an hour east of Greenwich.
    for (bytes, modified_s) in [
        ([126, 11, 28, 12, 30, 5, 0], Some(1_795_869_005)),
        ([126, 11, 28, 13, 30, 5, 4], Some(1_795_869_005)),
        ([126, 11, 28, 7, 30, 5, (-20_i8).cast_unsigned()], Some(1_795_869_005)),
        ([70, 1, 1, 0, 0, 0, 0], Some(0)),
        ([0; 7], None),
        ([126, 2, 30, 0, 0, 0, 0], None),
        ([126, 11, 28, 24, 0, 0, 0], None),
        ([255; 7], None),
    ] {
        for rock_ridge in [false, true] {
            let mut image = iso(&[("/file", Content::File(b"x"))], rock_ridge);
            // It comes after those of the directory itself and its parent.
            let own = 18 * 2048;
            let parent = own + usize::from(image[own]);
            let record = parent + usize::from(image[parent]);
            put(&mut image, record + 18, &bytes);
            let listing = open(image).unwrap().list("/", 10).unwrap().unwrap();
            assert_eq!(listing.entries[0].node.modified_s, modified_s, "{bytes:?}");
        }
    }
}

#[test]
fn what_goes_with_a_file_is_not_taken_for_it() {
    let files = [("/a", Content::File(b"of the finder")), ("/b", Content::File(b"of the user"))];
    for goes_on in [0, 0x80] {
        let mut image = iso(&files, false);
        // The first one is called as the second, and goes with it: in one part, or in the first of several.
        let record = 18 * 2048 + 34 + 34;
        put(&mut image, record + 25, &[0x04 | goes_on]);
        put(&mut image, record + 33, b"B");
        let tree = open(image).unwrap();
        let listing = tree.list("/", 10).unwrap().unwrap();
        assert_eq!((listing.entries.len(), listing.entries[0].name.as_str()), (1, "b"));
        assert_eq!(tree.read("/b", 100).unwrap().unwrap(), b"of the user");
    }
}

#[test]
fn a_directory_that_is_in_itself_ends_with_the_path() {
    let mut image = iso(&[("/a/file", Content::File(b"x"))], false);
    // The only directory leads back to the topmost one.
    let root = 18 * 2048;
    let at = root + 34 + 34;
    put(&mut image, at + 2, &18_u32.to_le_bytes());
    let tree = open(image).unwrap();
    assert_eq!(tree.find("/a/a/a/a").unwrap().unwrap().path, "/a/a/a/a");
    let endless = "/a".repeat(5000);
    assert!(matches!(tree.find(&endless), Err(Fault::TooLarge(_))));
}

#[test]
fn what_lies_past_the_end_is_refused_where_it_is_read() {
    let mut image = iso(&[("/file", Content::File(b"x"))], false);
    let at = 18 * 2048 + 34 + 34;
    put(&mut image, at + 2, &u32::MAX.to_le_bytes());
    let tree = open(image.clone()).unwrap();
    assert!(matches!(tree.read("/file", 10), Err(Fault::Broken(_))));
    put(&mut image, 16 * 2048 + 156 + 2, &u32::MAX.to_le_bytes());
    assert!(open(image.clone()).is_err());
    put(&mut image, 16 * 2048, b"\x02");
    assert!(matches!(open(image), Err(Fault::Broken(_))));
}
