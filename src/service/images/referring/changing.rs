//! Changes of an image's locations: who may make them, and what each does.
//!
//! Invariants: an address is asked what lies there before it is taken; all addresses of an image are for the same bytes, as far as
//! their lengths and what was declared of them tell; what was declared is never changed.

use super::{Declared, Located, Location, STORE};
use crate::catalog::{images, locations, quotas, uploads};
use crate::db::{Rows, WriteTxn};
use crate::model::{HashAlgorithm, Image, ImageId, Operation, SecureHash, Status};
use crate::service::audit::Act;
use crate::service::images::importing::expect_free;
use crate::service::images::resumable::forget;
use crate::service::images::update::apply_all;
use crate::service::images::upload::{check_cap, in_background};
use crate::service::images::{Change, access};
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};

/// Locations that an image may have.
const LOCATIONS_MAX: usize = 10;
/// Bytes of what may be said of a location, and of its address.
const LOCATION_BYTES_MAX: usize = 4096;

/// What a caller says that data is, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Its MD5.
    pub checksum: Option<String>,
    /// How the other digest is computed.
    pub algorithm: String,
    /// That digest.
    pub value: String,
}

/// A location as a caller gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLocation {
    /// The address, and what is said of it.
    pub location: Location,
    /// What its data is, if that is said.
    pub validation: Option<Validation>,
}

/// A change of an image's locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocationChange {
    /// One more, before the one that has this number; at the end without one, or beyond it.
    Add(Option<usize>, NewLocation),
    /// These in the place of all.
    Replace(Vec<NewLocation>),
    /// The one with this number goes.
    Remove(usize),
}

/// A location that was looked at.
struct Seen {
    new: NewLocation,
    size_bytes: u64,
}

/// A change whose addresses were looked at.
enum Ready {
    Add(Option<usize>, Seen),
    Replace(Vec<Location>),
    Remove(usize),
}

impl Service {
    /// Applies changes of an image's record, and then of its locations: all of them or none.
    ///
    /// # Errors
    /// As [`Service::update_image`]; `Forbidden` where locations are not the callers', for all but administrators who
    /// remove one, and for the last one; `Invalid` for an address that nothing can be fetched from, or one that does not fit the
    /// others; `Conflict` for an image whose data is the box's own or that is in no state for it, and for digests that
    /// contradict what is known; `TooLarge` for too many.
    pub async fn update_image_and_locations(
        &self,
        actor: &Actor,
        id: &ImageId,
        changes: Vec<Change>,
        moves: Vec<LocationChange>,
    ) -> Result<Image, Error> {
        if !self.shows_locations() {
            return Err(Error::forbidden(
                "attribute locations is reserved: this box takes no locations in a patch",
            ));
        }
        let (service, caller, id, asked) = (self.clone(), actor.clone(), *id, moves.clone());
        let described = changes.clone();
        in_background(move || {
            let read = service.db.read()?;
            let image = access::writable(&read, &caller, &id, Action::ImagesUpdate)?;
            let located = locations::get(&read, &id)?;
            asked.iter().try_for_each(|change| expect_may(&caller, &image, located.is_some(), change))?;
            expect_few(&image, located.as_ref(), &asked)?;
            service.expect_disk_choice(&caller, &id, &described)
        })
        .await?;
        let mut ready = Vec::with_capacity(moves.len());
        for change in moves {
            match change {
                LocationChange::Add(at, new) => ready.push(Ready::Add(at, self.look(new).await?)),
                LocationChange::Remove(at) => ready.push(Ready::Remove(at)),
                LocationChange::Replace(all) => ready.extend(self.replacing(&id, all).await?),
            }
        }
        let (service, caller) = (self.clone(), actor.clone());
        in_background(move || service.move_locations(&caller, id, changes, ready)).await
    }

    /// In the place of none, all of a list are new; else they must be those that are there.
    async fn replacing(&self, id: &ImageId, all: Vec<NewLocation>) -> Result<Vec<Ready>, Error> {
        let (service, image) = (self.clone(), *id);
        let located = in_background(move || Ok(locations::get(&service.db.read()?, &image)?)).await?;
        let locations = all.iter().map(|new| new.location.clone()).collect();
        let mut ready = Vec::new();
        let is_first = located.is_none();
        for new in all.into_iter().filter(|_| is_first) {
            ready.push(Ready::Add(None, self.look(new).await?));
        }
        ready.push(Ready::Replace(locations));
        Ok(ready)
    }

    /// Asks what lies at an address.
    async fn look(&self, new: NewLocation) -> Result<Seen, Error> {
        let Location { url, metadata } = &new.location;
        let said: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        if url.len() + said > LOCATION_BYTES_MAX {
            let message =
                format!("a location may have at most {LOCATION_BYTES_MAX} bytes, with its metadata");
            return Err(Error::invalid(message));
        }
        let answer = self.web.open(url, None).await.map_err(|error| Error::invalid(error.to_string()))?;
        let size_bytes = answer.size_bytes.ok_or_else(|| {
            Error::invalid("the server at the location does not say how long the data is; import it instead")
        })?;
        check_cap(size_bytes, self.rules.image_bytes_max)?;
        Ok(Seen { new, size_bytes })
    }

    /// The commit.
    fn move_locations(
        &self,
        actor: &Actor,
        id: ImageId,
        changes: Vec<Change>,
        ready: Vec<Ready>,
    ) -> Result<Image, Error> {
        self.expect_keys_for(actor, &changes)?;
        let (service, caller) = (self.clone(), actor.clone());
        let act = Act::new(Operation::UpdateImage).saying("its locations");
        let image = self.recorded(actor, act, move |txn, act| {
            let mut image = access::writable(txn, &caller, &id, Action::ImagesUpdate)?;
            act.image(&image);
            apply_all(&caller, &mut image, &changes, service.rules.protections.as_ref())?;
            for change in &ready {
                let mut located = locations::get(txn, &id)?;
                match change {
                    Ready::Add(at, seen) => {
                        located = Some(service.added(txn, &caller, &mut image, located, *at, seen)?);
                    }
                    Ready::Replace(new) => located = Some(service.replaced(&image, located, new)?),
                    Ready::Remove(at) => located = Some(removed(&caller, &image, located, *at)?),
                }
                if let Some(located) = &located {
                    locations::put(txn, &id, located)?;
                }
            }
            image.updated_at = service.clock.now();
            images::update(txn, &image)?;
            Ok::<_, Error>(image)
        })?;
        Ok(self.shown_to(actor, image))
    }

    /// One location more; the first makes a queued image active.
    fn added(
        &self,
        txn: &WriteTxn,
        actor: &Actor,
        image: &mut Image,
        located: Option<Located>,
        at: Option<usize>,
        seen: &Seen,
    ) -> Result<Located, Error> {
        expect_may_add(txn, actor, image)?;
        let Seen { new: NewLocation { location, validation }, size_bytes } = seen;
        let location = self.without_store(location)?;
        let mut located = match (located, image.status) {
            // What an import by location expected that did not succeed is not what this one brings.
            (_, Status::Queued) => {
                self.activate_by_reference(txn, image, *size_bytes)?;
                Located::default()
            }
            (Some(located), Status::Active) => located,
            (None, _) => return Err(own_data(image)),
            (_, status) => {
                let message = format!("image {} is {}, neither queued nor active", image.id, status.as_str());
                return Err(Error::conflict(message));
            }
        };
        if located.locations.contains(&location) {
            return Err(Error::invalid(format!("image {} has this location already", image.id)));
        }
        if located.locations.len() >= LOCATIONS_MAX {
            return Err(too_many());
        }
        if image.size_bytes != Some(*size_bytes) {
            let known = image.size_bytes.unwrap_or(0);
            let message = format!("the image has {known} bytes, and there are {size_bytes} at this location");
            return Err(Error::invalid(message));
        }
        if let Some(validation) = validation {
            located.declared = self.declared(image, located.declared, validation)?;
        }
        let at = at.unwrap_or(usize::MAX).min(located.locations.len());
        located.locations.insert(at, location);
        Ok(located)
    }

    fn activate_by_reference(&self, txn: &WriteTxn, image: &mut Image, size_bytes: u64) -> Result<(), Error> {
        for (what, format) in
            [("disk_format", &image.disk_format), ("container_format", &image.container_format)]
        {
            if format.is_none() {
                let message = format!("image {} has no {what}; set it before its location", image.id);
                return Err(Error::invalid(message));
            }
        }
        if self.verification(image)?.wants_data() {
            let message = "the data of a signed image is verified before it is active: upload or import it";
            return Err(Error::invalid(message));
        }
        // What was staged is let go of, and what a former import left.
        forget(txn, &self.store, &image.id)?;
        uploads::remove(txn, &image.id)?;
        let now = self.clock.now();
        image.place = self.store_for_new_data(None)?;
        image.status = Status::Active;
        image.size_bytes = Some(size_bytes);
        image.active_at.get_or_insert(now);
        // It is counted once the box has the data; what could never have it is refused now.
        Ok(quotas::expect_room(txn, image, size_bytes)?)
    }

    /// What is declared of an image's data when somebody says this of it.
    fn declared(&self, image: &Image, before: Declared, said: &Validation) -> Result<Declared, Error> {
        let read = |text: &str, what: &str| {
            hex::decode(text).map_err(|_| Error::conflict(format!("{what} is no hexadecimal number")))
        };
        let computed = self.store().digests();
        let algorithm = HashAlgorithm::parse(&said.algorithm).filter(|known| computed.secure == Some(*known));
        let algorithm = algorithm.ok_or_else(|| {
            let used = computed.secure.map_or("none", HashAlgorithm::as_str);
            Error::conflict(format!("os_hash_algo is {:?}, and this box uses {used}", said.algorithm))
        })?;
        let secure = SecureHash::new(algorithm, &read(&said.value, "os_hash_value")?);
        let secure = secure.ok_or_else(|| {
            Error::conflict(format!("os_hash_value is not as long as {} makes them", algorithm.as_str()))
        })?;
        let md5 = said.checksum.as_deref().map(|text| read(text, "checksum")).transpose()?;
        let md5 = md5.map(<[u8; 16]>::try_from).transpose();
        let md5 = md5.map_err(|_| Error::conflict("checksum is not as long as md5 makes them"))?;
        let known = image.digests.as_ref();
        let known_secure = known.and_then(|digests| digests.secure).or(before.secure);
        let known_md5 = known.and_then(|digests| digests.md5).or(before.md5);
        let differs = known_secure.is_some_and(|known| known != secure)
            || md5.is_some_and(|md5| known_md5.is_some_and(|known| known != md5));
        if differs {
            let message = format!("validation_data is not what is known of image {} already", image.id);
            return Err(Error::conflict(message));
        }
        Ok(Declared { md5: before.md5.or(md5), secure: Some(secure) })
    }

    /// The same addresses, with what is said of them now.
    fn replaced(&self, image: &Image, located: Option<Located>, new: &[Location]) -> Result<Located, Error> {
        let mut located = located.ok_or_else(|| own_data(image))?;
        let new = new.iter().map(|one| self.without_store(one)).collect::<Result<Vec<_>, _>>()?;
        let urls = |all: &[Location]| {
            let mut urls: Vec<String> = all.iter().map(|one| one.url.clone()).collect();
            urls.sort_unstable();
            urls
        };
        if urls(&located.locations) != urls(&new) {
            let message = "locations can be replaced by the same addresses alone: add others, and have an \
                           administrator remove what is too much";
            return Err(Error::invalid(message));
        }
        located.locations = new;
        Ok(located)
    }

    /// A location without the word of which store it is in, which is the box's to say.
    fn without_store(&self, location: &Location) -> Result<Location, Error> {
        let mut location = location.clone();
        match location.metadata.remove(STORE) {
            Some(store) if Some(store.as_str()) != self.web_store() => {
                Err(Error::invalid(format!("a location cannot be in store {store:?}")))
            }
            _ => Ok(location),
        }
    }
}

/// Refuses what can be refused before any address is asked.
fn expect_may(actor: &Actor, image: &Image, is_located: bool, change: &LocationChange) -> Result<(), Error> {
    let id = image.id;
    match change {
        LocationChange::Remove(_) if !access::may(actor, Action::ImagesDropCopy, image) => {
            Err(access::refusal(actor, image, Action::ImagesDropCopy))
        }
        LocationChange::Replace(all) if all.is_empty() => {
            Err(Error::forbidden(format!("image {id} cannot be left without a location")))
        }
        LocationChange::Add(..) | LocationChange::Replace(_)
            if !matches!(image.status, Status::Queued | Status::Active) =>
        {
            let status = image.status.as_str();
            Err(Error::conflict(format!("image {id} is {status}, neither queued nor active")))
        }
        LocationChange::Add(..) | LocationChange::Replace(_)
            if image.status == Status::Active && !is_located =>
        {
            Err(own_data(image))
        }
        _ => Ok(()),
    }
}

/// Refuses what would be too many locations, before any address is asked.
fn expect_few(image: &Image, located: Option<&Located>, changes: &[LocationChange]) -> Result<(), Error> {
    // What an import by location left that did not succeed does not count.
    let there = located.filter(|_| image.status == Status::Active);
    let mut count = there.map_or(0, |located| located.locations.len());
    for change in changes {
        match change {
            LocationChange::Add(..) => count += 1,
            LocationChange::Replace(all) if located.is_none() => count += all.len(),
            LocationChange::Replace(_) => {}
            LocationChange::Remove(_) => count = count.saturating_sub(1),
        }
        if count > LOCATIONS_MAX {
            return Err(too_many());
        }
    }
    Ok(())
}

fn too_many() -> Error {
    Error::too_large(format!("an image may have at most {LOCATIONS_MAX} locations"))
}

fn own_data(image: &Image) -> Error {
    Error::conflict(format!("the data of image {} is this box's own: it lies in no other place", image.id))
}

fn expect_may_add(rows: &impl Rows, actor: &Actor, image: &Image) -> Result<(), Error> {
    access::writable(rows, actor, &image.id, Action::ImagesUpload)?;
    expect_free(image)
}

/// All but one.
fn removed(actor: &Actor, image: &Image, located: Option<Located>, at: usize) -> Result<Located, Error> {
    let id = image.id;
    if !access::may(actor, Action::ImagesDropCopy, image) {
        return Err(access::refusal(actor, image, Action::ImagesDropCopy));
    }
    if image.status != Status::Active {
        return Err(Error::conflict(format!("image {id} is {}, not active", image.status.as_str())));
    }
    let own =
        "its data is this box's own: DELETE /v2/stores/{store}/{image} takes it from one of several stores";
    let mut located =
        located.ok_or_else(|| Error::forbidden(format!("image {id} keeps its location: {own}")))?;
    if at >= located.locations.len() {
        return Err(Error::invalid(format!("image {id} has no location {at}")));
    }
    if located.locations.len() == 1 {
        return Err(Error::forbidden(format!("image {id} cannot be left without a location")));
    }
    located.locations.remove(at);
    Ok(located)
}
