//! Sends audit records to a syslog server: RFC 5424, over UDP, TCP (octet counting, RFC 6587) or a socket of this
//! machine.
//!
//! Invariant: a record is sent with the time it was made at, not that of sending, which may be days later.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::timeout;

use crate::model::trace::{Rating, Trace};

/// Longest time that connecting or sending a batch may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest message over UDP, in bytes: what fits a datagram everywhere that takes large ones.
const DATAGRAM_BYTES_MAX: usize = 8192;
/// "Log audit" of RFC 5424.
const FACILITY: u8 = 13;

/// Where a server of records listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SyslogPlace {
    /// Datagrams to this host and port.
    Udp(String),
    /// A stream to this host and port.
    Tcp(String),
    /// A socket of this machine.
    Unix(String),
}

impl SyslogPlace {
    /// Reads the setting; an empty one names none.
    ///
    /// # Errors
    /// What it must look like.
    pub(super) fn parse(text: &str) -> Result<Option<SyslogPlace>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let address = |rest: &str| {
            let port = rest.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
            match port.map(str::parse::<u16>) {
                Some(Ok(_)) => Ok(rest.to_owned()),
                _ => Err(format!("{rest:?} is no HOST:PORT")),
            }
        };
        if let Some(rest) = text.strip_prefix("udp://") {
            return Ok(Some(SyslogPlace::Udp(address(rest)?)));
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            return Ok(Some(SyslogPlace::Tcp(address(rest)?)));
        }
        match text.strip_prefix("unix:").map(|path| path.trim_start_matches("//")) {
            Some(path) if path.starts_with('/') => Ok(Some(SyslogPlace::Unix(path.to_owned()))),
            _ => Err(format!("{text:?} is neither udp://HOST:PORT, tcp://HOST:PORT nor unix:/PATH")),
        }
    }
}

/// A way to the server, opened when there is something to send.
pub(super) struct Syslog {
    place: SyslogPlace,
    host: String,
    way: Option<Way>,
}

enum Way {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl Syslog {
    /// Nothing is opened yet.
    pub(super) fn new(place: SyslogPlace) -> Syslog {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Syslog { place, host, way: None }
    }

    /// Sends records, in order.
    ///
    /// # Errors
    /// When the server does not take them in time; some may have arrived then.
    pub(super) async fn send(&mut self, traces: &[Trace]) -> io::Result<()> {
        let sent = timeout(PATIENCE, self.send_all(traces)).await;
        let sent = sent
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the syslog server is slow")));
        if sent.is_err() {
            self.way = None;
        }
        sent
    }

    async fn send_all(&mut self, traces: &[Trace]) -> io::Result<()> {
        let way = match &mut self.way {
            Some(way) => way,
            empty => empty.insert(open(&self.place).await?),
        };
        for trace in traces {
            let message = message(&self.host, trace);
            match way {
                Way::Udp(socket) => {
                    let end = message.len().min(DATAGRAM_BYTES_MAX);
                    socket.send(&message.as_bytes()[..end]).await?;
                }
                Way::Datagrams(socket) => {
                    socket.send(message.as_bytes()).await?;
                }
                Way::Tcp(stream) => stream.write_all(counted(&message).as_bytes()).await?,
                Way::Stream(stream) => stream.write_all(counted(&message).as_bytes()).await?,
            }
        }
        Ok(())
    }
}

async fn open(place: &SyslogPlace) -> io::Result<Way> {
    Ok(match place {
        SyslogPlace::Udp(address) => {
            let mut last = None;
            for address in tokio::net::lookup_host(address).await? {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await?;
                match socket.connect(address).await {
                    Ok(()) => return Ok(Way::Udp(socket)),
                    Err(error) => last = Some(error),
                }
            }
            return Err(
                last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))
            );
        }
        SyslogPlace::Tcp(address) => Way::Tcp(TcpStream::connect(address).await?),
        SyslogPlace::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            match socket.connect(path) {
                Ok(()) => Way::Datagrams(socket),
                // It listens for streams.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
                    Way::Stream(UnixStream::connect(path).await?)
                }
                Err(error) => return Err(error),
            }
        }
    })
}

/// A message in a stream: its length in front.
fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// A record as a message: the header, no structured data, and the record as JSON.
fn message(host: &str, trace: &Trace) -> String {
    let content = &trace.content;
    let severity: u8 = match content.rating {
        Rating::Normal => 5,
        Rating::Warning => 4,
        Rating::Incident => 3,
    };
    let name = header(&content.operation, 32);
    let body = json!({
        "seq": trace.seq,
        "hash": hex::encode(trace.hash),
        "name": content.operation,
        "rating": content.rating.as_str(),
        "user_id": content.user,
        "user_name": content.user_name,
        "domain": content.domain_name,
        "project": content.project,
        "owner": content.owner,
        "resource_type": content.resource_type,
        "resource_id": content.resource_id,
        "resource_name": content.resource_name,
        "interface": content.interface.as_str(),
        "source": content.source,
        "request_id": content.request_id,
        "call": content.call,
        "request": content.request,
        "code": content.code,
        "message": content.message,
    });
    let (priority, time) = (FACILITY * 8 + severity, content.time.rfc3339_micros());
    format!("<{priority}>1 {time} {} tintype - {name} - {body}", header(host, 255))
}

/// A word of the header: printable ASCII without blanks, `-` for nothing.
fn header(word: &str, bytes_max: usize) -> String {
    let word: String = word.chars().filter(char::is_ascii_graphic).take(bytes_max).collect();
    if word.is_empty() { "-".into() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing;
    use tokio::io::AsyncReadExt;

    #[test]
    fn places_are_read_or_refused() {
        let parse = SyslogPlace::parse;
        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse("udp://h:514"), Ok(Some(SyslogPlace::Udp("h:514".into()))));
        assert_eq!(parse("tcp://[::1]:601"), Ok(Some(SyslogPlace::Tcp("[::1]:601".into()))));
        assert_eq!(parse("unix:/dev/log"), Ok(Some(SyslogPlace::Unix("/dev/log".into()))));
        for wrong in ["h:514", "udp://h", "tcp://:1", "udp://h:x", "unix:log", "http://h:1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_stream_has_each_record_with_its_length_and_its_own_time() {
        let (service, _) = testing::service();
        let traces = service.unforwarded_traces(10).unwrap();
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = SyslogPlace::Tcp(server.local_addr().unwrap().to_string());
        let mut syslog = Syslog::new(place);
        syslog.send(&traces).await.unwrap();
        drop(syslog);
        let mut received = String::new();
        server.accept().await.unwrap().0.read_to_string(&mut received).await.unwrap();
        let (length, rest) = received.split_once(' ').unwrap();
        let first = &rest[..length.parse::<usize>().unwrap()];
        let time = traces[0].content.time.rfc3339_micros();
        assert!(first.starts_with(&format!("<109>1 {time} ")), "{first}");
        assert!(first.contains(" tintype - initBox - {\"seq\":1,"), "{first}");
        assert_eq!(rest.len() > first.len(), traces.len() > 1);
    }
}
