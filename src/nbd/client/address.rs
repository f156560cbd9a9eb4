//! Where a disk of another server is: `nbd://HOST[:PORT]/NAME` or `nbd+unix:///NAME?socket=PATH`.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

/// The port where servers are found.
const PORT: u16 = 10809;
/// What an address names a socket's path by.
const SOCKET: &str = "socket";
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
        // No form: nothing but percents stands for something else, and a plus is a plus.
        let mut pairs = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let socket = pairs
            .find(|(key, _)| percent_decode_str(key).eq(SOCKET.bytes()))
            .map(|(_, value)| percent_decode_str(value).decode_utf8())
            .transpose()
            .map_err(|_| format!("\"{text}\": no text"))?
            .map(Cow::into_owned);
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
        assert!(read("nbd+unix:///disk?socket=/run/%ff").is_err());
        assert_eq!(Address::parse("/dev/sda"), None);
        assert_eq!(Address::parse("https://host/x"), None);
    }

    #[test]
    fn a_plus_in_the_path_of_a_socket_is_one() {
        for (query, path) in [
            ("socket=/run/a+b.sock", "/run/a+b.sock"),
            ("socket=/run/a%2Bb%26c=d", "/run/a+b&c=d"),
            ("x=1&sock%65t=/run/%C3%A9&socket=/other", "/run/\u{e9}"),
        ] {
            let address = Address::parse(&format!("nbd+unix:///disk?{query}")).unwrap();
            let expected = Address { place: Place::Unix(path.into()), name: "disk".into() };
            assert_eq!(address, Ok(expected), "{query}");
        }
    }
}
