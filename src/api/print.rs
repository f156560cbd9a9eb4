//! JSON objects straight into bytes: listings are the hot path of every client.
//!
//! Must not know what is printed.

use std::io::Write;

/// The inside of a JSON object as it is written.
pub(super) struct Keys<'out> {
    out: &'out mut Vec<u8>,
    first: bool,
}

impl<'out> Keys<'out> {
    /// Begins an object.
    pub(super) fn open(out: &'out mut Vec<u8>) -> Keys<'out> {
        out.push(b'{');
        Keys { out, first: true }
    }

    /// Goes on in an object that was begun by hand.
    pub(super) fn inside(out: &'out mut Vec<u8>) -> Keys<'out> {
        Keys { out, first: true }
    }

    /// Ends the object.
    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Where the value of a key goes.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// A key that needs no escapes.
    pub(super) fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Any key, any text.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        write_text(self.any(key), text);
    }

    /// Any key, and where its value goes.
    pub(super) fn any(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_text(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A key and a value that need no escapes.
    pub(super) fn plain(&mut self, key: &str, text: &str) {
        self.raw(key, format_args!("\"{text}\""));
    }

    /// A key and a text or null.
    pub(super) fn optional(&mut self, key: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(key, text),
            None => self.raw(key, "null"),
        }
    }

    /// A key and a number or null.
    pub(super) fn number(&mut self, key: &str, number: Option<u64>) {
        match number {
            Some(number) => self.raw(key, number),
            None => self.raw(key, "null"),
        }
    }

    /// A key and what prints as JSON by itself.
    pub(super) fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // Writing into memory cannot fail.
        let _ = write!(self.out, "{value}");
    }
}

/// Appends a list.
pub(super) fn write_list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Appends a text.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
