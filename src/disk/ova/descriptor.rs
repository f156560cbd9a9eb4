//! The description of a machine, of which its disks are read.
//!
//! Invariants: no document type, no entity but the five that XML has, no instruction is read; what nests deeper than
//! [`DEPTH_MAX`], or is longer than the budget of texts, is refused. A name is told as it stands, and never followed. No
//! attribute of a file or a disk has a second one beside it that only a prefix tells apart.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::disk::refusal::Code;

/// Elements within each other.
const DEPTH_MAX: usize = 64;
/// Files and disks that are told of.
const ENTRIES_MAX: usize = 256;
/// Entities that XML has of itself.
const ENTITIES: [&[u8]; 5] = [b"lt", b"gt", b"amp", b"apos", b"quot"];

/// Why a description is not read: the code, the field at fault, and what it is.
pub(super) type Wrong = (Code, &'static str, String);

/// What a description says of files and disks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// Files by their ids, with their names.
    pub(super) files: Vec<(String, String)>,
    /// The ids of the files that disks lie in; `None` of an empty one.
    pub(super) disks: Vec<Option<String>>,
}

impl Descriptor {
    /// Reads a description.
    pub(super) fn read(text: &[u8]) -> Result<Descriptor, Wrong> {
        let text = std::str::from_utf8(text).map_err(|_| wrong("encoding", "it is not UTF-8"))?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = true;
        let (mut found, mut has_root) = (Descriptor::default(), false);
        // Names of the elements that are open, without prefixes.
        let mut path = Vec::<Vec<u8>>::new();
        loop {
            let event = reader.read_event().map_err(|_| wrong("XML", "it is not well formed"))?;
            match event {
                Event::Eof => break,
                Event::DocType(_) => return Err(wrong("DOCTYPE", "a document type is not read")),
                Event::PI(_) => return Err(wrong("XML", "an instruction is not read")),
                Event::GeneralRef(name) if !is_of_xml(&name) => {
                    return Err(wrong("XML", "an entity is not read"));
                }
                Event::Start(element) => {
                    found.take(&element, path.last(), &mut has_root)?;
                    path.push(element.local_name().as_ref().to_vec());
                    if path.len() > DEPTH_MAX {
                        let why = format!("elements nest more than {DEPTH_MAX} deep");
                        return Err((Code::OverBudget, "XML", why));
                    }
                }
                Event::Empty(element) => found.take(&element, path.last(), &mut has_root)?,
                Event::End(_) => drop(path.pop()),
                _ => {}
            }
        }
        match has_root && path.is_empty() {
            true => Ok(found),
            false => Err(wrong("Envelope", "there is none")),
        }
    }

    fn take(
        &mut self,
        element: &BytesStart,
        parent: Option<&Vec<u8>>,
        has_root: &mut bool,
    ) -> Result<(), Wrong> {
        let attributes = Attributes::of(element)?;
        match (element.local_name().as_ref(), parent.map(Vec::as_slice)) {
            (b"Envelope", None) if !*has_root => *has_root = true,
            (_, None) => return Err(wrong("Envelope", "it is not the one element that holds all")),
            (b"File", Some(b"References")) => self.take_file(attributes)?,
            // The first drafts called every section so.
            (b"Disk", Some(b"DiskSection" | b"Section")) => self.take_disk(attributes)?,
            _ => {}
        }
        if self.files.len().max(self.disks.len()) > ENTRIES_MAX {
            return Err((Code::OverBudget, "References", format!("there are more than {ENTRIES_MAX}")));
        }
        Ok(())
    }

    fn take_file(&mut self, mut attributes: Attributes) -> Result<(), Wrong> {
        attributes.expect_one_of_a_name("File")?;
        if attributes.take("chunkSize").is_some() {
            return Err((Code::Unsupported, "File chunkSize", "the file is cut into pieces".into()));
        }
        if attributes.take("compression").is_some_and(|how| !how.is_empty() && how != "identity") {
            return Err((Code::Unsupported, "File compression", "the file is compressed once more".into()));
        }
        match (attributes.take("id"), attributes.take("href")) {
            (Some(id), Some(href)) if self.files.iter().all(|(known, _)| *known != id) => {
                self.files.push((id, href));
                Ok(())
            }
            (Some(_), Some(_)) => Err(wrong("File id", "two files have the same")),
            _ => Err(wrong("File", "it lacks an id or an href")),
        }
    }

    fn take_disk(&mut self, mut attributes: Attributes) -> Result<(), Wrong> {
        attributes.expect_one_of_a_name("Disk")?;
        if attributes.take("parentRef").is_some() {
            let why = "the disk is what changed since another one";
            return Err((Code::NeedsAnotherFile, "Disk parentRef", why.into()));
        }
        self.disks.push(attributes.take("fileRef"));
        Ok(())
    }
}

/// Attributes of an element, by their names without prefixes.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(element: &BytesStart) -> Result<Attributes, Wrong> {
        let broken = || wrong("XML", "an attribute is not well formed, or names an entity");
        let mut read = Vec::new();
        for found in element.attributes() {
            let attribute = found.map_err(|_| broken())?;
            let value =
                attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|_| broken())?;
            // What declares a prefix says nothing of the element: `xmlns:href` is no href.
            if attribute.key.as_namespace_binding().is_none() {
                let name = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
                read.push((name, value.into_owned()));
            }
        }
        Ok(Attributes(read))
    }

    /// Refuses an element, told of as `field`, with attributes that differ in their prefixes alone: readers do not
    /// agree which of them counts.
    fn expect_one_of_a_name(&self, field: &'static str) -> Result<(), Wrong> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(wrong(field, "two of its attributes have the same name but for their prefixes")),
            false => Ok(()),
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Whether a reference is one of XML itself: an entity it has, or a character's number.
fn is_of_xml(name: &[u8]) -> bool {
    ENTITIES.contains(&name) || name.starts_with(b"#")
}

fn wrong(field: &'static str, why: &str) -> Wrong {
    (Code::BadField, field, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Option<&'static str> {
        Descriptor::read(text.as_bytes()).err().map(|(_, field, _)| field)
    }

    #[test]
    fn s31_document_types_entities_instructions_and_depth_are_refused() {
        let bomb = "<!DOCTYPE l [<!ENTITY a \"aa\"><!ENTITY b \"&a;&a;\">]><Envelope>&b;</Envelope>";
        assert_eq!(field(bomb), Some("DOCTYPE"));
        assert_eq!(field("<Envelope>&b;</Envelope>"), Some("XML"));
        assert_eq!(field("<Envelope a=\"&b;\"/>"), Some("XML"));
        assert_eq!(field("<Envelope><?go there?></Envelope>"), Some("XML"));
        let deep = format!("<Envelope>{}{}</Envelope>", "<a>".repeat(64), "</a>".repeat(64));
        assert_eq!(field(&deep), Some("XML"));
        assert_eq!(field("<Envelope>&amp;&#65;&lt;</Envelope>"), None);
    }

    #[test]
    fn one_envelope_holds_all_of_a_well_formed_text() {
        for text in ["", "<Other/>", "<Envelope/><Envelope/>", "text"] {
            assert_eq!(field(text), Some("Envelope"), "{text}");
        }
        for text in ["<Envelope><a></Envelope>", "<Envelope a=1/>", "<Envelope a=\"1\" a=\"2\"/>"] {
            assert_eq!(field(text), Some("XML"), "{text}");
        }
        assert_eq!(field("<Envelope>"), Some("Envelope"));
        assert!(Descriptor::read(b"<Envelope>\xff</Envelope>").is_err());
        assert_eq!(field("\u{feff}<?xml version=\"1.0\"?><!-- a --><e:Envelope xmlns:e=\"x\"/>"), None);
    }

    #[test]
    fn s3_no_attribute_hides_another_one_of_its_name() {
        let file = |attributes: &str| {
            let text = format!("<Envelope><References><File {attributes}/></References></Envelope>");
            Descriptor::read(text.as_bytes()).map(|read| read.files).map_err(|(code, field, _)| (code, field))
        };
        let (inside, outside) = ("href=\"disk.img\"", "href=\"http://198.51.100.1/d\"");
        let refused = Err((Code::BadField, "File"));
        assert_eq!(file(&format!("x:{inside} ovf:id=\"f\" ovf:{outside}")), refused);
        assert_eq!(file(&format!("{inside} ovf:id=\"f\" ovf:{outside}")), refused);
        assert_eq!(file(&format!("ovf:id=\"f\" ovf:{outside} x:{inside}")), refused);
        assert_eq!(file("x:id=\"f\" ovf:id=\"g\" ovf:href=\"disk.img\""), refused);
        // What declares a prefix is not one of them, and hides none.
        let told = Ok(vec![("f".to_owned(), "http://198.51.100.1/d".to_owned())]);
        assert_eq!(file(&format!("xmlns:{inside} xmlns:id=\"g\" ovf:id=\"f\" ovf:{outside}")), told);
        let disk =
            "<Envelope><DiskSection><Disk x:fileRef=\"f\" ovf:fileRef=\"g\"/></DiskSection></Envelope>";
        assert_eq!(field(disk), Some("Disk"));
        // What is not read may have them, as other tools write it.
        assert_eq!(field("<Envelope><Item xml:id=\"a\" ovf:id=\"b\"/></Envelope>"), None);
    }
}
