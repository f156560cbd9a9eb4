//! Images that the server makes of disks which a client wrote to: nobody but this process can fill them.
//!
//! Invariants: such an image is saving from the commit that makes it, and marked until it is active; whatever ends its filling
//! before that, also the process, takes it away, in a commit that leaves a record. Must not know how the disk was written.

use super::NewImage;
use super::access;
use super::create::insert;
use super::reserving::{Room, at_first};
use super::upload::{Upload, check_cap, expect_ready};
use crate::model::{Image, ImageId, Operation, Status};
use crate::service::audit::Act;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};

/// Names the image whose disk was written to.
const CAPTURED_FROM: &str = "os_glance_captured_from";

impl Service {
    /// Makes an image of the disk of `from` as it was written to, and takes it for the upload of these bytes at once.
    ///
    /// # Errors
    /// As [`Service::create_image`] and [`Service::begin_upload`].
    pub fn begin_capture(
        &self,
        actor: &Actor,
        new: NewImage,
        from: &ImageId,
        bytes: u64,
    ) -> Result<Upload, Error> {
        let mut image = self.new_image(actor, new, Action::ImagesCreate)?;
        expect_ready(&image)?;
        check_cap(bytes, self.rules.image_bytes_max)?;
        let verification = self.verification(&image)?;
        let token = self.entropy.id();
        image.place = self.store_for_new_data(None)?;
        image.status = Status::Saving;
        image.upload = Some(token);
        image.properties.insert(CAPTURED_FROM.to_owned(), from.to_string());
        let (service, caller, made) = (self.clone(), actor.clone(), image.clone());
        let reserved_bytes = self.recorded(actor, Act::new(Operation::CreateImage), move |txn, act| {
            act.image(&made);
            insert(txn, &made)?;
            access::writable(txn, &caller, &made.id, Action::ImagesUpload)?;
            service.reserve(txn, &made, at_first(Some(bytes)))
        })?;
        let room = Room { image: image.id, token, reserved_bytes };
        Upload::of(self, actor, &image, verification, Some(bytes), room)
    }
}

/// Whether an image is one that nobody but the process that made it can fill, and is not filled yet.
pub(super) fn is_unfinished(image: &Image) -> bool {
    image.properties.contains_key(CAPTURED_FROM)
}

/// It is filled, and as any other from now on.
pub(super) fn finish(image: &mut Image) {
    image.properties.remove(CAPTURED_FROM);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;
    use crate::catalog::quotas::usage_of;
    use crate::model::Rating;
    use crate::service::ErrorKind;
    use crate::service::audit::{Query, RECORDS_MAX};
    use crate::service::images::{BodyBroken, Change, Field, Listing};
    use crate::service::testing::{member, service};

    fn new() -> NewImage {
        let fields = [
            Field::Name(Some("kept".into())),
            Field::DiskFormat(Some("raw".into())),
            Field::ContainerFormat(Some("bare".into())),
        ];
        NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() }
    }

    fn listed(service: &Service, owner: &Actor) -> Vec<Image> {
        service.list_images(owner, Listing { limit: 10, ..Listing::default() }).unwrap()
    }

    fn from() -> ImageId {
        ImageId(uuid::Uuid::nil())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_captured_whole_is_an_image_as_any_other() {
        let (service, _) = service();
        let owner = member("p");
        let upload = service.begin_capture(&owner, new(), &from(), 3).unwrap();
        let all = listed(&service, &owner);
        assert_eq!(all.iter().map(|image| image.status).collect::<Vec<_>>(), [Status::Saving]);
        let image = upload.receive(stream::iter([Ok(Bytes::from_static(b"abc"))])).await.unwrap();
        assert_eq!((image.status, image.size_bytes), (Status::Active, Some(3)));
        assert!(image.properties.is_empty(), "{:?}", image.properties);
        assert_eq!(service.recover_uploads().unwrap(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_not_captured_whole_is_no_image() {
        let (service, _) = service();
        let owner = member("p");
        let upload = service.begin_capture(&owner, new(), &from(), 3).unwrap();
        let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(BodyBroken("no more".into()))]);
        assert_eq!(upload.receive(broken).await.unwrap_err().kind, ErrorKind::Invalid);
        assert!(listed(&service, &owner).is_empty());
        let too_much = service.begin_capture(&owner, new(), &from(), u64::MAX);
        assert_eq!(too_much.err().map(|error| error.kind), Some(ErrorKind::TooLarge));
        assert!(listed(&service, &owner).is_empty());
    }

    #[test]
    fn a_start_takes_away_what_the_process_before_was_capturing_and_puts_it_on_record() {
        let (service, _) = service();
        let owner = member("p");
        // Outside a runtime a dropped upload changes nothing, as in a crash.
        drop(service.begin_capture(&owner, new(), &from(), 3).unwrap());
        let id = listed(&service, &owner)[0].id;
        assert_eq!(service.recover_uploads().unwrap(), 1);
        assert!(listed(&service, &owner).is_empty());
        assert_eq!(service.recover_uploads().unwrap(), 0);
        let admin = service.local_admin().unwrap();
        let query = Query { resource_id: Some(id.to_string()), limit: RECORDS_MAX, ..Query::default() };
        let found = service.audit_traces(&admin, &query).unwrap().traces;
        let last = &found.first().unwrap().content;
        assert_eq!((last.operation.as_str(), last.rating), ("deleteImage", Rating::Warning));
        assert!(last.message.contains("is lost"), "{}", last.message);
        let used = usage_of(&service.db.read().unwrap(), Some(&"p".into())).unwrap();
        assert_eq!((used.reserved_bytes, used.images), (0, 0));
    }
}
