//! Byte ranges of a stream of known length. No off-by-one lives anywhere else.

/// A non-empty or empty run of bytes `[start, end)` inside a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte; never below `start`.
    pub end: u64,
}

/// Why a requested range cannot be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeError {
    /// Not one range of bytes in the syntax of RFC 9110 section 14.1.2, or outside the stream.
    Unsatisfiable,
    /// More than one range was asked for; only one is served.
    Multiple,
}

impl ByteRange {
    /// The whole of a stream of `length` bytes.
    pub fn whole(length: u64) -> ByteRange {
        ByteRange { start: 0, end: length }
    }

    /// Bytes in the range.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether the range holds no byte.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads a `Range` header's value against a stream of `length` bytes, clipping the end.
    ///
    /// # Errors
    /// [`RangeError::Multiple`] for several ranges; [`RangeError::Unsatisfiable`] for other units,
    /// bad syntax, a start at or past the end, or an end before the start.
    pub fn parse_header(value: &str, length: u64) -> Result<ByteRange, RangeError> {
        let spec = value.trim().strip_prefix("bytes=").ok_or(RangeError::Unsatisfiable)?;
        if spec.contains(',') {
            return Err(RangeError::Multiple);
        }
        let (first, last) = spec.trim().split_once('-').ok_or(RangeError::Unsatisfiable)?;
        let range = if first.is_empty() {
            let suffix = parse_digits(last)?;
            if suffix == 0 {
                return Err(RangeError::Unsatisfiable);
            }
            ByteRange { start: length.saturating_sub(suffix), end: length }
        } else {
            let start = parse_digits(first)?;
            let end = match last {
                "" => length,
                last => {
                    let last = parse_digits(last)?;
                    if last < start {
                        return Err(RangeError::Unsatisfiable);
                    }
                    last.saturating_add(1).min(length)
                }
            };
            ByteRange { start, end }
        };
        if range.start >= length {
            return Err(RangeError::Unsatisfiable);
        }
        Ok(range)
    }
}

fn parse_digits(text: &str) -> Result<u64, RangeError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RangeError::Unsatisfiable);
    }
    // More digits than a u64 holds is still a number: past every stream's end.
    Ok(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(value: &str, start: u64, end: u64) {
        assert_eq!(ByteRange::parse_header(value, 3), Ok(ByteRange { start, end }), "{value}");
    }

    #[test]
    fn ranges_clip_as_the_reference_does() {
        ok("bytes=0-0", 0, 1);
        ok("bytes=1-", 1, 3);
        ok("bytes=-2", 1, 3);
        ok("bytes=-99", 0, 3);
        ok("bytes=0-99", 0, 3);
        ok("bytes=0-99999999999999999999999", 0, 3);
    }

    #[test]
    fn ranges_outside_the_stream_are_refused() {
        for bad in
            ["bytes=3-", "bytes=1-0", "lines=0-1", "bytes=", "bytes=a-b", "bytes=-0", "bytes=-", "bytes=+1-2"]
        {
            assert_eq!(ByteRange::parse_header(bad, 3), Err(RangeError::Unsatisfiable), "{bad}");
        }
        assert_eq!(ByteRange::parse_header("bytes=0-0,2-2", 3), Err(RangeError::Multiple));
        assert_eq!(ByteRange::parse_header("bytes=0-0", 0), Err(RangeError::Unsatisfiable));
    }
}
