//! Where a disk of another server is: `nbd://HOST[:PORT]/NAME` or `nbd+unix:///NAME?socket=PATH`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

/// The port where servers are found.
const PORT: u16 = 10809;
/// A server that is silent for so long is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// An export of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    place: Place,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp(String, u16),
    Unix(String),
}

/// A connection to a server.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Address {
    /// Reads an address; `None` where the text is none of this kind at all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Option<Result<Address, String>> {
        let scheme = text.split_once("://")?.0;
        match scheme {
            "nbd" | "nbd+unix" => Some(Address::of(text)),
            "nbds" | "nbds+unix" => {
                Some(Err(format!("\"{text}\": TLS is not spoken here; nbdcopy reads it to a file")))
            }
            _ => None,
        }
    }

    fn of(text: &str) -> Result<Address, String> {
        let url = Url::parse(text).map_err(|why| format!("\"{text}\" is no address: {why}"))?;
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let name = percent_decode_str(path).decode_utf8().map_err(|_| format!("\"{text}\": no text"))?;
        let socket = url.query_pairs().find(|(key, _)| key == "socket").map(|(_, value)| value.into_owned());
        let place = match (url.scheme(), url.host_str(), socket) {
            ("nbd", Some(host), None) if !host.is_empty() => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                Place::Tcp(host.to_owned(), url.port().unwrap_or(PORT))
            }
            ("nbd+unix", None | Some(""), Some(path)) => Place::Unix(path),
            _ => {
                return Err(format!(
                    "\"{text}\" is neither nbd://HOST[:PORT]/NAME nor nbd+unix:///NAME?socket=PATH"
                ));
            }
        };
        Ok(Address { place, name: name.into_owned() })
    }

    /// The export's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn connect(&self) -> io::Result<Stream> {
        Ok(match &self.place {
            Place::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Stream::Tcp(stream)
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Stream::Unix(stream)
            }
        })
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(out),
            Stream::Unix(stream) => stream.read(out),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.flush(),
            Stream::Unix(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_two_kinds() {
        let read = |text: &str| Address::parse(text).unwrap();
        let tcp = |host: &str, port, name: &str| {
            Ok(Address { place: Place::Tcp(host.into(), port), name: name.into() })
        };
        assert_eq!(read("nbd://box.example/disk"), tcp("box.example", PORT, "disk"));
        assert_eq!(read("nbd://[::1]:9/a%20b"), tcp("::1", 9, "a b"));
        assert_eq!(read("nbd://10.0.0.1:9"), tcp("10.0.0.1", 9, ""));
        let socket = Address { place: Place::Unix("/run/a b.sock".into()), name: "disk".into() };
        assert_eq!(read("nbd+unix:///disk?socket=/run/a%20b.sock"), Ok(socket));
        for bad in ["nbd:///disk", "nbd+unix:///disk", "nbd://host/x?socket=/a", "nbds://host/x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(Address::parse("/dev/sda"), None);
        assert_eq!(Address::parse("https://host/x"), None);
    }
}
