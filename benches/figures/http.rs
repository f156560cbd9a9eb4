//! A client that costs as little as a client can: blocking sockets, one request at a time, no
//! copies. It shares the machine with the server it measures.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

/// A connection that is kept open.
pub struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

/// An answer; the body lies in the connection.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What `X-Subject-Token` said, if it was there.
    pub token: Option<String>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::with_capacity(256 << 10, stream), body: Vec::new() })
    }

    /// Sends a request without a body.
    pub fn get(&mut self, path: &str, token: &str) -> Result<Answer, Box<dyn Error>> {
        self.begin("GET", path, token, "", 0)?;
        self.answer()
    }

    /// As [`Connection::get`], with headers of the caller's own, each with its line end.
    pub fn get_with(&mut self, path: &str, headers: &str) -> Result<Answer, Box<dyn Error>> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n");
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.answer()
    }

    /// Sends a request with a JSON body.
    pub fn post(&mut self, path: &str, token: &str, json: &str) -> Result<Answer, Box<dyn Error>> {
        self.begin("POST", path, token, "application/json", json.len() as u64)?;
        self.stream.get_mut().write_all(json.as_bytes())?;
        self.answer()
    }

    /// Sends a request's head; the body's bytes are the caller's to send.
    pub fn begin(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        media: &str,
        bytes: u64,
    ) -> std::io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n");
        if !token.is_empty() {
            head.push_str(&format!("X-Auth-Token: {token}\r\n"));
        }
        if !media.is_empty() {
            head.push_str(&format!("Content-Type: {media}\r\nContent-Length: {bytes}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.get_mut().write_all(head.as_bytes())
    }

    /// Sends bytes of a body.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Asks for `bytes` bytes and throws them away; seconds to the first of them, and to the last.
    pub fn download(&mut self, path: &str, token: &str, bytes: u64) -> Result<(f64, f64), Box<dyn Error>> {
        let start = Instant::now();
        self.begin("GET", path, token, "", 0)?;
        let (answer, length) = self.head()?;
        if answer.status != 200 || length as u64 != bytes {
            return Err(format!("{path} answered {} with {length} bytes", answer.status).into());
        }
        let (mut first, mut rest) = (None, length);
        while rest > 0 {
            let got = self.stream.fill_buf()?.len().min(rest);
            if got == 0 {
                return Err("the server hung up".into());
            }
            first.get_or_insert_with(|| start.elapsed());
            self.stream.consume(got);
            rest -= got;
        }
        Ok((first.unwrap_or_default().as_secs_f64(), start.elapsed().as_secs_f64()))
    }

    /// Asks for data of a length that the server says, and writes it down; seconds to the first byte, and to the last.
    pub fn save(
        &mut self,
        path: &str,
        token: &str,
        file: &mut std::fs::File,
    ) -> Result<(f64, f64), Box<dyn Error>> {
        let start = Instant::now();
        self.begin("GET", path, token, "", 0)?;
        let (answer, mut rest) = self.head()?;
        if answer.status != 200 {
            return Err(format!("{path} answered {}", answer.status).into());
        }
        let mut first = None;
        while rest > 0 {
            let piece = self.stream.fill_buf()?;
            let got = piece.len().min(rest);
            if got == 0 {
                return Err("the server hung up".into());
            }
            first.get_or_insert_with(|| start.elapsed());
            file.write_all(&piece[..got])?;
            self.stream.consume(got);
            rest -= got;
        }
        Ok((first.unwrap_or_default().as_secs_f64(), start.elapsed().as_secs_f64()))
    }

    /// Reads an answer to its end.
    pub fn answer(&mut self) -> Result<Answer, Box<dyn Error>> {
        let (answer, bytes) = self.head()?;
        self.body.resize(bytes, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(answer)
    }

    /// Reads an answer up to its body; gives the body's length.
    fn head(&mut self) -> Result<(Answer, usize), Box<dyn Error>> {
        let (mut status, mut token, mut bytes) = (0, None, 0);
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the server hung up".into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            match text.split_once(": ") {
                None => status = text.split(' ').nth(1).ok_or("no status")?.parse()?,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    bytes = value.parse()?
                }
                Some((name, value)) if name.eq_ignore_ascii_case("x-subject-token") => {
                    token = Some(value.into())
                }
                Some(_) => {}
            }
        }
        Ok((Answer { status, token }, bytes))
    }

    /// The latest answer's body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}
