//! Fetching from a real server on loopback.

use axum::Router;
use axum::body::Body as Answer;
use axum::extract::Request;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use bytes::Bytes;

use super::*;
use crate::web::FilterRules;

const DATA: &[u8] = b"0123456789";

async fn data(request: Request) -> http::Response<Answer> {
    let headers = request.headers();
    let is_same = text_of(headers, IF_RANGE).as_deref() == Some("\"one\"");
    let asked = text_of(headers, RANGE).filter(|_| is_same);
    let first: Option<usize> =
        asked.and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let (status, first) = match first {
        Some(first) if first < DATA.len() => (StatusCode::PARTIAL_CONTENT, first),
        Some(_) => (StatusCode::RANGE_NOT_SATISFIABLE, DATA.len()),
        None => (StatusCode::OK, 0),
    };
    let mut answer = http::Response::builder().status(status).header(ETAG, "\"one\"");
    if status == StatusCode::PARTIAL_CONTENT {
        answer = answer.header(CONTENT_RANGE, format!("bytes {first}-{}/{}", DATA.len() - 1, DATA.len()));
    }
    answer.body(Answer::from(&DATA[first..])).unwrap()
}

/// Hands out a rest whatever it is asked to be of.
async fn careless(request: Request, stamp: &'static str, total: usize) -> http::Response<Answer> {
    let answer = http::Response::builder().header(ETAG, stamp);
    if !request.headers().contains_key(RANGE) {
        return answer.body(Answer::from(DATA)).unwrap();
    }
    let range = format!("bytes 4-{}/{total}", total - 1);
    let answer = answer.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range);
    answer.body(Answer::from(&DATA[4..])).unwrap()
}

/// The web where this port of this machine alone may be asked.
fn web(port: u16) -> Web {
    let rules = FilterRules {
        schemes: vec!["http".into()],
        ports: vec![port],
        hosts: Vec::new(),
        networks: vec!["127.0.0.1/32".parse().unwrap()],
    };
    Web::new(Filter::new(rules), Vec::new()).unwrap()
}

/// A server, and the web where only it may be asked.
async fn server() -> (String, Web) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = |target: &'static str| get(move || async move { Redirect::temporary(target) });
    let router = Router::new()
        .route("/data", get(data))
        .route("/there", to("/data"))
        .route("/out", to("http://127.0.0.2:1/data"))
        .route("/signed", to("http://127.0.0.2:1/data?signature=secret"))
        .route("/other", get(|request: Request| careless(request, "\"two\"", 10)))
        .route("/longer", get(|request: Request| careless(request, "\"one\"", 12)))
        .route("/metadata", to("http://169.254.169.254/latest"))
        .route("/file", to("file:///etc/passwd"))
        .route("/round", to("/round"))
        .route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE.into_response() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://127.0.0.1:{port}"), web(port))
}

async fn read(fetched: Fetched) -> Vec<u8> {
    fetched.body.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

#[tokio::test]
async fn data_comes_and_the_rest_of_it() {
    let (base, web) = server().await;
    for path in ["/data", "/there"] {
        let whole = web.open(&format!("{base}{path}"), None).await.unwrap();
        assert_eq!((whole.size_bytes, whole.stamp.as_deref(), whole.offset), (Some(10), Some("\"one\""), 0));
        assert_eq!(read(whole).await, DATA);
    }
    let url = format!("{base}/data?token=secret");
    let from = |offset, stamp: &str| From { offset, stamp: stamp.into(), size_bytes: Some(10) };
    let rest = web.open(&url, Some(&from(4, "\"one\""))).await.unwrap();
    assert_eq!((rest.size_bytes, rest.offset), (Some(10), 4));
    assert_eq!(read(rest).await, &DATA[4..]);
    let other = web.open(&url, Some(&from(4, "\"two\""))).await.unwrap();
    assert_eq!(other.offset, 0, "other data now begins anew");
    let beyond = web.open(&url, Some(&from(10, "\"one\""))).await.err().unwrap();
    assert!(
        matches!(&beyond, Error::Missing(why) if why.contains("/data") && !why.contains("secret")),
        "{beyond}"
    );
}

#[tokio::test]
async fn the_rest_of_other_data_is_not_taken_for_the_rest() {
    let (base, web) = server().await;
    let from = |size_bytes| From { offset: 4, stamp: "\"one\"".into(), size_bytes };
    for path in ["/other", "/longer"] {
        let anew = web.open(&format!("{base}{path}"), Some(&from(Some(10)))).await.unwrap();
        assert_eq!(anew.offset, 0, "{path}");
        assert_eq!(read(anew).await, DATA, "{path}");
    }
    // Where nothing was known of its length, its name alone tells.
    let rest = web.open(&format!("{base}/longer"), Some(&from(None))).await.unwrap();
    assert_eq!((rest.offset, rest.size_bytes, rest.stamp.as_deref()), (4, Some(12), Some("\"one\"")));
}

#[tokio::test]
async fn no_message_repeats_what_lets_a_bearer_in() {
    let (base, allowed) = server().await;
    let refused = allowed.open(&format!("{base}/signed?token=secret"), None).await.err().unwrap();
    let told = refused.to_string();
    assert!(told.contains("127.0.0.2:1/data") && !told.contains("secret"), "{told}");
    // A port on which nobody listens any more.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let address = format!("http://127.0.0.1:{closed}/data?signature=secret");
    let away = web(closed).open(&address, None).await.err().unwrap();
    assert!(
        matches!(&away, Error::Unavailable(why) if why.contains("/data cannot") && !why.contains("secret")),
        "{away}"
    );
}

#[tokio::test]
async fn s25_a_redirect_is_judged_like_any_address() {
    let (base, web) = server().await;
    let open = async |path: &str| web.open(&format!("{base}{path}"), None).await.err().unwrap();
    for path in ["/out", "/metadata", "/file"] {
        assert!(matches!(open(path).await, Error::Refused(_)), "{path}");
    }
    assert!(matches!(open("/round").await, Error::Missing(_)));
    assert!(matches!(open("/none").await, Error::Missing(_)));
    assert!(matches!(open("/busy").await, Error::Unavailable(_)));
    let nobody = web.open("http://127.0.0.1:1/", None).await.err().unwrap();
    assert!(matches!(nobody, Error::Refused(_)), "another port is another place");
}

#[tokio::test]
async fn s25_a_name_that_leads_inside_is_not_asked() {
    let (base, web) = server().await;
    let port = base.rsplit(':').next().unwrap();
    let local = format!("http://localhost:{port}/data");
    // It leads to 127.0.0.1, which is allowed here, and may lead to ::1, which is not.
    let rules = FilterRules { networks: Vec::new(), ..web.filter.rules().clone() };
    let closed = Web::new(Filter::new(rules), Vec::new()).unwrap();
    assert!(matches!(closed.expect_allowed(&local), Err(Error::Refused(_))));
    assert!(matches!(closed.open(&local, None).await, Err(Error::Refused(_))));
    assert!(closed.expect_allowed(&format!("http://no-such-host.invalid:{port}/")).is_ok());
}
