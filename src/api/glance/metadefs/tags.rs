//! Tags of a namespace. Case does not tell two apart.

use axum::http::StatusCode;
use axum::response::Response;

use super::super::call::{Call, json_response, no_content};
use super::super::error::Refusal;
use super::page::Page;
use super::{created, in_path, print, read};
use crate::api::print::{Keys, write_list};
use crate::model::metadef::Tag;
use crate::service::Error;
use crate::service::images::Direction;

/// A header that lets tags be added, instead of taking the place of all there are.
const APPEND: &str = "x-openstack-append";

/// A namespace's, by name alone, those that were made last first. All of them unless the request says how many.
pub(super) async fn list(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let page = Page::read(path(&namespace), &call.parts.uri)?;
    let (order, limit) = (Order::read(&page)?, page.limit()?);
    let body = call
        .run(move |service, actor| {
            let tags = service.metadef_items::<Tag>(actor, &namespace)?;
            let mut found = order.of(&tags);
            if let Some(marker) = page.get("marker") {
                let at = found.iter().position(|tag| tag.name == marker).ok_or_else(|| {
                    Error::not_found(format!("namespace {namespace:?} has no tag {marker:?}"))
                })?;
                found.drain(..=at);
            }
            found.truncate(limit.unwrap_or(found.len()));
            let last = found.last().filter(|_| Some(found.len()) == limit);
            Ok(body(&found, &page, last.map(|tag| tag.name.as_str())))
        })
        .await?;
    Ok(json_response(StatusCode::OK, body))
}

/// Puts tags in the place of all there are, or adds them.
pub(super) async fn put_all(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    let names = read::tags(call.json().await?)?;
    let append = call.headers().get(APPEND).and_then(|value| value.to_str().ok());
    let keeps_others = append.is_some_and(|word| word.eq_ignore_ascii_case("true"));
    let tags = call
        .run(move |service, actor| service.put_metadef_tags(actor, &namespace, names, keeps_others))
        .await?;
    let mut body = b"{\"tags\":".to_vec();
    write_list(&mut body, tags.iter(), print::write_tag_name);
    body.push(b'}');
    Ok(json_response(StatusCode::CREATED, body))
}

/// Adds one.
pub(super) async fn create(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let path = format!("{}/{}", path(&namespace), in_path(&name));
    let tag = call.run(move |service, actor| service.create_metadef_tag(actor, &namespace, &name)).await?;
    Ok(created(&path, print::tag(&tag)))
}

/// One of them.
pub(super) async fn show(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let tag = call.run(move |service, actor| service.metadef_item::<Tag>(actor, &namespace, &name)).await?;
    Ok(json_response(StatusCode::OK, print::tag(&tag)))
}

/// Gives one another name.
pub(super) async fn update(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    let new = read::tag(call.json().await?)?;
    let tag =
        call.run(move |service, actor| service.rename_metadef_tag(actor, &namespace, &name, &new)).await?;
    Ok(json_response(StatusCode::OK, print::tag(&tag)))
}

/// Takes one away.
pub(super) async fn delete(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.remove_metadef_item::<Tag>(actor, &namespace, &name)).await?;
    Ok(no_content())
}

/// Takes all away.
pub(super) async fn clear(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.clear_metadef_items::<Tag>(actor, &namespace)).await?;
    Ok(no_content())
}

/// In which order tags are listed.
struct Order {
    by_name: bool,
    direction: Direction,
}

impl Order {
    fn read(page: &Page) -> Result<Order, Refusal> {
        let by_name = match page.get("sort_key") {
            None | Some("created_at") => false,
            Some("name") => true,
            Some(other) => {
                return Err(Refusal::bad(format!("cannot sort by {other:?}; keys are created_at and name")));
            }
        };
        Ok(Order { by_name, direction: page.direction()? })
    }

    fn of<'a>(&self, tags: &'a [Tag]) -> Vec<&'a Tag> {
        let mut found = print::newest_first(tags);
        if self.by_name {
            found.sort_by(|one, other| other.name.cmp(&one.name));
        }
        if self.direction == Direction::Ascending {
            found.reverse();
        }
        found
    }
}

fn path(namespace: &str) -> String {
    format!("{}/tags", print::namespace_path(namespace))
}

fn body(tags: &[&Tag], page: &Page, last: Option<&str>) -> Vec<u8> {
    let mut out = b"{\"tags\":".to_vec();
    write_list(&mut out, tags.iter(), |out, tag| print::write_tag_name(out, tag));
    out.push(b',');
    let mut keys = Keys::inside(&mut out);
    keys.text("first", &page.first());
    if let Some(last) = last {
        keys.text("next", &page.next(last));
    }
    keys.plain("schema", "/v2/schemas/metadefs/tags");
    keys.close();
    out
}
