//! The Image API on one page: which path and method leads where.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, LOCATION};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::call::Call;
use super::error::Refusal;
use super::{
    cache, data, images, imports, locations, members, metadefs, schemas, stores, tasks, usage, versions,
};
use crate::api::context::{ApiState, Credentials, authenticate};
use crate::model::ImageId;
use crate::model::job::JobId;

/// Starts the `Accept` of a client that names the API's version there instead of in the path.
const VERSION_MEDIA_TYPE: &str = "application/vnd.openstack.images-v2";

/// Answers whatever no other protocol took.
pub async fn dispatch(State(state): State<ApiState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let base_url = state.base_url(&parts.uri, &parts.headers);
    let headers = parts.headers.clone();
    let sign_in_url = state.sign_in_url(&base_url);
    match route(state, parts, body, &base_url).await {
        Ok(response) => response,
        Err(refusal) => refusal.respond(&headers, &sign_in_url),
    }
}

async fn route(state: ApiState, parts: Parts, body: Body, base_url: &str) -> Result<Response, Refusal> {
    let path = parts.uri.path().to_owned();
    let raw: Vec<&str> = path.split('/').skip(1).collect();
    let below = match raw.as_slice() {
        ["versions"] | ["versions", ""] => {
            return Ok(versions::list(&state.service, StatusCode::OK, base_url));
        }
        [prefix, below @ ..] if versions::is_prefix(&state.service, prefix) => below,
        below if names_version(&parts) => below,
        _ => return Ok(versions::list(&state.service, StatusCode::MULTIPLE_CHOICES, base_url)),
    };
    let credentials = Credentials::of(&parts);
    let actor = state.blocking(move |service| authenticate(service, &credentials)).await?;
    if below.is_empty() {
        return Ok((StatusCode::FOUND, [(LOCATION, format!("{path}/"))]).into_response());
    }
    let segments = below.iter().map(|segment| decode(segment)).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let resource = Resource::find(&segments).ok_or_else(Refusal::no_path)?;
    resource.answer(Call { state, actor, parts, body }).await
}

/// What a path can name.
#[derive(Debug)]
enum Resource<'path> {
    Images,
    Image(ImageId),
    File(ImageId),
    Deactivate(ImageId),
    Reactivate(ImageId),
    Members(ImageId),
    Member(ImageId, &'path str),
    Tag(ImageId, &'path str),
    Stage(ImageId),
    Import(ImageId),
    ImageTasks(ImageId),
    Locations(ImageId),
    Tasks,
    Task(JobId),
    Schema(&'path str),
    ImportMethods,
    MetadefSchema(&'path str),
    Metadefs(metadefs::Place<'path>),
    Usage,
    Stores,
    StoreDetails,
    StoredCopy(&'path str, ImageId),
    Cache,
    CachedImage(ImageId),
    CacheNodes(ImageId),
    CacheClean,
    CachePrune,
}

impl<'path> Resource<'path> {
    /// The resource that a path below the version names. An id that is none names nothing.
    fn find(segments: &[&'path str]) -> Option<Resource<'path>> {
        Some(match *segments {
            ["schemas", name] => Resource::Schema(name),
            ["schemas", "metadefs", name] => Resource::MetadefSchema(name),
            ["metadefs", ref below @ ..] => Resource::Metadefs(metadefs::Place::find(below)?),
            ["info", "usage"] => Resource::Usage,
            ["info", "import"] => Resource::ImportMethods,
            ["tasks"] => Resource::Tasks,
            ["tasks", id] => Resource::Task(tasks::task_id(id)?),
            ["info", "stores"] => Resource::Stores,
            ["info", "stores", "detail"] => Resource::StoreDetails,
            ["stores", store, id] if !store.is_empty() => Resource::StoredCopy(store, ImageId::parse(id)?),
            ["cache"] => Resource::Cache,
            ["cache", "clean"] => Resource::CacheClean,
            ["cache", "prune"] => Resource::CachePrune,
            ["cache", id] => Resource::CachedImage(ImageId::parse(id)?),
            ["cache", "nodes", id] => Resource::CacheNodes(ImageId::parse(id)?),
            ["images"] => Resource::Images,
            ["images", id, ref below @ ..] => {
                let id = ImageId::parse(id)?;
                match *below {
                    [] => Resource::Image(id),
                    ["file"] => Resource::File(id),
                    ["stage"] => Resource::Stage(id),
                    ["import"] => Resource::Import(id),
                    ["tasks"] => Resource::ImageTasks(id),
                    ["locations"] => Resource::Locations(id),
                    ["actions", "deactivate"] => Resource::Deactivate(id),
                    ["actions", "reactivate"] => Resource::Reactivate(id),
                    ["members"] => Resource::Members(id),
                    ["members", project] if !project.is_empty() => Resource::Member(id, project),
                    ["tags", tag] if !tag.is_empty() => Resource::Tag(id, tag),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    /// The methods it takes, as `Allow` lists them.
    fn allow(&self) -> &'static str {
        match self {
            Resource::Images | Resource::Members(_) | Resource::Tasks | Resource::Locations(_) => "GET, POST",
            Resource::Image(_) => "GET, PATCH, DELETE",
            Resource::File(_) => "GET, PUT",
            Resource::Deactivate(_) | Resource::Reactivate(_) | Resource::Import(_) => "POST",
            Resource::Stage(_) => "PUT",
            Resource::Member(..) => "GET, PUT, DELETE",
            Resource::Tag(..) => "PUT, DELETE",
            Resource::StoredCopy(..) => "DELETE",
            Resource::Cache => "GET, DELETE",
            Resource::CachedImage(_) => "PUT, DELETE",
            Resource::CacheClean | Resource::CachePrune => "POST",
            Resource::CacheNodes(_) => "GET",
            Resource::Schema(_) | Resource::MetadefSchema(_) | Resource::Usage | Resource::ImportMethods => {
                "GET"
            }
            Resource::Stores | Resource::StoreDetails | Resource::Task(_) | Resource::ImageTasks(_) => "GET",
            Resource::Metadefs(place) => place.allow(),
        }
    }

    async fn answer(self, call: Call) -> Result<Response, Refusal> {
        use Resource::{
            Cache, CacheClean, CacheNodes, CachePrune, CachedImage, Deactivate, File, Image, ImageTasks,
            Images, Import, ImportMethods, Locations, Member, Members, MetadefSchema, Metadefs, Reactivate,
            Schema, Stage, StoreDetails, StoredCopy, Stores, Tag, Task, Tasks, Usage,
        };
        match (call.parts.method.as_str(), self) {
            ("GET", Images) => images::list(call).await,
            ("POST", Images) => images::create(call).await,
            ("GET", Image(id)) => images::show(call, id).await,
            ("PATCH", Image(id)) => images::update(call, id).await,
            ("DELETE", Image(id)) => images::delete(call, id).await,
            ("GET", File(id)) => data::download(call, id).await,
            ("PUT", File(id)) => data::upload(call, id).await,
            ("POST", Deactivate(id)) => images::deactivate(call, id).await,
            ("POST", Reactivate(id)) => images::reactivate(call, id).await,
            ("GET", Members(id)) => members::list(call, id).await,
            ("POST", Members(id)) => members::create(call, id).await,
            ("GET", Member(id, project)) => members::show(call, id, project.into()).await,
            ("PUT", Member(id, project)) => members::update(call, id, project.into()).await,
            ("DELETE", Member(id, project)) => members::delete(call, id, project.into()).await,
            ("PUT", Tag(id, tag)) => images::add_tag(call, id, tag.into()).await,
            ("DELETE", Tag(id, tag)) => images::remove_tag(call, id, tag.into()).await,
            ("GET", Schema(name)) => schemas::show(call, name).await,
            ("GET", MetadefSchema(name)) => metadefs::schemas::show(call, name).await,
            ("GET" | "POST" | "PUT" | "DELETE", Metadefs(place)) => place.answer(call).await,
            ("GET", Usage) => usage::show(call).await,
            ("PUT", Stage(id)) => imports::stage(call, id).await,
            ("POST", Import(id)) => imports::import(call, id).await,
            ("GET", ImportMethods) => imports::methods(call).await,
            ("GET", Tasks) => tasks::list(call).await,
            ("POST", Tasks) => tasks::create(call).await,
            ("GET", Task(id)) => tasks::show(call, id).await,
            ("GET", ImageTasks(id)) => tasks::of_image(call, id).await,
            ("GET", Locations(id)) => locations::list(call, id).await,
            ("POST", Locations(id)) => locations::add(call, id).await,
            ("GET", Stores) => stores::list(call).await,
            ("GET", StoreDetails) => stores::details(call).await,
            ("DELETE", StoredCopy(store, id)) => stores::drop_copy(call, store.into(), id).await,
            ("GET", Cache) => cache::list(call).await,
            ("DELETE", Cache) => cache::clear(call).await,
            ("PUT", CachedImage(id)) => cache::add(call, id).await,
            ("DELETE", CachedImage(id)) => cache::drop_one(call, id).await,
            ("GET", CacheNodes(id)) => cache::nodes(call, id).await,
            ("POST", CacheClean) => cache::clean(call).await,
            ("POST", CachePrune) => cache::prune(call).await,
            ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH", other) => {
                Err(Refusal::method_not_allowed(other.allow()))
            }
            (method, _) => Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                format!("the method {method:?} is not known here"),
            )),
        }
    }
}

fn names_version(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.starts_with(VERSION_MEDIA_TYPE))
}

/// One path segment in clear. An encoded slash makes no segment, so such a path leads nowhere.
fn decode(segment: &str) -> Result<Cow<'_, str>, Refusal> {
    let text =
        percent_decode_str(segment).decode_utf8().map_err(|_| Refusal::bad("the path is not valid UTF-8"))?;
    if text.contains('/') { Err(Refusal::no_path()) } else { Ok(text) }
}
