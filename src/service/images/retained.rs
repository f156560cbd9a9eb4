//! Deleted images that are retained: listed, brought back, and purged.
//!
//! Invariant: a retained image's data is let go of in the commit that purges it, and in no other.

use super::access;
use super::transfer::MachineSet;
use crate::base::Time;
use crate::catalog::images::{self, Retained};
use crate::db::{Rows, WriteTxn};
use crate::model::{Image, ImageId, Operation};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};
use crate::store::Reach;

/// Images purged in one commit.
const PURGED_AT_ONCE: usize = 64;

impl Service {
    /// The first `count` deleted images of the caller's project that are retained, or of all for administrators, in id
    /// order after `after`.
    ///
    /// # Errors
    /// `Forbidden` without the role reader in a project.
    pub fn deleted_images(
        &self,
        actor: &Actor,
        after: Option<&ImageId>,
        count: usize,
    ) -> Result<Vec<Retained>, Error> {
        access::project(actor)?;
        actor.expect(Action::ImagesList, Resource::None)?;
        let mut is_own = |retained: &Retained| access::owns(actor, &retained.image);
        Ok(images::list_retained(&self.db.read()?, after, count, &mut is_own)?)
    }

    /// When a retained image is purged by itself.
    pub fn purges_at(&self, retained: &Retained) -> Time {
        retained.deleted_at.plus_seconds(self.rules.retain_deleted_s)
    }

    /// Brings a deleted image back as it was, but for its members: whom it is shared with is decided anew. One of a
    /// whole machine brings along those of its set that are retained too, in one commit. Gives all that came back, the
    /// one that was asked for first.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without the right to bring images back; `Conflict` when the project has another set of
    /// the machine's backup by now; `TooLarge` when it may have no more images. Then none comes back.
    pub fn undelete_image(&self, actor: &Actor, id: &ImageId) -> Result<Vec<Image>, Error> {
        let (service, actor, id) = (self.clone(), actor.clone(), *id);
        let set = MachineSet::of(&writable(&self.db.read()?, &actor, &id, Action::ImagesRestore)?.image);
        // Held until it is there: no other set of its backup comes in between.
        let _making = set.is_some().then(|| self.making_machine());
        if let Some(set) = &set {
            set.expect_only(&self.db.read()?)?;
        }
        let act = Act::new(Operation::UndeleteImage);
        self.recorded(&actor.clone(), act, move |txn, act| {
            let Retained { image, .. } = writable(txn, &actor, &id, Action::ImagesRestore)?;
            let others = set.as_ref().map_or(Ok(Vec::new()), |set| others_of(txn, set, &image.id))?;
            let mut back = vec![service.restore_in(txn, &actor, image, act)?];
            for other in others {
                let mut act = Act::new(Operation::UndeleteImage);
                back.push(service.restore_in(txn, &actor, other, &mut act)?);
                service.record_in(txn, &actor, act)?;
            }
            Ok(back)
        })
    }

    /// Brings one back in the caller's commit.
    fn restore_in(&self, txn: &WriteTxn, actor: &Actor, image: Image, act: &mut Act) -> Result<Image, Error> {
        if !access::may(actor, Action::ImagesRestore, &image) {
            return Err(access::refusal(actor, &image, Action::ImagesRestore));
        }
        act.image(&image);
        let image = Image { updated_at: self.clock.now(), ..image };
        images::restore(txn, &image)?;
        Ok(image)
    }

    /// Forgets a deleted image and lets go of its data.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without the rights to purge images and to delete them.
    pub fn purge_image(&self, actor: &Actor, id: &ImageId) -> Result<(), Error> {
        let (actor, id, store) = (actor.clone(), *id, self.store.clone());
        let act = Act::new(Operation::PurgeImage);
        self.recorded(&actor.clone(), act, move |txn, act| {
            writable(txn, &actor, &id, Action::ImagesDelete)?;
            let retained = writable(txn, &actor, &id, Action::ImagesPurge)?;
            act.image(&retained.image);
            images::purge(txn, &id)?;
            release(txn, &store, &retained)
        })?;
        self.litter.left(Reach::Released);
        Ok(())
    }

    /// Purges what was retained for long enough; says how many. Where deleted images are not retained any more, that
    /// is all.
    ///
    /// # Errors
    /// When the catalog fails; what was purged by then stays so.
    pub fn purge_expired_images(&self) -> Result<usize, Error> {
        let mut purged = 0;
        loop {
            let now = self.clock.now();
            let mut is_due = |retained: &Retained| self.purges_at(retained) <= now;
            let due = images::list_retained(&self.db.read()?, None, PURGED_AT_ONCE, &mut is_due)?;
            if due.is_empty() {
                return Ok(purged);
            }
            let service = self.clone();
            purged += self.db.write(move |txn| {
                let mut gone = 0;
                for retained in &due {
                    gone += usize::from(service.purge_in(txn, retained, "its time has come")?);
                }
                Ok::<_, Error>(gone)
            })?;
            self.litter.left(Reach::Released);
        }
    }

    /// Purges one in the caller's commit, for the box itself; `false` when somebody brought it back meanwhile.
    pub(super) fn purge_in(&self, txn: &WriteTxn, retained: &Retained, why: &str) -> Result<bool, Error> {
        if !images::purge(txn, &retained.image.id)? {
            return Ok(false);
        }
        let mut act = Act::new(Operation::PurgeImage).saying(why);
        act.image(&retained.image);
        self.record_in(txn, &Actor::system(), act)?;
        release(txn, &self.store, retained)?;
        // Word of it may come before the commit; who looks then finds it the next time.
        self.litter.left(Reach::Released);
        Ok(true)
    }
}

/// The retained image, when the caller acts for its owner and has the right.
fn writable(rows: &impl Rows, actor: &Actor, id: &ImageId, action: Action) -> Result<Retained, Error> {
    let found = images::retained(rows, id)?.filter(|retained| access::owns(actor, &retained.image));
    let found =
        found.ok_or_else(|| Error::not_found(format!("no deleted image with id {id} is retained")))?;
    if access::may(actor, action, &found.image) {
        Ok(found)
    } else {
        Err(access::refusal(actor, &found.image, action))
    }
}

/// The retained images of a whole machine's set but for one.
fn others_of(rows: &impl Rows, set: &MachineSet, id: &ImageId) -> Result<Vec<Image>, Error> {
    let mut others = Vec::new();
    images::for_each_retained(rows, &mut |retained| {
        if retained.image.id != *id && MachineSet::of(&retained.image).as_ref() == Some(set) {
            others.push(retained.image);
        }
    })?;
    Ok(others)
}

fn release(txn: &WriteTxn, store: &crate::store::Store, retained: &Retained) -> Result<(), Error> {
    retained.image.contents().try_for_each(|content| Ok(store.release(txn, &content)?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;
    use crate::model::{Status, Visibility};
    use crate::service::images::{Change, Field, NewImage};
    use crate::service::testing::{member, rules, service_with};
    use crate::service::{ErrorKind, Rules};

    const KEPT_S: i64 = 3600;

    async fn filled(service: &Service, owner: &Actor) -> ImageId {
        let changes = vec![
            Change::Set(Field::Visibility(Visibility::Shared)),
            Change::Set(Field::DiskFormat(Some("raw".into()))),
            Change::Set(Field::ContainerFormat(Some("bare".into()))),
        ];
        let id = service.create_image(owner, NewImage { id: None, changes }).unwrap().id;
        let upload = service.begin_upload(owner, &id, None).unwrap();
        upload.receive(stream::iter([Ok(Bytes::from_static(&[7; 5000]))])).await.unwrap();
        id
    }

    fn listed(service: &Service, actor: &Actor) -> Vec<ImageId> {
        let found = service.deleted_images(actor, None, 10).unwrap();
        found.iter().map(|retained| retained.image.id).collect()
    }

    fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
        outcome.err().map(|error| error.kind)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_deleted_image_comes_back_with_its_data_and_without_its_members() {
        let (service, _) = service_with(Rules { retain_deleted_s: KEPT_S, ..rules() });
        let (owner, other) = (member("one"), member("two"));
        let id = filled(&service, &owner).await;
        service.add_image_member(&owner, &id, "two".into()).unwrap();
        service.delete_image(&owner, &id).unwrap();
        assert_eq!(kind(service.show_image(&owner, &id)), Some(ErrorKind::NotFound));
        assert_eq!(
            kind(service.create_image(&owner, NewImage { id: Some(id), changes: vec![] })),
            Some(ErrorKind::Conflict)
        );
        service.give_back(Reach::Everything).unwrap();
        let admin = service.local_admin().unwrap();
        let usage = service.usage(&admin).unwrap();
        assert_eq!((usage.images, usage.deleted_images, usage.deleted_image_bytes), (0, 1, 5000));
        let checked = service.check(&admin, &mut |_| ()).unwrap();
        assert_eq!((checked.images, checked.damaged.len()), (1, 0), "its data is looked after");
        assert_eq!((listed(&service, &owner), listed(&service, &other)), (vec![id], vec![]));
        assert_eq!(listed(&service, &admin), [id]);
        assert_eq!(service.deleted_images(&owner, Some(&id), 10).unwrap(), []);
        assert_eq!(kind(service.undelete_image(&other, &id)), Some(ErrorKind::NotFound));
        let reader = Actor { roles: ["reader".to_owned()].into(), ..owner.clone() };
        assert_eq!(kind(service.undelete_image(&reader, &id)), Some(ErrorKind::Forbidden));
        assert_eq!(service.undelete_image(&owner, &id).unwrap()[0].status, Status::Active);
        let reader = service.download_image(&owner, &id).unwrap().reader.unwrap();
        let mut bytes = vec![0; 5000];
        reader.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 5000]);
        assert_eq!(kind(service.show_image(&other, &id)), Some(ErrorKind::NotFound));
        assert_eq!(kind(service.undelete_image(&owner, &id)), Some(ErrorKind::NotFound));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_purged_gives_its_space_back_at_its_time_or_by_hand() {
        let (service, clock) = service_with(Rules { retain_deleted_s: KEPT_S, ..rules() });
        let owner = member("one");
        let (first, second) = (filled(&service, &owner).await, filled(&service, &owner).await);
        let admin = service.local_admin().unwrap();
        let chunks = || {
            service.give_back(Reach::Everything).unwrap();
            service.usage(&admin).unwrap().chunks
        };
        service.delete_image(&owner, &first).unwrap();
        clock.step_seconds(KEPT_S / 2);
        service.delete_image(&owner, &second).unwrap();
        clock.step_seconds(KEPT_S / 2);
        assert_eq!(service.purge_expired_images().unwrap(), 1);
        assert_eq!(listed(&service, &owner), [second]);
        assert!(chunks() > 0);
        assert_eq!(kind(service.purge_image(&member("two"), &second)), Some(ErrorKind::NotFound));
        service.purge_image(&owner, &second).unwrap();
        assert_eq!((listed(&service, &owner), chunks()), (vec![], 0));
        assert_eq!(kind(service.purge_image(&owner, &second)), Some(ErrorKind::NotFound));
        assert_eq!(kind(service.undelete_image(&owner, &first)), Some(ErrorKind::NotFound));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_retained_where_the_box_retains_nothing_or_there_is_no_data() {
        let (service, _) = service_with(rules());
        let owner = member("one");
        let id = filled(&service, &owner).await;
        service.delete_image(&owner, &id).unwrap();
        assert_eq!(listed(&service, &owner), []);
        let (service, _) = service_with(Rules { retain_deleted_s: KEPT_S, ..rules() });
        let queued = service.create_image(&owner, NewImage::default()).unwrap().id;
        service.delete_image(&owner, &queued).unwrap();
        assert_eq!(listed(&service, &owner), []);
    }
}
