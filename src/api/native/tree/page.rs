//! A directory as a page: what installers and browsers find their way by.
//!
//! Invariant: a name is text in it, whatever characters it has, and leads below the same tree.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Directory;
use crate::disk::inside::NodeKind;
use crate::model::ImageId;

/// What stands in an address as it is, beside letters and digits.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a directory of an image is, as its page has it in links.
pub(super) fn place_of(id: ImageId, path: &str) -> String {
    let here: String = names(path).map(|name| format!("/{}", encoded(name))).collect();
    format!("/tintype/v1/images/{id}/tree{here}/")
}

/// The same from where whoever asked for this path stands, as the address is nobody's to repeat.
pub(in super::super) fn place_from(asked: &str) -> String {
    match asked.rsplit('/').next() {
        Some(last) if !last.is_empty() => format!("./{}/", escaped(last)),
        _ => "./".to_owned(),
    }
}

/// The page. Links are below `place`, which ends in a slash.
pub(super) fn of(place: &str, directory: &Directory, volume: Option<u32>) -> String {
    let query = volume.map(|number| format!("?partition={number}")).unwrap_or_default();
    let title = escaped(&directory.path);
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Index of {title}</title></head>\n\
         <body><h1>Index of {title}</h1>\n<pre>\n"
    );
    if directory.path != "/" {
        let above = place.strip_suffix('/').and_then(|here| here.rsplit_once('/'));
        let above = above.filter(|_| !place.starts_with('.'));
        let above = above.map_or_else(|| format!("{place}../"), |(above, _)| format!("{above}/"));
        page.push_str(&format!("<a href=\"{above}{query}\">../</a>\n"));
    }
    for (entry, target) in &directory.entries {
        let slash = if entry.node.kind == NodeKind::Directory { "/" } else { "" };
        let size = match entry.node.kind {
            NodeKind::File => format!("  {}", entry.node.size_bytes),
            _ => target.as_ref().map(|target| format!("  -&gt; {}", escaped(target))).unwrap_or_default(),
        };
        let (link, name) = (encoded(&entry.name), escaped(&entry.name));
        page.push_str(&format!("<a href=\"{place}{link}{slash}{query}\">{name}{slash}</a>{size}\n"));
    }
    if directory.is_cut {
        page.push_str("there is more, which is not listed\n");
    }
    page.push_str("</pre></body></html>\n");
    page
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

/// A text as a page shows it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
