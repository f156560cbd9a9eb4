//! Deleting an image, and letting go of its data in the same commit, or retaining both for a while.

use super::access;
use crate::catalog::{domain_members, images, locations, uploads};
use crate::db::WriteTxn;
use crate::model::{ImageId, Operation};
use crate::service::audit::Act;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};
use crate::store::Reach;

impl Service {
    /// Deletes an image in any state; an upload to it that still runs ends with `Gone`. Where the box retains deleted
    /// images, one with data is retained.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also when the image is protected.
    pub fn delete_image(&self, actor: &Actor, id: &ImageId) -> Result<(), Error> {
        self.delete_together(actor, *id, Vec::new())
    }

    /// Deletes an image, and where it is of a whole machine all images that were made from the same backup: all or
    /// none. The backup itself is the operator's, and stays.
    ///
    /// # Errors
    /// As [`Service::delete_image`], for any of them.
    pub fn delete_machine(&self, actor: &Actor, id: &ImageId) -> Result<(), Error> {
        let others = self.machine_of(actor, id)?.split_off(1);
        self.delete_together(actor, *id, others)
    }

    /// Deletes an image, and those others that are still there, in one commit.
    fn delete_together(&self, actor: &Actor, id: ImageId, others: Vec<ImageId>) -> Result<(), Error> {
        let (service, actor) = (self.clone(), actor.clone());
        let act = Act::new(Operation::DeleteImage);
        let let_go = self.recorded(&actor.clone(), act, move |txn, act| {
            let mut let_go = service.delete_in(txn, &actor, &id, act)?;
            for other in &others {
                if images::get(txn, other)?.is_some() {
                    let mut act = Act::new(Operation::DeleteImage);
                    let_go |= service.delete_in(txn, &actor, other, &mut act)?;
                    service.record_in(txn, &actor, act)?;
                }
            }
            Ok::<_, Error>(let_go)
        })?;
        if let_go {
            self.litter.left(Reach::Released);
        }
        Ok(())
    }

    /// Deletes an image in the caller's commit; says whether data was let go of.
    fn delete_in(&self, txn: &WriteTxn, actor: &Actor, id: &ImageId, act: &mut Act) -> Result<bool, Error> {
        let image = access::writable(txn, actor, id, Action::ImagesDelete)?;
        act.image(&image);
        if image.protected {
            return Err(Error::forbidden(format!(
                "image {id} is protected; set protected to false before deleting it"
            )));
        }
        if let Some(share) = domain_members::list(txn, id)?.first() {
            let message = format!("image {id} is shared with domain {}; take that back before", share.domain);
            return Err(Error::conflict(message));
        }
        let is_retained = self.rules.retain_deleted_s > 0 && image.content.is_some();
        if is_retained {
            images::retain(txn, id, self.clock.now())?;
        } else {
            images::delete(txn, id)?;
        }
        locations::remove(txn, id)?;
        let unfinished = uploads::remove(txn, id)?.and_then(|upload| upload.checkpoint);
        let own = image.contents().filter(|_| !is_retained);
        let contents: Vec<_> = own.chain(unfinished.map(|kept| kept.content)).collect();
        for content in &contents {
            self.store.release(txn, content)?;
        }
        Ok(!contents.is_empty())
    }
}
