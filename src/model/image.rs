//! An image as everyone above the catalog sees it, and the states it may pass through.
//!
//! The Image API's state machine is the truth; other protocols map onto it.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{ContentId, Digests, SecureHash};
use super::ids::{DomainId, ImageId, ProjectId};
use super::store_place::StorePlace;
use super::verdict::Verdict;
use crate::base::Time;

/// Where an image stands. Only the states that this service produces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Status {
    /// Registered, no data yet.
    Queued,
    /// Data is arriving.
    Saving,
    /// Data is arriving, or has arrived, that an import is to make the image's.
    Uploading,
    /// A task makes data the image's that was staged, or fetches it.
    Importing,
    /// Data is complete and durable.
    Active,
    /// Complete, but handed out to administrators only.
    Deactivated,
    /// The job that was to fill it failed or was cancelled: there is no data, and none comes.
    Killed,
}

impl Status {
    /// Every state, in the order of a life.
    pub const ALL: [Status; 7] = [
        Status::Queued,
        Status::Saving,
        Status::Uploading,
        Status::Importing,
        Status::Active,
        Status::Deactivated,
        Status::Killed,
    ];

    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Saving => "saving",
            Status::Uploading => "uploading",
            Status::Importing => "importing",
            Status::Active => "active",
            Status::Deactivated => "deactivated",
            Status::Killed => "killed",
        }
    }

    /// Reads the Image API's word.
    pub fn parse(text: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether data for the image is on its way, and something owns it until that has come or failed.
    pub fn is_filling(self) -> bool {
        matches!(self, Status::Saving | Status::Uploading | Status::Importing)
    }

    /// Whether the state machine has an arrow from here to `next`.
    pub fn may_become(self, next: Status) -> bool {
        matches!(
            (self, next),
            (Status::Queued, Status::Saving | Status::Uploading | Status::Importing)
                | (Status::Saving, Status::Active | Status::Queued | Status::Killed)
                | (Status::Uploading, Status::Importing | Status::Queued)
                | (Status::Importing, Status::Active | Status::Queued)
                | (Status::Active, Status::Deactivated)
                | (Status::Deactivated, Status::Active)
        )
    }
}

/// Who may see an image besides its owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Visibility {
    /// Everyone, in every listing.
    Public,
    /// Everyone, but listed only when asked for.
    Community,
    /// The projects that are members.
    Shared,
    /// Nobody.
    Private,
}

impl Visibility {
    /// Every visibility.
    pub const ALL: [Visibility; 4] =
        [Visibility::Public, Visibility::Community, Visibility::Shared, Visibility::Private];

    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Community => "community",
            Visibility::Shared => "shared",
            Visibility::Private => "private",
        }
    }

    /// Reads the Image API's word.
    pub fn parse(text: &str) -> Option<Visibility> {
        Visibility::ALL.into_iter().find(|v| v.as_str() == text)
    }
}

/// `disk_format` values the service accepts (Glance's default list, and three more).
/// Those that begin with a z are the image management service's own, which nobody describes: their bytes are
/// kept as they are.
pub const DISK_FORMATS: [&str; 14] = [
    "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop", "luks", "zvhd",
    "zvhd2",
];

/// `container_format` values the service accepts (Glance's default list).
pub const CONTAINER_FORMATS: [&str; 8] = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"];

/// An image's record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// Its id, chosen by the service or by the caller on create.
    pub id: ImageId,
    /// Its name, if it has one; at most 255 characters, not unique.
    pub name: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether delete is refused.
    pub protected: bool,
    /// Whether default listings leave it out.
    pub hidden: bool,
    /// The project it belongs to; `None` makes it visible to everyone.
    pub owner: Option<ProjectId>,
    /// `bare`, `ova`, …; frozen once data is there.
    pub container_format: Option<String>,
    /// `raw`, `qcow2`, …; frozen once data is there.
    pub disk_format: Option<String>,
    /// Least disk a machine needs, in GiB.
    pub min_disk_gib: u64,
    /// Least memory a machine needs, in MiB.
    pub min_ram_mib: u64,
    /// Bytes of the stored stream; `None` until it is complete.
    pub size_bytes: Option<u64>,
    /// Bytes of the disk a guest sees, where known.
    pub virtual_size_bytes: Option<u64>,
    /// What was found out about the stored stream when it arrived; `None` before, and where an earlier release took it in.
    pub verdict: Option<Verdict>,
    /// Digests of the stored stream; `None` until it is complete.
    pub digests: Option<Digests>,
    /// The store's name for the stored stream; `None` until it is complete.
    pub content: Option<ContentId>,
    /// Where that lies; while data is on its way, where it goes.
    pub place: StorePlace,
    /// The same bytes in other places; none where there is no stream.
    pub copies: Vec<DataCopy>,
    /// Free labels, unique.
    pub tags: BTreeSet<String>,
    /// Custom properties.
    pub properties: BTreeMap<String, String>,
    /// When it was registered.
    pub created_at: Time,
    /// When its record last changed, tags included; members do not count.
    pub updated_at: Time,
    /// When it became active the first time; `None` before, and where an earlier release did not take that down.
    pub active_at: Option<Time>,
    /// Names the upload that owns `Saving`, so that a late one cannot finish another's work.
    pub upload: Option<[u8; 16]>,
}

/// An address of the web that an image's data lies at, by word of whoever may change the image.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Location {
    /// The address, as its caller wrote it.
    pub url: String,
    /// What its caller says of it.
    pub metadata: BTreeMap<String, String>,
}

/// What data is said to be, by whoever gave its location.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Declared {
    /// Its MD5.
    pub md5: Option<[u8; 16]>,
    /// A digest that tells it from any other.
    pub secure: Option<SecureHash>,
}

/// Where an image's data lies outside of the box, and what it must be. The image's data may be there alone, until it is
/// read for the first time.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Located {
    /// Addresses, the first to be asked in front.
    pub locations: Vec<Location>,
    /// What the data at each of them must be.
    pub declared: Declared,
}

/// An image's data in one place more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataCopy {
    /// Where.
    pub place: StorePlace,
    /// The store's name for the stream there.
    pub content: ContentId,
}

impl Image {
    /// Its data, once for each place that has it; the one that arrived first in front.
    pub fn data(&self) -> impl Iterator<Item = DataCopy> {
        let first = self.content.map(|content| DataCopy { place: self.place, content });
        first.into_iter().chain(self.copies.iter().copied())
    }

    /// Whether its data is none of the box's: it lies where the image's location says.
    pub fn is_by_reference(&self) -> bool {
        matches!(self.status, Status::Active | Status::Deactivated) && self.content.is_none()
    }

    /// The store's names of its data.
    pub fn contents(&self) -> impl Iterator<Item = ContentId> {
        self.data().map(|copy| copy.content)
    }

    /// The stream of its data at a place, where there is one.
    pub fn copy_at(&self, place: StorePlace) -> Option<ContentId> {
        self.data().find(|copy| copy.place == place).map(|copy| copy.content)
    }

    /// Takes the data at a place away; another copy becomes the first where that was it. What went, for whoever lets
    /// go of it.
    pub fn take_copy(&mut self, place: StorePlace) -> Option<ContentId> {
        let gone = self.copy_at(place)?;
        let mut left = self.data().filter(|copy| copy.place != place).collect::<Vec<_>>().into_iter();
        let first = left.next();
        self.content = first.map(|copy| copy.content);
        self.place = first.map_or(self.place, |copy| copy.place);
        self.copies = left.collect();
        Some(gone)
    }
}

/// Whether a project took a share that was offered to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MemberStatus {
    /// Offered.
    Pending,
    /// Taken: the image shows in the member's listings.
    Accepted,
    /// Declined.
    Rejected,
}

impl MemberStatus {
    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberStatus::Pending => "pending",
            MemberStatus::Accepted => "accepted",
            MemberStatus::Rejected => "rejected",
        }
    }

    /// Reads the Image API's word.
    pub fn parse(text: &str) -> Option<MemberStatus> {
        [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// One project's share in an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The shared image.
    pub image: ImageId,
    /// The project it is shared with; any text, not checked against the identity service.
    pub project: ProjectId,
    /// What the project made of the offer.
    pub status: MemberStatus,
    /// When it was offered.
    pub created_at: Time,
    /// When its status last changed.
    pub updated_at: Time,
}

/// An image's share with a domain: it holds for all projects of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainMember {
    /// The shared image.
    pub image: ImageId,
    /// The domain.
    pub domain: DomainId,
    /// When it was offered.
    pub created_at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        for visibility in Visibility::ALL {
            assert_eq!(Visibility::parse(visibility.as_str()), Some(visibility));
        }
        assert_eq!(Status::parse("deleted"), None);
    }

    #[test]
    fn no_state_becomes_active_without_data_arriving() {
        assert!(!Status::Queued.may_become(Status::Active));
        assert!(Status::Saving.may_become(Status::Active));
        assert!(!Status::Active.may_become(Status::Saving));
        assert!(Status::ALL.iter().all(|next| !Status::Killed.may_become(*next)));
    }
}
