//! Refusals as the Image API's clients expect them: status, and a body in the form they accept.
//!
//! Invariant: the explanation is always in the body, and JSON only where it was asked for (the
//! `glance` client breaks on JSON it did not ask for).

use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::table::Misnamed;
use crate::service::{Error, ErrorKind};

/// A refusal, not yet in the client's form.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with an explanation for the caller.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), header: None }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    /// Not allowed, to anyone.
    pub(super) fn forbidden(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, message)
    }

    /// No such path.
    pub(super) fn no_path() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "the resource could not be found")
    }

    /// The path is there, but not for this method.
    pub(super) fn method_not_allowed(allow: &str) -> Refusal {
        let refusal =
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("this resource takes only: {allow}"));
        match HeaderValue::from_str(allow) {
            Ok(allow) => refusal.with(ALLOW, allow),
            Err(_) => refusal,
        }
    }

    /// The same refusal with a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.header = Some((name, value));
        self
    }

    /// The response, in the form that `request` accepts; `sign_in_url` is where to sign in.
    pub(super) fn respond(self, request: &HeaderMap, sign_in_url: &str) -> Response {
        let (content_type, body) = Form::accepted(request).body(self.status, &self.message);
        let mut response = (self.status, [(CONTENT_TYPE, content_type)], body).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        if self.status == StatusCode::UNAUTHORIZED
            && let Ok(value) = HeaderValue::from_str(&format!("Keystone uri=\"{sign_in_url}\""))
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

impl From<Misnamed> for Refusal {
    /// A path with an id that is none leads nowhere.
    fn from(_: Misnamed) -> Refusal {
        Refusal::no_path()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let status = match error.kind {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::UnsupportedContent => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Gone => StatusCode::GONE,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if let Some(internal) = &error.internal {
            tracing::error!(kind = ?error.kind, cause = %internal, "request failed");
        }
        Refusal::new(status, error.message)
    }
}

/// The forms an error body takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Html,
    Text,
}

impl Form {
    fn accepted(request: &HeaderMap) -> Form {
        let accept = request.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let accept_has = |media: &str| {
            accept.split(',').any(|part| part.split(';').next().is_some_and(|m| m.trim() == media))
        };
        if accept_has("application/json") {
            Form::Json
        } else if accept_has("text/html") || accept_has("*/*") {
            Form::Html
        } else {
            Form::Text
        }
    }

    fn body(self, status: StatusCode, message: &str) -> (&'static str, String) {
        let title = status.canonical_reason().unwrap_or("Error");
        let code = format!("{} {title}", status.as_u16());
        match self {
            Form::Json => {
                let body = serde_json::json!({ "message": message, "code": code, "title": title });
                ("application/json", body.to_string())
            }
            Form::Html => {
                let text = escape_html(message);
                let body = format!(
                    "<html>\n <head>\n  <title>{code}</title>\n </head>\n <body>\n  <h1>{code}</h1>\n  \
                     {text}<br /><br />\n\n\n\n </body>\n</html>"
                );
                ("text/html; charset=UTF-8", body)
            }
            Form::Text => ("text/plain; charset=UTF-8", format!("{code}\n\n{message}\n\n   ")),
        }
    }
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: Option<&str>) -> Form {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        Form::accepted(&headers)
    }

    #[test]
    fn json_is_spoken_only_where_it_is_asked_for() {
        assert_eq!(form(Some("application/json")), Form::Json);
        assert_eq!(form(Some("text/html, application/json;q=0.9")), Form::Json);
        assert_eq!(form(Some("*/*")), Form::Html);
        assert_eq!(form(Some("text/html;q=1")), Form::Html);
        assert_eq!(form(Some("")), Form::Text);
        assert_eq!(form(None), Form::Text);
        assert_eq!(form(Some("image/png")), Form::Text);
    }

    #[test]
    fn the_explanation_is_in_every_form() {
        for form in [Form::Json, Form::Html, Form::Text] {
            let (_, body) = form.body(StatusCode::NOT_FOUND, "no image x");
            assert!(body.contains("no image x") && body.contains("404 Not Found"), "{body}");
        }
    }

    #[test]
    fn html_in_a_message_stays_text() {
        let (_, body) = Form::Html.body(StatusCode::BAD_REQUEST, "<script>&\"'");
        assert!(body.contains("&lt;script&gt;&amp;&quot;&#x27;"), "{body}");
    }

    #[test]
    fn an_unauthenticated_caller_hears_where_to_sign_in() {
        let response = Refusal::new(StatusCode::UNAUTHORIZED, "sign in")
            .respond(&HeaderMap::new(), "http://box:9292/identity");
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Keystone uri=\"http://box:9292/identity\"");
    }
}
