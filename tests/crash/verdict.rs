//! Judges a running box: everything acknowledged is there and exact, nothing else is visible, the
//! check is clean, space comes back, and work goes on.

use tintype::catalog::{images, members};
use tintype::model::{ContentId, Image, Status};
use tintype::service::identity::{DomainRef, Proof, ScopeWish, SignIn, UserRef};
use tintype::store::{Error, KeyError, Reach, Reclaimed, Stats};

use crate::acts::{Act, Part};
use crate::machine::{Machine, actor, password};
use crate::world::Body;

/// The slot of the image that shows that work goes on.
const PROOF_SLOT: u64 = u64::MAX;

/// Looks for space that is still in use, before it counts as never given back.
const LOOKS_MAX: usize = 1000;

impl Machine {
    /// Compares the box with what its callers expect, and settles what was in doubt.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn judge(&self) -> Result<(), String> {
        self.judge_jobs()?;
        self.judge_images()?;
        self.judge_audit()?;
        self.judge_contents()?;
        self.judge_rights()?;
        self.judge_check()?;
        self.judge_space()?;
        self.judge_keys_in_use()
    }

    /// Everything on the shelf is sealed with a key that the ring has, but for the manifests of what
    /// was erased: these go with their streams.
    fn judge_keys_in_use(&self) -> Result<(), String> {
        let domains = self.service().store().domains();
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        for (name, object) in self.stock() {
            // Of the description a left-over may be there that a power cut brought back: nobody reads it.
            let kinds = ["pack/", "manifest/"];
            let (domain, version) = (number(&object[12..16]), number(&object[44..48]));
            if !kinds.iter().any(|kind| name.as_str().starts_with(kind)) || domain == 0 {
                continue;
            }
            let known = domains.iter().find(|status| status.domain == domain);
            match known {
                Some(status) if status.key_versions.contains(&version) => {}
                None if name.as_str().starts_with("manifest/") => {}
                _ => {
                    return Err(format!("{name} is sealed with key {version} of domain {domain}: {known:?}"));
                }
            }
        }
        Ok(())
    }

    fn judge_images(&self) -> Result<(), String> {
        let read = self.db().read().map_err(text)?;
        let mut found: Vec<Image> = Vec::new();
        images::for_each(&read, &mut |image| found.push(image)).map_err(text)?;
        let mut met = Vec::new();
        for image in &found {
            match image.status {
                Status::Saving => self.judge_upload(image)?,
                Status::Uploading | Status::Importing => self.judge_staged(image)?,
                _ => {}
            }
            let shared_with = members::list(&read, &image.id).map_err(text)?;
            let body = self.world.borrow_mut().meet(image, &shared_with)?;
            for content in image.contents() {
                let Some(body) = &body else { continue };
                self.compare(&content, body).map_err(|e| format!("image {}: {e}", image.id))?;
            }
            met.push(image.id);
        }
        self.world.borrow_mut().miss(&met)
    }

    fn judge_contents(&self) -> Result<(), String> {
        let expected: Vec<(ContentId, Body, Vec<bool>)> = {
            let world = self.world.borrow();
            world.contents().map(|(id, body, states)| (*id, body.clone(), states.to_vec())).collect()
        };
        for (content, body, states) in expected {
            let published = match self.compare(&content, &body) {
                Err(Error::Missing(_)) => false,
                read @ (Ok(()) | Err(Error::Key(KeyError::Revoked(_)))) => {
                    let met = self.world.borrow_mut().meet_key(&content, read.is_err());
                    met.map_err(|e| format!("content {content}: {e}"))?;
                    true
                }
                Err(error) => return Err(format!("content {content}: {error}")),
            };
            if !states.contains(&published) {
                return Err(format!("content {content}: published is {published}, expected {states:?}"));
            }
            self.world.borrow_mut().content(content, body, vec![published]);
        }
        Ok(())
    }

    /// Compares a stored stream with what was sent.
    pub fn compare(&self, content: &ContentId, body: &[u8]) -> Result<(), Error> {
        let reader = self.service().store().reader(content)?;
        let mut bytes = vec![0; reader.size_bytes() as usize];
        reader.read_at(0, &mut bytes)?;
        if bytes == body {
            return Ok(());
        }
        let reason = format!("{} bytes read back differ from the {} sent", bytes.len(), body.len());
        Err(Error::Damaged { what: format!("content {content}"), reason })
    }

    fn judge_check(&self) -> Result<(), String> {
        self.service().store().ship().map_err(text)?;
        let checked = self.service().check(&actor(), &mut |_| ()).map_err(text)?;
        let with_data =
            self.world.borrow().pictures().iter().filter(|picture| picture.body.is_some()).count();
        if !checked.damaged.is_empty() || checked.images != with_data as u64 {
            return Err(format!("{with_data} images have data, and check says {checked:?}"));
        }
        if !checked.differing_indexes.is_empty() {
            return Err(format!(
                "indexes differ from what they follow from: {:?}",
                checked.differing_indexes
            ));
        }
        if !checked.description.damage.is_empty() {
            return Err(format!("the store does not describe itself: {:?}", checked.description));
        }
        let damage = self.service().store().verify().map_err(text)?;
        if damage.is_empty() { Ok(()) } else { Err(format!("verify says {damage:?}")) }
    }

    /// Reclaims, and compares what is left on the medium with what rows name.
    fn judge_space(&self) -> Result<(), String> {
        let store = self.service().store().clone();
        // The threads of an abandoned upload let go of its packs soon after its client has heard.
        let mut looks = 0;
        while store.reclaim(Reach::Everything).map_err(text)?.in_use > 0 && looks < LOOKS_MAX {
            looks += 1;
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let again = store.reclaim(Reach::Everything).map_err(text)?;
        if again != Reclaimed::default() {
            return Err(format!("a second reclaim found more: {again:?}"));
        }
        let stats = store.stats().map_err(text)?;
        let (count, bytes) = self.data_objects();
        if (count, bytes) == (stats.packs + stats.contents, stats.stored_bytes) {
            return Ok(());
        }
        Err(format!("{count} objects of {bytes} bytes are left, and rows say {stats:?}"))
    }

    /// What a start owes whatever it found: nothing half-done is left on the shelf, and the
    /// administrator can sign in.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn judge_start(&self) -> Result<(), String> {
        let unfinished = self.shelf.unfinished() + self.cold.unfinished();
        if unfinished != 0 {
            return Err(format!("{unfinished} unfinished objects are left"));
        }
        self.judge_ring()?;
        if self.is_catalog_sealed() != self.is_sealed() {
            return Err("the catalog is plain in a sealed box, or sealed in a plain one".into());
        }
        let user = UserRef::Name("admin".into(), DomainRef::Name("Default".into()));
        let request = SignIn { proof: Proof::Password(user, password()), scope: ScopeWish::Unscoped };
        self.service().sign_in(request).map(drop).map_err(text)
    }

    /// Of the key ring there is one version, three times: any other may hold a key that was erased, or
    /// open with a master key that is no more the store's.
    fn judge_ring(&self) -> Result<(), String> {
        let stock = self.shelf.stock();
        let copies: Vec<_> = stock.iter().filter(|(key, _)| key.as_str().starts_with("keyring/")).collect();
        let is_one = copies.windows(2).all(|two| two[0].1 == two[1].1);
        if is_one && copies.len() == if self.is_sealed() { 3 } else { 0 } {
            return Ok(());
        }
        let names: Vec<_> = copies.iter().map(|(key, _)| key.as_str()).collect();
        Err(format!("the key ring is {names:?}, all alike: {is_one}"))
    }

    /// Objects that hold packs and manifests, and their bytes.
    pub fn data_objects(&self) -> (u64, u64) {
        let stock = self.stock();
        let data = stock
            .iter()
            .filter(|(key, _)| ["pack/", "manifest/"].iter().any(|prefix| key.as_str().starts_with(prefix)));
        data.fold((0, 0), |(count, bytes), (_, object)| (count + 1, bytes + object.len() as u64))
    }

    /// Uploads in parts go on, a new upload succeeds, and when everything is deleted, nothing is left.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn prove_usable(&self) -> Result<(), String> {
        self.finish_uploads()?;
        let proof = vec![Part::Noise(PROOF_SLOT, 70_000)];
        self.perform(&[Act::Create(PROOF_SLOT), Act::Upload(PROOF_SLOT, proof, Vec::new())])?;
        self.judge_images()?;
        for picture in self.world.borrow().pictures() {
            self.service().delete_image(&actor(), &picture.image.id).map_err(text)?;
        }
        self.perform(&[Act::Release, Act::Reclaim])?;
        let stats = self.service().store().stats().map_err(text)?;
        let parity = self.stock().keys().filter(|key| key.as_str().starts_with("parity/")).count();
        match (stats == Stats::default() && parity == 0, self.data_objects()) {
            (true, (0, 0)) => Ok(()),
            (_, left) => Err(format!(
                "all is deleted, and {left:?} objects and bytes and {parity} of parity are left: {stats:?}"
            )),
        }
    }
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
