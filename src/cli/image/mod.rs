//! `tintype image …`: one file per command; here is what they share.

mod arrival;
mod capture;
mod copy;
mod delete;
mod deleted;
mod export;
mod extents;
mod families;
mod fetch;
mod holes;
mod import;
mod inspect;
mod link;
mod list;
mod new;
mod part;
mod patience;
mod places;
mod reading;
mod save;
mod send;
mod set;
mod show;
mod sink;
mod start;
mod stores;
mod tree;
mod verify;
mod wanted;

use clap::Subcommand;
use http::Method;
pub use patience::Patience;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::{Failure, Status};
use super::output::Output;

/// Commands on images.
#[derive(Subcommand)]
pub enum Image {
    /// List images
    List(list::List),
    /// List families of images, and the latest of each
    Families,
    /// Show one image
    Show(show::Show),
    /// Change what an image's record says: name, visibility, properties, tags
    Set(set::Set),
    /// Let nobody but administrators read images' data
    Deactivate(set::Which),
    /// Let deactivated images be read again
    Reactivate(set::Which),
    /// Tell what lies inside an image: partitions, system, kernels, and what to do about it
    Inspect(inspect::Inspect),
    /// List a directory of an image's disk
    Ls(tree::Ls),
    /// Write a file of an image's disk to standard output
    Cat(tree::Cat),
    /// Make an image of a file, or of standard input
    Import(import::Import),
    /// Make an image of an NBD server's disk, a block device or a sparse file, without reading its holes
    Capture(capture::Capture),
    /// Write an image's data to a file, or to standard output
    Save(save::Save),
    /// Make an address by which whoever has it downloads an image for a while, without a token
    Link(link::Link),
    /// List the links to an image
    Links(link::Links),
    /// End a link to an image
    Unlink(link::Unlink),
    /// Have the box make an image of a file in a bucket, or the images of a machine from a backup there
    Fetch(fetch::Fetch),
    /// Have the box write an image's data to a file in a bucket
    Export(export::Export),
    /// Make another image of the same data: here, or in another box
    Copy(copy::Copy),
    /// List where the disk that a guest sees of an image has data
    Extents(extents::Extents),
    /// List where the disk of an image differs from that of another
    Diff(extents::Diff),
    /// Copy an image's data to more stores of the box
    CopyTo(stores::CopyTo),
    /// Take an image's data from one of several stores
    DropCopy(stores::DropCopy),
    /// List the buckets and regions that images may come from and go to
    Places,
    /// Delete images
    Delete(delete::Delete),
    /// List deleted images that are retained (images.retain_deleted_s)
    Deleted,
    /// Bring a deleted image back
    Undelete(deleted::Which),
    /// Give the space of a deleted image back now
    Purge(deleted::Which),
}

impl Image {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command failed with.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Image::List(list) => list.run(client, output).await,
            Image::Families => families::run(client, output).await,
            Image::Show(show) => show.run(client, output).await,
            Image::Set(set) => set.run(client, output).await,
            Image::Deactivate(which) => which.deactivate(client, output).await,
            Image::Reactivate(which) => which.reactivate(client, output).await,
            Image::Inspect(inspect) => inspect.run(client, output).await,
            Image::Ls(ls) => ls.run(client, output).await,
            Image::Cat(cat) => cat.run(client).await,
            Image::Import(import) => import.run(client, output).await,
            Image::Capture(capture) => capture.run(client, output).await,
            Image::Save(save) => save.run(client, output).await,
            Image::Link(link) => link.run(client, output).await,
            Image::Links(links) => links.run(client, output).await,
            Image::Unlink(unlink) => unlink.run(client, output).await,
            Image::Fetch(fetch) => fetch.run(client, output).await,
            Image::Export(export) => export.run(client, output).await,
            Image::Copy(copy) => copy.run(client, output).await,
            Image::Extents(extents) => extents.run(client, output).await,
            Image::Diff(diff) => diff.run(client, output).await,
            Image::CopyTo(copy) => copy.run(client, output).await,
            Image::DropCopy(copy) => copy.run(client, output).await,
            Image::Places => places::run(client, output).await,
            Image::Delete(delete) => delete.run(client, output).await,
            Image::Deleted => deleted::list(client, output).await,
            Image::Undelete(which) => which.restore(client, output).await,
            Image::Purge(which) => which.purge(client, output).await,
        }
    }
}

/// Ids of images with the same name that are told of.
const IDS_MAX: usize = 5;
/// What stands before the name of a family.
const FAMILY: &str = "family:";

/// The latest image of a family (`family:NAME`), or else the one that [`find`] finds. For commands that change nothing:
/// which image is the latest may change at any time.
pub(super) async fn find_to_read(client: &Client, name: &str) -> Result<Value, Failure> {
    match name.strip_prefix(FAMILY) {
        Some(family) => latest(client, family).await,
        None => find(client, name).await,
    }
}

/// The ids of the images with these ids, or else names.
///
/// # Errors
/// When one is not there, or a name is that of several.
pub(super) async fn ids(client: &Client, names: &[String]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for name in names {
        found.push(id(&find(client, name).await?)?.to_owned());
    }
    Ok(found)
}

/// The one image with this id, or else with this name.
async fn find(client: &Client, name: &str) -> Result<Value, Failure> {
    if uuid::Uuid::try_parse(name).is_ok() {
        return client.get(Api::Image, &format!("/v2/images/{name}")).await;
    }
    let query = list::query(&[("name", name)]);
    let mut found = list::all(client, &query).await?;
    match (found.pop(), found.len()) {
        (None, _) => Err(Failure::not_found(format!("no image called \"{name}\""))),
        (Some(image), 0) => Ok(image),
        (Some(last), more) => {
            let ids = found.iter().chain([&last]).filter_map(|image| image["id"].as_str());
            let ids: Vec<&str> = ids.take(IDS_MAX).collect();
            let (more, ids) = (more + 1, ids.join(", "));
            Err(Failure::failed(format!("{more} images are called \"{name}\"; name one by its id: {ids}")))
        }
    }
}

/// The latest image of a family.
async fn latest(client: &Client, family: &str) -> Result<Value, Failure> {
    let path = format!("/families/{}", utf8_percent_encode(family, NON_ALPHANUMERIC));
    let told = client.get(Api::Native, &path).await?;
    match told["latest"]["id"].as_str() {
        Some(id) => client.get(Api::Image, &format!("/v2/images/{id}")).await,
        None => Err(Failure::not_found(format!(
            "no image of family {family} is fit for use: {} were passed over, the newest because: {}",
            told["passed_over"].as_array().map_or(0, Vec::len),
            told["passed_over"][0]["why"].as_str().unwrap_or_default()
        ))),
    }
}

/// Prints the images that a job made, or the job while it has not ended.
async fn print_made(client: &Client, output: Output, job: &Value) -> Result<(), Failure> {
    if job["state"] != "succeeded" {
        return output.record(job);
    }
    let mut images = Vec::new();
    for id in job["images"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        images.push(client.get(Api::Image, &format!("/v2/images/{id}")).await?);
    }
    match images.as_slice() {
        [image] => output.record(image),
        several => output.rows(several, &list::COLUMNS),
    }
}

/// Takes an image away that nothing fills any more; gives the failure that this is about, with what is left where that
/// cannot be done.
async fn take_back(client: &Client, id: &str, failure: Failure) -> Failure {
    match client.call(Method::DELETE, Api::Image, &format!("/v2/images/{id}")).await {
        Ok(_) => failure.nothing_is_kept(),
        Err(refusal) if is_gone(&refusal) => failure.nothing_is_kept(),
        Err(_) => left(id, failure),
    }
}

/// The same failure, with the image that it leaves behind.
fn left(id: &str, failure: Failure) -> Failure {
    if is_gone(&failure) {
        return failure;
    }
    let message = format!(
        "{failure}; image {id} is left there, without its data; delete it (tintype image delete {id})"
    );
    Failure { message, ..failure }
}

fn is_gone(failure: &Failure) -> bool {
    matches!(failure.status, Status::NotFound | Status::Gone)
}

pub(super) fn id(image: &Value) -> Result<&str, Failure> {
    image["id"].as_str().ok_or_else(|| Failure::failed("the server's answer names no image id"))
}
