//! Links to images: made, listed and revoked by who may download the image, and followed by whoever has one.
//!
//! Invariants: a link's address is told once; whoever follows one that does not hold hears what a stranger hears, and why is for
//! records alone. What goes out is what [`file`](super::file) makes of the same image.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{file, image_id, read, signed_in, tree};
use crate::api::audit::{NothingThere, Why};
use crate::api::context::{ApiState, origin};
use crate::api::routing::{Routes, delete, get};
use crate::base::Time;
use crate::disk::writing::Form;
use crate::model::image_link::{ImageLink, LinkMaker, TREE};
use crate::model::{Image, LinkId};
use crate::service::Actor;
use crate::service::images::{LinkGives, LinkRefusal, LinkSignature, MadeLink, NewLink};

/// Where the files of a disc lie: in no partition.
const WHOLE_DISK: u32 = 0;
/// Longest name of a file in an address, without its ending, in characters.
const NAME_CHARS_MAX: usize = 64;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/images/{image}/links", get(list).post(create))
        .route("/tintype/v1/images/{image}/links/{link}", delete(revoke))
        .route("/tintype/v1/links/{link}/{signature}/{name}", get(follow))
        .route("/tintype/v1/links/{link}/{signature}/tree/", get(follow_to_top))
        .route("/tintype/v1/links/{link}/{signature}/tree/{*path}", get(follow_into))
}

/// A link as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Its life, in seconds.
    ttl_s: i64,
    /// The format that it gives the image in.
    format: Option<String>,
    /// Whether it gives the files of a disc, and no image.
    tree: Option<bool>,
    /// Where it may be used from.
    net: Option<String>,
}

async fn create(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let asked: Asked = read(sent).await?;
    let new = NewLink {
        ttl_s: asked.ttl_s,
        gives: gives(&asked)?,
        net: asked.net.as_deref().map(net).transpose()?,
    };
    if let LinkGives::Form(form) = new.gives {
        // What no download gives, no link promises.
        state.service.expect_leaves_as(&actor, &id, form).await?;
    }
    let made = state.blocking(move |service| service.create_image_link(&actor, &id, new)).await?;
    let mut told = body(&made.link);
    told["url"] = url(&state.base_url(&parts.uri, &parts.headers), &made).into();
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(told)).into_response())
}

async fn list(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, id) = (signed_in(&state, &request.into_parts().0).await?, image_id(&image)?);
    let links = state.blocking(move |service| service.image_links(&actor, &id)).await?;
    Ok(Json(json!({ "links": links.iter().map(body).collect::<Vec<_>>() })).into_response())
}

async fn revoke(
    State(state): State<ApiState>,
    Path((image, link)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, id) = (signed_in(&state, &request.into_parts().0).await?, image_id(&image)?);
    // What it is instead is not told again: an address of a link has the signature in it.
    let link = LinkId::parse(&link).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "that is no id of a link, as \"image links\" lists them")
    })?;
    state.blocking(move |service| service.delete_image_link(&actor, &id, &link)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What somebody wants a link to give.
fn gives(asked: &Asked) -> Result<LinkGives, Refusal> {
    match (asked.format.as_deref(), asked.tree.unwrap_or(false)) {
        (None, false) => Ok(LinkGives::Stored),
        (Some(format), false) => file::form(format).map(LinkGives::Form),
        (None, true) => Ok(LinkGives::Tree),
        (Some(_), true) => Err(Refusal::bad("a link gives the image in a format or its files, not both")),
    }
}

/// Hands out the image that a link leads to, or a part of it.
async fn follow(
    State(state): State<ApiState>,
    Path((link, signature, name)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    // The address of a tree without a slash: names of images end in a format.
    let path = (name == TREE).then(String::new);
    answer(followed(&state, &parts, &link, &signature, path).await)
}

/// Hands out the topmost directory of the disc whose files a link gives.
async fn follow_to_top(
    State(state): State<ApiState>,
    Path((link, signature)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    answer(followed(&state, &parts, &link, &signature, Some("/".to_owned())).await)
}

/// Hands out a file of it, or a directory.
async fn follow_into(
    State(state): State<ApiState>,
    Path((link, signature, path)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    answer(followed(&state, &parts, &link, &signature, Some(path)).await)
}

/// What whoever followed a link hears.
fn answer(followed: Result<Response, LinkRefusal>) -> Result<Response, Refusal> {
    match followed {
        // As any other that does not lead to anything.
        Ok(response) if response.status() == StatusCode::NOT_FOUND => Ok(response),
        Ok(mut response) => {
            // A cache that keeps it would not learn that the link was revoked.
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
            Ok(response)
        }
        Err(LinkRefusal::Unknown) => Err(Refusal::no_path()),
        Err(LinkRefusal::Closed(why)) => {
            let mut response = Refusal::no_path().into_response();
            response.extensions_mut().insert(Why(why));
            Ok(response)
        }
        Err(LinkRefusal::Failed(error)) => Err(error.into()),
    }
}

async fn followed(
    state: &ApiState,
    parts: &Parts,
    link: &str,
    signature: &str,
    path: Option<String>,
) -> Result<Response, LinkRefusal> {
    let (Some(link), Some(signature)) = (LinkId::parse(link), LinkSignature::parse(signature)) else {
        return Err(LinkRefusal::Unknown);
    };
    let origin = origin(parts);
    let used =
        move |service: &crate::service::Service| Ok(service.use_image_link(&link, &signature, &origin));
    let (actor, link) = state.blocking(used).await??;
    match (path, link.is_of_tree()) {
        (Some(path), true) => return of_tree(state, parts, actor, &link, path).await,
        // Its file may be called like that.
        (Some(path), false) if !path.is_empty() => {
            return Err(LinkRefusal::Closed("it gives the image, and no files of it".into()));
        }
        (None, true) => return Err(LinkRefusal::Closed("it gives files, and not the image".into())),
        _ => {}
    }
    let form = link.format.as_deref().map(|name| {
        // Whoever changed the record could not have signed it.
        Form::parse(name).ok_or_else(|| LinkRefusal::Closed(format!("there is no format {name} any more")))
    });
    match file::send(state, parts, &actor, &link.image, form.transpose()?).await {
        Ok(response) => Ok(response),
        // The image, or the right to it, went in between.
        Err(refusal) if refusal.hides() => Err(LinkRefusal::Closed(refusal.message().to_owned())),
        Err(refusal) => Ok(refusal.into_response()),
    }
}

/// What is at a path of the disc that a link leads into. What is not there looks like a link that does not hold, and is on no
/// record: installers try many names.
async fn of_tree(
    state: &ApiState,
    parts: &Parts,
    actor: Actor,
    link: &ImageLink,
    path: String,
) -> Result<Response, LinkRefusal> {
    let place = |_: &str| (tree::place_from(parts.uri.path()), None);
    let path = format!("/{}", path.trim_start_matches('/'));
    let asked = tree::Asked { id: link.image, path, volume: Some(WHOLE_DISK) };
    match tree::send(state, parts, actor, asked, place).await {
        Ok(response) => Ok(response),
        Err(refusal) if refusal.is_of_nothing() => {
            let mut response = Refusal::no_path().into_response();
            response.extensions_mut().insert(NothingThere);
            Ok(response)
        }
        Err(refusal) if refusal.hides() => Err(LinkRefusal::Closed(refusal.message().to_owned())),
        Err(refusal) => Ok(refusal.into_response()),
    }
}

/// A network, or one address.
fn net(text: &str) -> Result<IpNet, Refusal> {
    let one = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).map_err(|_| {
        Refusal::bad(format!("net \"{text}\" is no network: write it as 10.0.0.0/8 or 2001:db8::/32"))
    })
}

/// The link's address: all that it takes to download the image.
fn url(base: &str, made: &MadeLink) -> String {
    let MadeLink { link, signature, image } = made;
    let name = if link.is_of_tree() { TREE.to_owned() } else { file_name(image, link) };
    format!("{base}/tintype/v1/links/{}/{}/{name}", link.id, *signature.expose())
}

/// A name that needs no quoting, with the ending by which fetchers tell the format. It is no part of what the link says.
fn file_name(image: &Image, link: &ImageLink) -> String {
    let form = link.format.as_deref().and_then(Form::parse).map(Form::disk_format);
    let ending = match (form, image.container_format.as_deref(), image.disk_format.as_deref()) {
        (None, Some("ova"), _) => "ova",
        (Some("raw"), ..) | (None, _, None | Some("raw" | "ami" | "ari" | "aki")) => "img",
        (Some(format), ..) | (None, _, Some(format)) => format,
    };
    let name = plain_name(image.name.as_deref(), ending);
    name.unwrap_or_else(|| format!("{}.{ending}", image.id))
}

/// The name with its ending, where something is left of it that stands in any path.
fn plain_name(name: Option<&str>, ending: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name?.chars().take(NAME_CHARS_MAX).map(plain).collect();
    let name = name.trim_start_matches('.');
    let name = name.strip_suffix(&format!(".{ending}")).unwrap_or(name);
    (!name.is_empty()).then(|| format!("{name}.{ending}"))
}

fn body(link: &ImageLink) -> Value {
    let user = match &link.maker {
        LinkMaker::LocalAdmin => None,
        LinkMaker::User(user, _) => Some(user.as_str()),
    };
    json!({
        "id": link.id.to_string(),
        "image_id": link.image.to_string(),
        "format": link.format,
        "net": link.net.map(|net| net.to_string()),
        "user_id": user,
        "project_id": link.project.as_str(),
        "created_at": link.created_at.rfc3339_seconds(),
        "expires_at": link.expires_at.rfc3339_seconds(),
        "first_used_at": link.first_used_at.map(Time::rfc3339_seconds),
    })
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
