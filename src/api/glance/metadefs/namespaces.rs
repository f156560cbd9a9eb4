//! Namespaces of metadata definitions.

use axum::http::StatusCode;
use axum::response::Response;

use super::super::call::{Call, json_response, no_content};
use super::super::error::Refusal;
use super::page::Page;
use super::{NAMESPACES, created, print, read};
use crate::api::print::{Keys, write_list};
use crate::base::limits::PAGE_ROWS_DEFAULT;
use crate::service::metadefs::{NamespaceKey, NamespaceQuery};

/// A page of what the caller may see.
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let page = Page::read(NAMESPACES, &call.parts.uri)?;
    let query = query(&page)?;
    let body = call
        .run(move |service, actor| {
            let found = service.namespaces(actor, &query)?;
            let mut out = b"{\"namespaces\":".to_vec();
            write_list(&mut out, found.iter(), print::write_namespace);
            out.push(b',');
            let mut keys = Keys::inside(&mut out);
            keys.text("first", &page.first());
            if let Some(last) = found.last().filter(|_| found.len() == query.limit) {
                keys.text("next", &page.next(&last.name));
            }
            keys.plain("schema", "/v2/schemas/metadefs/namespaces");
            keys.close();
            Ok(out)
        })
        .await?;
    Ok(json_response(StatusCode::OK, body))
}

/// Makes one, with all that its body has for it.
pub(super) async fn create(mut call: Call) -> Result<Response, Refusal> {
    let new = read::new_namespace(call.json().await?)?;
    let made = call.run(move |service, actor| service.create_namespace(actor, new)).await?;
    Ok(created(&print::namespace_path(&made.namespace.name), print::whole(&made, None)))
}

/// One with all that is in it.
pub(super) async fn show(mut call: Call, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let page = Page::read("", &call.parts.uri)?;
    let body = call
        .run(move |service, actor| {
            Ok(print::whole(&service.namespace(actor, &name)?, page.get("resource_type")))
        })
        .await?;
    Ok(json_response(StatusCode::OK, body))
}

/// Replaces what one says of itself.
pub(super) async fn update(mut call: Call, name: String) -> Result<Response, Refusal> {
    let fields = read::namespace_fields(call.json().await?)?;
    let after = call.run(move |service, actor| service.update_namespace(actor, &name, fields)).await?;
    let mut body = Vec::with_capacity(1024);
    print::write_namespace(&mut body, &after);
    Ok(json_response(StatusCode::OK, body))
}

/// Deletes one and all that is in it.
pub(super) async fn delete(mut call: Call, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.delete_namespace(actor, &name)).await?;
    Ok(no_content())
}

fn query(page: &Page) -> Result<NamespaceQuery, Refusal> {
    let public = match page.get("visibility") {
        None => None,
        Some("public") => Some(true),
        Some("private") => Some(false),
        Some(other) => {
            return Err(Refusal::bad(format!("visibility must be public or private, not {other:?}")));
        }
    };
    let types = page.get("resource_types").unwrap_or_default().split(',');
    Ok(NamespaceQuery {
        limit: page.limit()?.unwrap_or(PAGE_ROWS_DEFAULT),
        marker: page.get("marker").map(str::to_owned),
        sort_key: sort_key(page.get("sort_key"))?,
        direction: page.direction()?,
        public,
        resource_types: types.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    })
}

fn sort_key(word: Option<&str>) -> Result<NamespaceKey, Refusal> {
    Ok(match word {
        None => NamespaceKey::default(),
        Some("created_at") => NamespaceKey::CreatedAt,
        Some("updated_at") => NamespaceKey::UpdatedAt,
        Some("namespace") => NamespaceKey::Name,
        Some("display_name") => NamespaceKey::DisplayName,
        Some("visibility") => NamespaceKey::Visibility,
        Some("protected") => NamespaceKey::Protected,
        Some("owner") => NamespaceKey::Owner,
        Some(other) => {
            return Err(Refusal::bad(format!(
                "cannot sort by {other:?}; keys are created_at, updated_at, namespace, display_name, visibility, \
                 protected and owner"
            )));
        }
    })
}
