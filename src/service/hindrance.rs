//! What stands in the way of moving images in and out: one word each, for programs.
//!
//! The words are kept in records of jobs, so that none ever changes its meaning.

/// What exactly was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hindrance {
    /// The project has too many jobs that have not ended.
    TooManyJobs,
    /// The bucket is unknown, or not for this project.
    NoBucket,
    /// A key that no object can have here.
    BadKey,
    /// There is no such object, or it is empty or no plain file.
    NoObject,
    /// The object's content is not what it should be, or of no kind that is stored.
    BadContent,
    /// The object is larger than an image may be.
    ObjectTooLarge,
    /// The bucket cannot be read or written now.
    BucketFails,
    /// The bucket does not let the box in, or is full: somebody has to see to that.
    BucketRefuses,
    /// There is an object of this name already.
    ObjectExists,
    /// The object changed while it was read.
    ObjectChanged,
    /// The guest's disk is larger than the image's smallest disk.
    DiskTooSmall,
    /// A file of this format is not taken as it is.
    NotQuick,
    /// The image's data is of another format than was asked for, and is not converted.
    OtherFormat,
    /// The image is public.
    PublicImage,
    /// The image is install media.
    InstallMedia,
    /// The image is a set made of a whole machine.
    WholeMachine,
    /// The image is being exported already.
    ExportUnderWay,
    /// The image was not made to be filled later.
    NotFillable,
    /// The share was not accepted.
    NotAccepted,
    /// The job ended with its process too often.
    Interrupted,
    /// There is no such backup of a machine.
    NoBackup,
    /// A backup of a machine says nothing sensible of itself.
    BadBackup,
    /// The project has an image of the backup already.
    BackupUsed,
    /// There is no such region, or not for this project.
    NoRegion,
    /// The agency is not the region's.
    NoAgency,
    /// There is no such project in the other region.
    NoProjectThere,
    /// The image is sealed with a key that the other region does not have.
    SealedHere,
    /// The image is too large for the other region.
    TooLargeThere,
    /// Too many of the project's images are on their way into other regions.
    TooManyAcross,
    /// The other region cannot be reached, or fails.
    RegionFails,
    /// The image that arrived in the other region is another than was sent.
    ArrivedOtherwise,
    /// The other region refuses the image, or its account there lacks a right.
    RegionRefuses,
    /// Nothing may be fetched from the address.
    AddressRefused,
    /// The web server cannot be reached, or fails.
    ServerFails,
}

impl Hindrance {
    /// Every one.
    pub const ALL: [Hindrance; 34] = [
        Hindrance::TooManyJobs,
        Hindrance::NoBucket,
        Hindrance::BadKey,
        Hindrance::NoObject,
        Hindrance::BadContent,
        Hindrance::ObjectTooLarge,
        Hindrance::BucketFails,
        Hindrance::BucketRefuses,
        Hindrance::ObjectExists,
        Hindrance::ObjectChanged,
        Hindrance::DiskTooSmall,
        Hindrance::NotQuick,
        Hindrance::OtherFormat,
        Hindrance::PublicImage,
        Hindrance::InstallMedia,
        Hindrance::WholeMachine,
        Hindrance::ExportUnderWay,
        Hindrance::NotFillable,
        Hindrance::NotAccepted,
        Hindrance::Interrupted,
        Hindrance::NoBackup,
        Hindrance::BadBackup,
        Hindrance::BackupUsed,
        Hindrance::NoRegion,
        Hindrance::NoAgency,
        Hindrance::NoProjectThere,
        Hindrance::SealedHere,
        Hindrance::TooLargeThere,
        Hindrance::TooManyAcross,
        Hindrance::RegionFails,
        Hindrance::ArrivedOtherwise,
        Hindrance::RegionRefuses,
        Hindrance::AddressRefused,
        Hindrance::ServerFails,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Hindrance::TooManyJobs => "too_many_jobs",
            Hindrance::NoBucket => "no_bucket",
            Hindrance::BadKey => "bad_key",
            Hindrance::NoObject => "no_object",
            Hindrance::BadContent => "bad_content",
            Hindrance::ObjectTooLarge => "object_too_large",
            Hindrance::BucketFails => "bucket_fails",
            Hindrance::BucketRefuses => "bucket_refuses",
            Hindrance::ObjectExists => "object_exists",
            Hindrance::ObjectChanged => "object_changed",
            Hindrance::DiskTooSmall => "disk_too_small",
            Hindrance::NotQuick => "not_quick",
            Hindrance::OtherFormat => "other_format",
            Hindrance::PublicImage => "public_image",
            Hindrance::InstallMedia => "install_media",
            Hindrance::WholeMachine => "whole_machine",
            Hindrance::ExportUnderWay => "export_under_way",
            Hindrance::NotFillable => "not_fillable",
            Hindrance::NotAccepted => "not_accepted",
            Hindrance::Interrupted => "interrupted",
            Hindrance::NoBackup => "no_backup",
            Hindrance::BadBackup => "bad_backup",
            Hindrance::BackupUsed => "backup_used",
            Hindrance::NoRegion => "no_region",
            Hindrance::NoAgency => "no_agency",
            Hindrance::NoProjectThere => "no_project_there",
            Hindrance::SealedHere => "sealed_here",
            Hindrance::TooLargeThere => "too_large_there",
            Hindrance::TooManyAcross => "too_many_across",
            Hindrance::RegionFails => "region_fails",
            Hindrance::ArrivedOtherwise => "arrived_otherwise",
            Hindrance::RegionRefuses => "region_refuses",
            Hindrance::AddressRefused => "address_refused",
            Hindrance::ServerFails => "server_fails",
        }
    }

    /// The one of this word.
    pub fn parse(word: &str) -> Option<Hindrance> {
        Hindrance::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for hindrance in Hindrance::ALL {
            assert_eq!(Hindrance::parse(hindrance.as_str()), Some(hindrance));
        }
        assert_eq!(Hindrance::parse("x"), None);
    }
}
