//! The first read of an image by reference: the box fetches the data, looks at it, compares it with what was declared,
//! and keeps it.
//!
//! Invariants: one fetch of an image is under way at a time, and few of all; whoever reads waits for its end, so that no byte
//! leaves before all were compared. What does not match is not kept, and is on record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared};
use futures::{StreamExt, TryStreamExt};

use crate::catalog::{images, locations};
use crate::model::image::{Declared, Located};
use crate::model::{Image, ImageId, Operation, SecureHash};
use crate::service::audit::Act;
use crate::service::images::Download;
use crate::service::images::screen::Screen;
use crate::service::images::upload::{check_cap, gone, in_background};
use crate::service::images::verdicts::Known;
use crate::service::{Actor, Error, ErrorKind, Service};
use crate::store::{Reach, Receipt};

/// Longest time that a reader waits; the fetch goes on without it.
const WAIT: Duration = Duration::from_secs(30);
/// Fetches under way at once.
const FETCHES_MAX: usize = 4;

type Fetch = Shared<BoxFuture<'static, Result<(), Error>>>;

/// The fetches that are under way. Cheap to share.
#[derive(Clone, Default)]
pub(in crate::service) struct Fetches(Arc<Mutex<HashMap<ImageId, Fetch>>>);

impl Fetches {
    /// The fetch of an image: the one that is under way, else the one that `begin` begins.
    fn join(
        &self,
        id: ImageId,
        begin: impl FnOnce() -> BoxFuture<'static, Result<(), Error>>,
    ) -> Result<Fetch, Error> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetch) = under_way.get(&id) {
            return Ok(fetch.clone());
        }
        if under_way.len() >= FETCHES_MAX {
            return Err(later("the box fetches as many images as it can at once"));
        }
        let (fetches, work) = (self.clone(), begin());
        let task = tokio::spawn(async move {
            let outcome = work.await;
            fetches.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            outcome
        });
        let fetch = task
            .map(|ended| {
                ended.unwrap_or_else(|died| {
                    tracing::error!(%died, "a fetch panicked");
                    Err(Error::new(ErrorKind::Internal, "the server failed; its log says why"))
                })
            })
            .boxed()
            .shared();
        under_way.insert(id, fetch.clone());
        Ok(fetch)
    }
}

impl Download {
    /// Whether the data has to be fetched before it can be read.
    pub fn awaits_data(&self) -> bool {
        self.reader.is_none() && self.image.is_by_reference()
    }
}

impl Service {
    /// Has an image's data fetched from where its location says, and waits for that, as long as a reader may wait.
    ///
    /// # Errors
    /// `Unavailable` when no location has it now, when what is there is not what was declared, or when it takes longer
    /// than a reader waits; `UnsupportedContent`; `TooLarge` when a limit of the image's project is.
    pub async fn fetch_by_reference(&self, id: &ImageId) -> Result<(), Error> {
        let (service, image) = (self.clone(), *id);
        let fetch = self.fetches.join(*id, move || async move { service.fetch(image).await }.boxed())?;
        match tokio::time::timeout(WAIT, fetch).await {
            Ok(outcome) => outcome,
            Err(_) => Err(later("the image's data is being fetched for its first read")),
        }
    }

    async fn fetch(&self, id: ImageId) -> Result<(), Error> {
        let service = self.clone();
        let (image, located) = in_background(move || {
            let read = service.db.read()?;
            let image = images::get(&read, &id)?.ok_or_else(|| gone(&id))?;
            Ok((image, locations::get(&read, &id)?.unwrap_or_default()))
        })
        .await?;
        if !image.is_by_reference() || located.locations.is_empty() {
            // It was fetched meanwhile, or there is nothing to be fetched.
            return Ok(());
        }
        let mut first = None;
        for location in &located.locations {
            match self.fetch_from(&image, &location.url, &located.declared).await {
                Ok(fetched) => return self.keep_fetched(image, &located, &location.url, fetched).await,
                Err(error) => {
                    self.litter().left(Reach::Everything);
                    tracing::warn!(image = %id, %error, "a location does not give the image's data");
                    let error = self.told(&image, error).await;
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| Error::conflict(format!("image {id} has no data, and no location"))))
    }

    /// Puts it on record that what lies at a location is not the image's.
    async fn told(&self, image: &Image, error: Refused) -> Error {
        let Refused::Wrong(error) = error else { return error.into() };
        let (service, id) = (self.clone(), image.id);
        let act = Act::on(Operation::UpdateImage, id)
            .saying(format!("refused at its first read: {}", error.message));
        let noted = in_background(move || {
            service.recorded_failure(&Actor::system(), act, move |txn, act| {
                if let Some(image) = images::get(txn, &id)? {
                    act.image(&image);
                }
                Ok::<_, Error>(())
            })
        });
        match noted.await {
            Ok(()) => error,
            Err(failed) => failed,
        }
    }

    async fn fetch_from(&self, image: &Image, url: &str, declared: &Declared) -> Result<Fetched, Refused> {
        let size = image.size_bytes.unwrap_or(0);
        let answer = self.web.open(url, None).await.map_err(|error| Refused::Away(unavailable(&error)))?;
        let (service, asked) = (self.clone(), image.clone());
        let algorithm = declared.secure.as_ref().map(SecureHash::algorithm);
        let mut ingest = in_background(move || {
            let scope = service.stream_scope(&asked)?;
            Ok(match algorithm {
                Some(algorithm) => service.store().ingest_hashing(scope, algorithm)?,
                None => service.store().ingest(scope)?,
            })
        })
        .await?;
        let mut screen = Screen::new(image, self.rules.require_format_match);
        let (mut body, mut received) = (answer.body.map_err(|error| unavailable(&error)).boxed(), 0);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(Refused::Away)?;
            received += piece.len() as u64;
            if received > size {
                return Err(wrong(format!("there are more than the {size} bytes that were there at first")));
            }
            check_cap(received, self.rules.image_bytes_max)?;
            screen.push(&piece).map_err(Refused::Wrong)?;
            ingest.write(piece).await.map_err(Error::from)?;
        }
        if received != size {
            return Err(wrong(format!("there are {received} bytes, and there were {size} at first")));
        }
        let judged = screen.finish(received).map_err(Refused::Wrong)?;
        let receipt = ingest.finish(images::encode(image)).await.map_err(Error::from)?;
        let found = receipt.digests();
        if declared.secure.is_some() && found.secure != declared.secure {
            return Err(differs("os_hash_value", found.secure.as_ref().map(SecureHash::value)));
        }
        // Where the box computes none, the other digest alone tells.
        if let (Some(said), Some(md5)) = (declared.md5, found.md5)
            && said != md5
        {
            return Err(differs("checksum", Some(&md5)));
        }
        let (service, looked_at) = (self.clone(), receipt.clone());
        let looked = in_background(move || service.look_into(judged, &looked_at)).await;
        let known = looked.map_err(|error| match error.kind {
            ErrorKind::UnsupportedContent => Refused::Wrong(error),
            _ => Refused::Away(error),
        })?;
        Ok(Fetched { receipt, known })
    }

    /// The commit in which the data is the box's too.
    async fn keep_fetched(
        &self,
        before: Image,
        located: &Located,
        url: &str,
        fetched: Fetched,
    ) -> Result<(), Error> {
        let (service, located) = (self.clone(), located.clone());
        // What follows may be what lets its bearer in.
        let said = format!("its data was fetched from {}", url.split(['?', '#']).next().unwrap_or_default());
        in_background(move || {
            let (store, id) = (service.store.clone(), before.id);
            let act = Act::on(Operation::UpdateImage, id).saying(said);
            let kept = service.recorded(&Actor::system(), act, move |txn, act| {
                let mut image = images::get(txn, &id)?.ok_or_else(|| gone(&id))?;
                act.image(&image);
                let is_same = image.is_by_reference()
                    && image.size_bytes == before.size_bytes
                    && locations::get(txn, &id)?.is_some_and(|now| now.declared == located.declared);
                if !is_same {
                    return Err(Error::conflict(format!(
                        "image {id} was changed while its data was fetched"
                    )));
                }
                store.publish(txn, &fetched.receipt)?;
                image.content = Some(fetched.receipt.content());
                image.place = before.place;
                image.digests = Some(fetched.receipt.digests().clone());
                image.virtual_size_bytes = fetched.known.virtual_size;
                image.verdict = fetched.known.verdict.clone();
                Ok(images::update(txn, &image)?)
            });
            if kept.is_err() {
                service.litter().left(Reach::Everything);
            }
            kept
        })
        .await
    }
}

/// Data that is what it should be, durable and named by nothing yet.
struct Fetched {
    receipt: Receipt,
    known: Known,
}

/// Why a location did not give an image's data.
#[derive(Debug)]
enum Refused {
    /// It has none now, or the box could not take it.
    Away(Error),
    /// It has other data than it should.
    Wrong(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Away(error)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        match refused {
            Refused::Away(error) | Refused::Wrong(error) => error,
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Away(error) | Refused::Wrong(error) => {
                write!(f, "{error}")?;
                // For the log, which is all that prints this.
                error.internal.iter().try_for_each(|internal| write!(f, ": {internal}"))
            }
        }
    }
}

fn wrong(why: String) -> Refused {
    let message = format!("the image's location has other data than the image: {why}");
    Refused::Wrong(Error::new(ErrorKind::Unavailable, message))
}

fn differs(what: &str, found: Option<&[u8]>) -> Refused {
    wrong(format!("its {what} is {}, which was not declared", found.map(hex::encode).unwrap_or_default()))
}

/// Where the data lies is its owners' to know, and others read the image too.
fn unavailable(error: &crate::web::Error) -> Error {
    let message = "the image's data cannot be had from its location just now";
    Error { internal: Some(error.to_string()), ..Error::new(ErrorKind::Unavailable, message) }
}

fn later(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{why}; ask again in a while"))
}
