//! Deleting an image, and letting go of its data in the same commit, or retaining both for a while.

use super::access;
use crate::catalog::{domain_members, images, uploads};
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
        let (actor, id, store) = (actor.clone(), *id, self.store.clone());
        let (retains, now) = (self.rules.retain_deleted_s > 0, self.clock.now());
        let act = Act::new(Operation::DeleteImage);
        let let_go = self.recorded(&actor.clone(), act, move |txn, act| {
            let image = access::writable(txn, &actor, &id, Action::ImagesDelete)?;
            act.image(&image);
            if image.protected {
                return Err(Error::forbidden(format!(
                    "image {id} is protected; set protected to false before deleting it"
                )));
            }
            if let Some(share) = domain_members::list(txn, &id)?.first() {
                let message =
                    format!("image {id} is shared with domain {}; take that back before", share.domain);
                return Err(Error::conflict(message));
            }
            let is_retained = retains && image.content.is_some();
            if is_retained {
                images::retain(txn, &id, now)?;
            } else {
                images::delete(txn, &id)?;
            }
            let unfinished = uploads::remove(txn, &id)?.and_then(|upload| upload.checkpoint);
            let own = image.content.filter(|_| !is_retained);
            let contents = [own, unfinished.map(|kept| kept.content)];
            for content in contents.iter().flatten() {
                store.release(txn, content)?;
            }
            Ok::<_, Error>(contents.iter().any(Option::is_some))
        })?;
        if let_go {
            self.litter.left(Reach::Released);
        }
        Ok(())
    }
}
