//! A file that goes out as it is packed: its length is known when it ends.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::flow::{Crew, Flow, Held, pieces};
use super::layouts::{Kept, Layouts};
use super::measuring::{Packing, whole};
use crate::disk::writing::{Names, VmdkStream};
use crate::service::Error;

/// A VMDK on its way.
struct Going {
    flow: Flow<Packing>,
    /// `None` when its end is out.
    file: Option<VmdkStream>,
    /// Where the data is, and room for the tables.
    _held: (Arc<Kept>, OwnedSemaphorePermit),
}

/// The bytes of a VMDK.
///
/// # Errors
/// When there are no such disks, or there is no memory for its tables now.
pub(super) fn stream(
    crew: Crew,
    packing: Packing,
    names: &Names,
    layouts: &Layouts,
    kept: Arc<Kept>,
) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let room = layouts.reserve_stream(&packing.blocks)?;
    let begun = VmdkStream::begin(&packing.blocks, names);
    let (file, front) = begun.map_err(|unfit| Error::invalid(unfit.to_string()))?;
    let all = whole(&packing.blocks);
    let going = Going { flow: Flow::new(crew, packing, all), file: Some(file), _held: (kept, room) };
    let rest = pieces(going, |mut going| async { going.next().await.map(|made| (made, going)) });
    Ok(stream::iter([Ok(Bytes::from(front))]).chain(rest).boxed())
}

impl Going {
    async fn next(&mut self) -> Option<Result<Held<Vec<Bytes>>, Error>> {
        match self.flow.next().await {
            Some(Ok(Held { out: units, room })) => {
                let out = self.written(units);
                if out.is_err() {
                    self.file = None;
                }
                Some(out.map(|out| Held { out, room }))
            }
            Some(Err(error)) => {
                self.file = None;
                Some(Err(error))
            }
            None => {
                let end = self.file.take()?.finish();
                Some(Ok(Held { out: vec![end.into()], room: None }))
            }
        }
    }

    fn written(&mut self, units: Vec<(u64, Vec<u8>)>) -> Result<Vec<Bytes>, Error> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let written = units.into_iter().map(|(unit, packed)| Ok(file.unit(unit, &packed)?.into()));
        written
            .collect::<Result<_, _>>()
            .map_err(|unfit: crate::disk::writing::Unfit| Error::invalid(unfit.to_string()))
    }
}
