//! A request's query as pairs. Must not know what any name means.

use axum::http::Uri;
use percent_encoding::percent_decode_str;

/// The query's pairs, decoded, in order; a plus is a blank. `None` when it is no UTF-8.
pub(super) fn pairs(uri: &Uri) -> Option<Vec<(String, String)>> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).ok()
    };
    let query = uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}
