//! Showing one image, listing many.

use super::access;
use crate::catalog::images::{self, Direction, Filters, ListQuery, SortKey, Viewer};
use crate::model::image::MemberStatus;
use crate::model::{Image, ImageId};
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// What a caller wants listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// What to leave out.
    pub filters: Filters,
    /// The order.
    pub sort: Vec<(SortKey, Direction)>,
    /// The last image of the page before.
    pub marker: Option<ImageId>,
    /// Rows at most.
    pub limit: usize,
    /// Shares in this state count; `None` counts every state.
    pub member_status: Option<MemberStatus>,
}

impl Service {
    /// One image.
    ///
    /// # Errors
    /// `NotFound` when it is not there or not visible.
    pub fn show_image(&self, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
        let image = access::visible(&self.db.read()?, actor, id)?;
        Ok(self.shown_to(actor, image))
    }

    /// One page of what the caller may list.
    ///
    /// # Errors
    /// `Forbidden` without the right to list images, or to see a property that is filtered by, or when the marker is not
    /// visible; `Invalid` when
    /// the marker is no image.
    pub fn list_images(&self, actor: &Actor, listing: Listing) -> Result<Vec<Image>, Error> {
        let project = access::project(actor)?.clone();
        actor.expect(Action::ImagesList, Resource::None)?;
        self.expect_readable(actor, &listing.filters)?;
        let read = self.db.read()?;
        if let Some(marker) = &listing.marker {
            if images::get(&read, marker)?.is_none() {
                return Err(Error::invalid(format!("marker {marker} is no image")));
            }
            access::in_sight(&read, actor, marker)
                .map_err(|_| Error::forbidden(format!("marker {marker} is not an image you may see")))?;
        }
        if listing.limit == 0 {
            return Ok(Vec::new());
        }
        let viewer = if actor.allows(Action::ImagesAccessAll, Resource::None) {
            Viewer::Admin { project: Some(project) }
        } else {
            Viewer::Project { project, member_status: listing.member_status }
        };
        let query = ListQuery {
            viewer,
            filters: listing.filters,
            sort: listing.sort,
            after: listing.marker,
            limit: listing.limit,
        };
        Ok(images::list(&read, &query)?.into_iter().map(|image| self.shown_to(actor, image)).collect())
    }
}
