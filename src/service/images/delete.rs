//! Deleting an image, and letting go of its data in the same commit.

use super::access;
use crate::catalog::{images, uploads};
use crate::model::ImageId;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};
use crate::store::Reach;

impl Service {
    /// Deletes an image in any state; an upload to it that still runs ends with `Gone`.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also when the image is protected.
    pub fn delete_image(&self, actor: &Actor, id: &ImageId) -> Result<(), Error> {
        let (actor, id, store) = (actor.clone(), *id, self.store.clone());
        let let_go = self.db.write(move |txn| {
            let image = access::writable(txn, &actor, &id, Action::ImagesDelete)?;
            if image.protected {
                return Err(Error::forbidden(format!(
                    "image {id} is protected; set protected to false before deleting it"
                )));
            }
            images::delete(txn, &id)?;
            let unfinished = uploads::remove(txn, &id)?.and_then(|upload| upload.checkpoint);
            let contents = [image.content, unfinished.map(|kept| kept.content)];
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
