//! The index of images: one table, whose keys put every listing in one run of rows.
//!
//! A key is column, scope, value, creation time, id. The column is what the rows are sorted by
//! or looked up by, the scope whose images they are; an image has rows in two scopes (everyone's
//! and its owner's), each split by visibility and by the hidden mark. The row's value is empty.
//! Invariant: the rows of an image follow from its record alone ([`keys_of`]).

use std::collections::BTreeSet;

use super::order::SortKey;
use crate::catalog::error::Error;
use crate::catalog::records::image::visibility_code;
use crate::db::{self, Key, Table, WriteTxn};
use crate::model::{Image, ImageId, Visibility};

pub(super) const INDEX: Table = Table::derived("image-index-3");
/// The index before it had columns for memory, disk and protection, and before it told of absent properties. Where one of
/// them has rows, the index is to be made anew.
pub(in crate::catalog) const OLD_INDEXES: [Table; 2] =
    [Table::derived("image-index-1"), Table::derived("image-index-2")];

/// Properties whose absence a protocol takes for a value: an image without one has a row that says so. Others that
/// count so are absent from most images, and a walk over those meets enough of them.
const TOLD_WHEN_ABSENT: [&str; 1] = ["__os_type"];

/// What rows are sorted or looked up by. The numbers are in keys: never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name = 1,
    Status = 2,
    ContainerFormat = 3,
    DiskFormat = 4,
    Size = 5,
    Id = 6,
    CreatedAt = 7,
    UpdatedAt = 8,
    Tag = 9,
    Property = 10,
    Checksum = 11,
    /// Only where there is a least memory.
    MinRam = 12,
    /// Only where there is a least disk.
    MinDisk = 13,
    /// Only where it is protected.
    Protected = 14,
}

impl Column {
    const ALL: [Column; 14] = [
        Column::Name,
        Column::Status,
        Column::ContainerFormat,
        Column::DiskFormat,
        Column::Size,
        Column::Id,
        Column::CreatedAt,
        Column::UpdatedAt,
        Column::Tag,
        Column::Property,
        Column::Checksum,
        Column::MinRam,
        Column::MinDisk,
        Column::Protected,
    ];

    pub(super) fn of(key: SortKey) -> Column {
        match key {
            SortKey::Name => Column::Name,
            SortKey::Status => Column::Status,
            SortKey::ContainerFormat => Column::ContainerFormat,
            SortKey::DiskFormat => Column::DiskFormat,
            SortKey::Size => Column::Size,
            SortKey::Id => Column::Id,
            SortKey::CreatedAt => Column::CreatedAt,
            SortKey::UpdatedAt => Column::UpdatedAt,
        }
    }

    /// The image's values in this column: one in every sorted column, any number in the others.
    fn values(self, image: &Image) -> Vec<Key> {
        let text = |value: &Option<String>| vec![text_value(value.as_deref().unwrap_or(""))];
        match self {
            Column::Name => text(&image.name),
            Column::Status => vec![text_value(image.status.as_str())],
            Column::ContainerFormat => text(&image.container_format),
            Column::DiskFormat => text(&image.disk_format),
            Column::Size => vec![number_value(image.size_bytes.unwrap_or(0))],
            Column::Id => vec![id_value(&image.id)],
            // The creation time follows every value: here it is all there is.
            Column::CreatedAt => vec![Key::new()],
            Column::UpdatedAt => vec![Key::new().signed(image.updated_at.0)],
            Column::Tag => image.tags.iter().map(|tag| text_value(tag)).collect(),
            Column::Property => {
                let held = image.properties.iter().map(|(n, v)| property_value(n, v));
                let lacks = |name: &&str| !image.properties.contains_key(*name);
                held.chain(TOLD_WHEN_ABSENT.into_iter().filter(lacks).filter_map(absence_value)).collect()
            }
            // Most images have none, and pay for no row.
            Column::MinRam => least(image.min_ram_mib),
            Column::MinDisk => least(image.min_disk_gib),
            Column::Protected => image.protected.then(Key::new).into_iter().collect(),
            Column::Checksum => {
                let md5 = image.digests.as_ref().and_then(|digests| digests.md5);
                md5.iter().map(|md5| Key::new().fixed(md5)).collect()
            }
        }
    }
}

/// A least amount in a key's value part; none where it is nothing.
fn least(amount: u64) -> Vec<Key> {
    (amount > 0).then(|| number_value(amount)).into_iter().collect()
}

/// Text in a key's value part.
pub(super) fn text_value(text: &str) -> Key {
    Key::new().text(text)
}

/// What text that starts so has in front in a key's value part.
pub(super) fn text_start(start: &str) -> Key {
    let ended = text_value(start).into_bytes();
    // The last two bytes end the text.
    Key::new().fixed(&ended[..ended.len() - 2])
}

/// A number in a key's value part.
pub(super) fn number_value(number: u64) -> Key {
    Key::new().number(number)
}

/// An id in a key's value part.
pub(super) fn id_value(id: &ImageId) -> Key {
    Key::new().fixed(id.bytes())
}

/// A property in a key's value part: a digest, because its text may be long. Whoever looks one
/// up compares the text as well.
pub(super) fn property_value(name: &str, value: &str) -> Key {
    let digest = blake3::hash(Key::new().text(name).text(value).bytes());
    Key::new().fixed(&digest.as_bytes()[..16])
}

/// What stands for the absence of a property in a key's value part, where rows tell of that.
pub(super) fn absence_value(name: &str) -> Option<Key> {
    // No property has an empty name.
    TOLD_WHEN_ABSENT.contains(&name).then(|| property_value("", name))
}

/// Whose images a run of rows holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope<'a> {
    /// Those of every owner and of none.
    Everyone(Visibility),
    /// Those without an owner.
    Ownerless(Visibility),
    /// Those of one owner.
    Owner(&'a str, Visibility),
    /// Those shared with a viewer. Never in the table: a listing makes these rows as it needs them.
    Member,
}

/// What every key of a column and scope starts with.
pub(super) fn prefix(column: Column, scope: &Scope<'_>, hidden: bool) -> Key {
    let start = Key::new().byte(column as u8);
    match scope {
        Scope::Everyone(visibility) => start.byte(0).byte(visibility_code(*visibility)).byte(hidden.into()),
        Scope::Ownerless(visibility) => start.byte(1).byte(visibility_code(*visibility)).byte(hidden.into()),
        Scope::Owner(owner, visibility) => {
            start.byte(2).byte(visibility_code(*visibility)).byte(hidden.into()).text(owner)
        }
        Scope::Member => start.byte(3),
    }
}

/// An image's keys in one column and scope.
pub(super) fn keys_in(image: &Image, column: Column, scope: &Scope<'_>) -> impl Iterator<Item = Vec<u8>> {
    let prefix = prefix(column, scope, image.hidden);
    let end = tail(image);
    column
        .values(image)
        .into_iter()
        .map(move |value| prefix.clone().fixed(value.bytes()).fixed(end.bytes()).into_bytes())
}

/// What follows the scope in an image's key of a sorted column.
pub(super) fn rank(image: &Image, key: SortKey) -> Vec<u8> {
    let mut rank = value(image, key).into_bytes();
    rank.extend_from_slice(tail(image).bytes());
    rank
}

/// The image's value in a sorted column.
pub(super) fn value(image: &Image, key: SortKey) -> Key {
    Column::of(key).values(image).into_iter().next().unwrap_or_default()
}

/// What every key ends in: creation time and id.
pub(super) fn tail(image: &Image) -> Key {
    Key::new().signed(image.created_at.0).fixed(image.id.bytes())
}

/// Splits the part of a key after its scope into value and tail.
pub(super) fn split_tail(rank: &[u8]) -> Result<(&[u8], ImageId), Error> {
    const TAIL_BYTES: usize = 8 + 16;
    match (rank.len().checked_sub(TAIL_BYTES), rank.last_chunk()) {
        (Some(end), Some(id)) => Ok((&rank[..end], ImageId(uuid::Uuid::from_bytes(*id)))),
        _ => Err(db::Error::Corrupt("an image index key is too short".into()).into()),
    }
}

/// Makes the index follow an image's change, touching only rows that differ.
pub(super) fn replace(txn: &WriteTxn, old: Option<&Image>, new: Option<&Image>) -> Result<(), Error> {
    let old = old.map(keys_of).unwrap_or_default();
    let new = new.map(keys_of).unwrap_or_default();
    for key in old.difference(&new) {
        txn.remove(&INDEX, key)?;
    }
    for key in new.difference(&old) {
        txn.put(&INDEX, key, &[])?;
    }
    Ok(())
}

/// Every key of an image.
pub(super) fn keys_of(image: &Image) -> BTreeSet<Vec<u8>> {
    let owned = match &image.owner {
        Some(owner) => Scope::Owner(owner.as_str(), image.visibility),
        None => Scope::Ownerless(image.visibility),
    };
    let scopes = [Scope::Everyone(image.visibility), owned];
    let rows = scopes.iter().flat_map(|scope| Column::ALL.map(|column| keys_in(image, column, scope)));
    rows.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::plain_image;
    use super::*;
    use crate::base::Time;

    #[test]
    fn the_keys_are_golden() {
        let mut image = plain_image(7);
        image.name = Some("n".into());
        image.owner = Some("o".into());
        image.visibility = Visibility::Shared;
        image.created_at = Time(5);
        let tail = format!("8000000000000005{}", "07".repeat(16));
        let keys = |column, scope: &Scope<'_>| -> Vec<String> {
            keys_in(&image, column, scope).map(hex::encode).collect()
        };
        let everyone = Scope::Everyone(Visibility::Shared);
        let owner = Scope::Owner("o", Visibility::Shared);
        assert_eq!(keys(Column::Name, &everyone), [format!("010002006e0001{tail}")]);
        assert_eq!(keys(Column::Name, &owner), [format!("010202006f00016e0001{tail}")]);
        assert_eq!(keys(Column::Size, &everyone), [format!("050002000000000000000000{tail}")]);
        assert_eq!(
            keys(Column::CreatedAt, &Scope::Ownerless(Visibility::Public)),
            [format!("07010000{tail}")]
        );
        assert_eq!(keys(Column::Id, &Scope::Member), [format!("0603{}{tail}", "07".repeat(16))]);
        for empty in [Column::Tag, Column::MinRam, Column::MinDisk, Column::Protected] {
            assert!(keys(empty, &everyone).is_empty());
        }
        assert_eq!(hex::encode(property_value("k", "v").bytes()), "4c0601b067a883ff34ea2d685106f069");
    }

    #[test]
    fn an_image_has_its_rows_in_two_scopes() {
        let mut image = plain_image(7);
        assert_eq!(keys_of(&image).len(), 2 * 9, "one of them says that it has no __os_type");
        image.properties.insert("__os_type".into(), "Linux".into());
        assert_eq!(keys_of(&image).len(), 2 * 9);
        image.tags = ["a".to_owned(), "b".to_owned()].into();
        assert_eq!(keys_of(&image).len(), 2 * 11);
        (image.min_ram_mib, image.min_disk_gib, image.protected) = (1, 1, true);
        assert_eq!(keys_of(&image).len(), 2 * 14);
    }
}
