//! The server's promises towards connections, over real sockets.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn start(router: Router, options: Options) -> (std::net::SocketAddr, CancellationToken, TaskTracker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(serve(Listener::Tcp(listener), router, options, stop.clone()));
    tasks.close();
    (address, stop, tasks)
}

async fn ask(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    let _ = stream.read_to_string(&mut reply).await;
    reply
}

fn slow(pause: Duration) -> Router {
    Router::new().route(
        "/slow",
        get(move || async move {
            tokio::time::sleep(pause).await;
            "done"
        }),
    )
}

#[tokio::test]
async fn a_request_in_flight_finishes_while_the_server_drains() {
    let (address, stop, tasks) = start(slow(Duration::from_millis(200)), Options::default()).await;
    let request = tokio::spawn(ask(address));
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    assert!(request.await.unwrap().ends_with("done"));
    tasks.wait().await;
    assert!(TcpStream::connect(address).await.is_err(), "no new connection is taken");
}

#[tokio::test]
async fn the_drain_ends_at_its_deadline() {
    let options = Options { drain_deadline: Duration::from_millis(50), ..Options::default() };
    let (address, stop, tasks) = start(slow(Duration::from_secs(3600)), options).await;
    let request = tokio::spawn(ask(address));
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), tasks.wait()).await.unwrap();
    assert_eq!(request.await.unwrap(), "");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_let_go() {
    let options = Options { header_timeout: Duration::from_millis(50), ..Options::default() };
    let (address, _stop, _tasks) = start(slow(Duration::ZERO), options).await;
    for begun in ["GET / HTTP/1.1\r\nHo", "PRI * HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "the connection was closed");
    }
}

#[tokio::test]
async fn connections_over_the_cap_wait_for_a_free_slot() {
    let options = Options { connections_max: 1, ..Options::default() };
    let (address, _stop, _tasks) = start(slow(Duration::ZERO), options).await;
    let held = TcpStream::connect(address).await.unwrap();
    let waiting = tokio::spawn(ask(address));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    drop(held);
    assert!(waiting.await.unwrap().ends_with("done"));
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_everything_first() {
    let refuse = || Router::new().fallback(|| async { (axum::http::StatusCode::UNAUTHORIZED, "who?") });
    let (address, _stop, _tasks) = start(refuse(), Options::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("PUT / HTTP/1.1\r\nHost: box\r\nContent-Length: {}\r\n\r\n", 32 << 20);
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..32 {
        stream.write_all(&vec![0; 1 << 20]).await.unwrap();
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 401") && reply.ends_with("who?"), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
}

#[tokio::test]
async fn a_small_refused_body_keeps_the_connection() {
    let refuse = Router::new().fallback(|| async { (axum::http::StatusCode::UNAUTHORIZED, "who?") });
    let (address, _stop, _tasks) = start(refuse, Options::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for last in ["", "Connection: close\r\n"] {
        let head = format!("POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 4\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"four").await.unwrap();
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert_eq!(reply.matches("HTTP/1.1 401").count(), 2, "{reply}");
}

#[tokio::test]
async fn headers_over_the_bound_are_answered_while_they_arrive() {
    let (address, _stop, _tasks) = start(slow(Duration::ZERO), Options::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: box\r\nX-Large: ").await.unwrap();
    stream.write_all(&vec![b'x'; 2 << 20]).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
}
