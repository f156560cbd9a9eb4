//! The data of options: names, and lists of what is asked.
//!
//! Invariant: what is taken has exactly the length that its parts say; names are texts without a zero byte. Must not know
//! what an option leads to.

use super::wire::Fields;

/// Longest name or query, in bytes.
const NAME_BYTES_MAX: usize = 4096;

/// What a client wants to know of an export.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted<'d> {
    /// The export's name.
    pub name: &'d str,
    /// Numbers of what to tell.
    pub infos: Vec<u16>,
}

/// Which contexts of an export's block status a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Contexts<'d> {
    /// The export's name.
    pub name: &'d str,
    /// The contexts, or beginnings of their names.
    pub queries: Vec<&'d str>,
}

/// A name that is all of the data.
pub fn export_name(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|name| is_name(name))
}

/// What is asked with INFO and GO.
pub fn wanted(data: &[u8]) -> Option<Wanted<'_>> {
    let mut fields = Fields(data);
    let name = fields.text().filter(|name| is_name(name))?;
    let count = fields.u16()?;
    if fields.0.len() != usize::from(count) * 2 {
        return None;
    }
    let infos = (0..count).map_while(|_| fields.u16()).collect();
    Some(Wanted { name, infos })
}

/// What is asked with LIST_META_CONTEXT and SET_META_CONTEXT.
pub fn contexts(data: &[u8]) -> Option<Contexts<'_>> {
    let mut fields = Fields(data);
    let name = fields.text().filter(|name| is_name(name))?;
    let count = fields.u32()?;
    let mut queries = Vec::new();
    for _ in 0..count {
        // Each takes four bytes at least, so that the data bounds how many there are.
        queries.push(fields.text().filter(|query| query.len() <= NAME_BYTES_MAX)?);
    }
    fields.0.is_empty().then_some(Contexts { name, queries })
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn lengths_have_to_fit() {
        let good = [text("a"), vec![0, 1, 0, 3]].concat();
        assert_eq!(wanted(&good), Some(Wanted { name: "a", infos: vec![3] }));
        for cut in 0..good.len() {
            assert_eq!(wanted(&good[..cut]), None, "{cut}");
        }
        assert_eq!(wanted(&[good, vec![0]].concat()), None);
        let good = [text("a"), 2u32.to_be_bytes().to_vec(), text("base:"), text("x:y")].concat();
        assert_eq!(contexts(&good), Some(Contexts { name: "a", queries: vec!["base:", "x:y"] }));
        for cut in 0..good.len() {
            assert_eq!(contexts(&good[..cut]), None, "{cut}");
        }
        assert_eq!(contexts(&[text("a"), u32::MAX.to_be_bytes().to_vec()].concat()), None);
        assert_eq!(export_name(&[0xff]), None);
        assert_eq!(export_name(b"a\0b"), None);
        assert_eq!(export_name(&vec![b'a'; NAME_BYTES_MAX + 1]), None);
        assert_eq!(export_name(b""), Some(""));
    }

    proptest! {
        #[test]
        fn any_data_is_taken_or_not(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (export_name(&data), wanted(&data), contexts(&data));
        }
    }
}
