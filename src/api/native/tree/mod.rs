//! `images/ID/tree`: single files out of an image, and its directories: as JSON, or as a page where a browser asks.
//!
//! An image of a disc is an installation source here. Invariant: equal entity tags mean equal bytes, since a file's is made
//! of the data's digest and its place in it; a page runs nothing, and names of files stand in it as text alone.

mod page;
#[cfg(test)]
mod tests;

pub(super) use page::place_from;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::sending::{Wanted, set, wanted};
use super::{image_id, signed_in};
use crate::api::body::begun;
use crate::api::context::ApiState;
use crate::api::query;
use crate::api::routing::{Routes, get};
use crate::base::Time;
use crate::disk::inside::{Entry, Found, NodeKind};
use crate::model::{ByteRange, ImageId};
use crate::service::images::{OpenFile, OpenTree};
use crate::service::{Actor, Error};

/// Entries of a directory that are told; more are said to be there.
const ENTRIES_MAX: usize = 10_000;
/// What is read at once for one client: as much as it may hold of a file that it takes slowly.
const PIECE_BYTES: u64 = 256 << 10;

/// What a path led to.
enum Opened {
    Directory(Directory),
    File(OpenFile),
}

/// A directory that was listed.
struct Directory {
    path: String,
    volume: u32,
    entries: Vec<(Entry, Option<String>)>,
    is_cut: bool,
}

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/images/{image}/tree", get(top))
        .route("/tintype/v1/images/{image}/tree/", get(top))
        .route("/tintype/v1/images/{image}/tree/{*path}", get(below))
}

async fn top(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    respond(&state, image_id(&image)?, "/".into(), request.into_parts().0).await
}

async fn below(
    State(state): State<ApiState>,
    Path((image, path)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    respond(&state, image_id(&image)?, path, request.into_parts().0).await
}

async fn respond(state: &ApiState, id: ImageId, path: String, parts: Parts) -> Result<Response, Refusal> {
    let actor = signed_in(state, &parts).await?;
    let volume = volume(&parts)?;
    let asked = Asked { id, path, volume };
    send(state, &parts, actor, asked, |directory| (page::place_of(id, directory), volume)).await
}

/// What is wanted of a tree.
pub(super) struct Asked {
    /// The image.
    pub(super) id: ImageId,
    /// The path.
    pub(super) path: String,
    /// The volume; the one that is found without.
    pub(super) volume: Option<u32>,
}

/// Hands out what a path leads to, to whoever `actor` acts for. Pages have links below the place that `place` makes of
/// a directory's path, and name the volume that it says.
pub(super) async fn send(
    state: &ApiState,
    parts: &Parts,
    actor: Actor,
    Asked { id, path, volume }: Asked,
    place: impl FnOnce(&str) -> (String, Option<u32>),
) -> Result<Response, Refusal> {
    let turn = match volume {
        Some(_) => state.service.store().turn().await.map_err(Error::from)?,
        // The system's root is found by a look at the disk.
        None => state.service.look_turn().await?,
    };
    let (tree, opened) = state
        .in_turn(turn, move |service| {
            let tree = service.open_tree(&actor, &id, volume)?;
            let opened = open(&tree, tree.find(&path)?)?;
            Ok((tree, opened))
        })
        .await?;
    match opened {
        Opened::File(file) => serve(state, &tree, file, parts).await,
        Opened::Directory(directory) => {
            let (place, volume) = place(&directory.path);
            Ok(show(&place, &directory, volume, &parts.headers))
        }
    }
}

fn open(tree: &OpenTree, found: Found) -> Result<Opened, Error> {
    if found.node.kind != NodeKind::Directory {
        return tree.open(found).map(Opened::File);
    }
    let listing = tree.list(&found, ENTRIES_MAX)?;
    let with_target = |entry: Entry| {
        // A link that is not in order is one that leads nowhere.
        let target = (entry.node.kind == NodeKind::Link).then(|| tree.target(&entry.node).ok()).flatten();
        (entry, target)
    };
    let entries = listing.entries.into_iter().map(with_target).collect();
    Ok(Opened::Directory(Directory {
        path: found.path,
        volume: tree.volume,
        entries,
        is_cut: listing.is_cut,
    }))
}

/// The volume that the query names.
fn volume(parts: &Parts) -> Result<Option<u32>, Refusal> {
    let pairs = query::pairs(&parts.uri).ok_or_else(|| Refusal::bad("the query is not valid UTF-8"))?;
    let mut volume = None;
    for (name, value) in pairs {
        match name.as_str() {
            "partition" => {
                let number = value.parse().map_err(|_| {
                    Refusal::bad("partition: it has to be the number of one, or 0 for the whole disk")
                })?;
                volume = Some(number);
            }
            _ => return Err(Refusal::bad(format!("there is no parameter {name:?} here, but partition"))),
        }
    }
    Ok(volume)
}

/// Hands out a file, or a part of it; to HEAD only what would come.
async fn serve(
    state: &ApiState,
    tree: &OpenTree,
    file: OpenFile,
    parts: &Parts,
) -> Result<Response, Refusal> {
    let (size, tag) = (file.size_bytes(), tag(tree, &file));
    let (status, range) = match wanted(&parts.method, &parts.headers, tag.as_deref(), Some(size)) {
        Wanted::Whole => (StatusCode::OK, ByteRange::whole(size)),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unchanged => (StatusCode::NOT_MODIFIED, ByteRange { start: 0, end: 0 }),
        Wanted::Changed => {
            let message = format!("{} is not the file that If-Match names", file.path);
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, message));
        }
        Wanted::Outside => {
            let message = format!("{} has {size} bytes, and the range is outside of them", file.path);
            let mut response = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, message).into_response();
            set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(response);
        }
    };
    let id = tree.image.id;
    let mut response = status.into_response();
    let headers = response.headers_mut();
    if let Some(tag) = &tag {
        set(headers, ETAG, tag);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    harmless(headers, "application/octet-stream");
    headers.insert(CONTENT_LENGTH, range.len().into());
    if status == StatusCode::PARTIAL_CONTENT {
        set(headers, CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    if parts.method != Method::HEAD {
        *response.body_mut() = begun(pieces(state.clone(), file, range), id).await?;
    }
    Ok(response)
}

/// The bytes of a range, read as they are taken.
fn pieces(
    state: ApiState,
    file: OpenFile,
    range: ByteRange,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    stream::try_unfold(range, move |left| {
        let (state, file) = (state.clone(), file.clone());
        async move {
            let count = left.len().min(PIECE_BYTES);
            if count == 0 {
                return Ok(None);
            }
            let turn = state.service.store().turn().await?;
            let piece = state.in_turn(turn, move |_| file.read_at(left.start, count as usize)).await?;
            Ok(Some((Bytes::from(piece), ByteRange { start: left.start + count, end: left.end })))
        }
    })
}

/// A file's entity tag: of the data's digest, what it is read as, the volume and the path.
fn tag(tree: &OpenTree, file: &OpenFile) -> Option<String> {
    let digests = tree.image.digests.as_ref()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&digests.blake3).update(&tree.volume.to_le_bytes());
    for text in [&tree.read_as, &file.path] {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    Some(format!("\"{}\"", hasher.finalize().to_hex()))
}

/// A directory in the form that the client takes.
fn show(place: &str, directory: &Directory, volume: Option<u32>, asked: &HeaderMap) -> Response {
    let takes_pages =
        asked.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default().contains("text/html");
    let mut response = match takes_pages {
        true => {
            let mut response = page::of(place, directory, volume).into_response();
            harmless(response.headers_mut(), "text/html; charset=utf-8");
            response
        }
        false => Json(body(directory)).into_response(),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Whatever a file says, a browser runs none of it.
fn harmless(headers: &mut HeaderMap, media: &'static str) {
    let all: [(HeaderName, &'static str); 3] = [
        (CONTENT_TYPE, media),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn body(directory: &Directory) -> Value {
    json!({
        "path": directory.path,
        "partition": directory.volume,
        "entries": directory.entries.iter().map(entry_body).collect::<Vec<_>>(),
        "is_cut": directory.is_cut,
    })
}

fn entry_body((entry, target): &(Entry, Option<String>)) -> Value {
    let node = &entry.node;
    json!({
        "name": entry.name,
        "type": match node.kind {
            NodeKind::File => "file",
            NodeKind::Directory => "directory",
            NodeKind::Link => "link",
            NodeKind::Other => "other",
        },
        "size_bytes": (node.kind == NodeKind::File).then_some(node.size_bytes),
        "mode": node.mode.map(|mode| format!("{mode:04o}")),
        "modified_at": node.modified_s.map(|at| Time(at * Time::SECOND).rfc3339_seconds()),
        "target": target,
    })
}
