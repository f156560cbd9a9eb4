//! The text in a VMDK that says what the disk is made of: here, of this one file.
//!
//! Invariant: every line is one of the few that a disk of one file needs; no name in it is followed.

use crate::disk::refusal::Code;

const LINES_MAX: usize = 10_000;
/// Keys that say nothing which could lead out of the file. Those of the disk's database all begin alike.
const HARMLESS: [&str; 5] = ["version", "encoding", "cid", "isnativesnapshot", "longcontentid"];
const DATABASE: &str = "ddb.";
const NO_PARENT: &str = "ffffffff";
const CREATE_TYPES: [&str; 2] = ["monolithicsparse", "streamoptimized"];
const ACCESS: [&str; 3] = ["rw", "rdonly", "noaccess"];

/// What is wrong, in which field.
pub(super) type Wrong = (Code, &'static str, String);

/// Refuses a descriptor that is not of a sparse disk of one file.
pub(super) fn check(text: &[u8]) -> Result<(), Wrong> {
    // What is left of its sectors is filled with NULs.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii());
    let text = text.ok_or((Code::BadField, "descriptor", "it is no ASCII text".to_owned()))?;
    let (mut extents, mut has_type) = (0, false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if number >= LINES_MAX {
            return Err((Code::OverBudget, "descriptor", format!("it has more than {LINES_MAX} lines")));
        }
        let wrong = |code, field, why: &str| Err((code, field, format!("line {}: {why}", number + 1)));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|(key, _)| !key.contains('"')) else {
            extents += 1;
            extent(line).or_else(|(code, why)| wrong(code, "descriptor extent", why))?;
            continue;
        };
        let (key, value) =
            (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_ascii_lowercase());
        match key.as_str() {
            "createtype" if CREATE_TYPES.contains(&value.as_str()) => has_type = true,
            "createtype" => {
                let why = "it is neither monolithicSparse nor streamOptimized";
                return wrong(Code::Unsupported, "createType", why);
            }
            "parentcid" if value == NO_PARENT => {}
            "parentcid" | "parentfilenamehint" => {
                return wrong(
                    Code::NeedsAnotherFile,
                    "parentCID",
                    "the disk is what changed since another one",
                );
            }
            key if HARMLESS.contains(&key) || key.starts_with(DATABASE) => {}
            _ => return wrong(Code::Unsupported, "descriptor", "it is of no kind that is known here"),
        }
    }
    if !has_type {
        return Err((Code::BadField, "createType", "there is none".into()));
    }
    if extents != 1 {
        return Err((Code::NeedsAnotherFile, "descriptor extent", format!("there are {extents}, not one")));
    }
    Ok(())
}

/// An extent of this file: `RW 2048 SPARSE "name.vmdk"`.
fn extent(line: &str) -> Result<(), (Code, &'static str)> {
    let (head, name) =
        line.split_once('"').ok_or((Code::Unsupported, "it is of no kind that is known here"))?;
    let words: Vec<String> = head.split_whitespace().map(str::to_ascii_lowercase).collect();
    let [access, sectors, kind] = &words[..] else {
        return Err((Code::Unsupported, "it is of no kind that is known here"));
    };
    if !ACCESS.contains(&access.as_str()) || sectors.parse::<u64>().is_err() {
        return Err((Code::Unsupported, "it is of no kind that is known here"));
    }
    if kind != "sparse" {
        return Err((Code::NeedsAnotherFile, "its data is not in this file"));
    }
    let (name, after) = name.split_once('"').ok_or((Code::BadField, "a name has no end"))?;
    if name.contains(['/', '\\']) || !matches!(after.trim(), "" | "0") {
        return Err((Code::NeedsAnotherFile, "it names a place"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Disk DescriptorFile\nversion=1\nCID=7a1b2c3d\nparentCID=ffffffff\n\
        createType=\"monolithicSparse\"\n\n# Extent description\nRW 20480 SPARSE \"disk.vmdk\"\n\n\
        ddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"20\"\n";

    fn code(text: &str) -> Option<Code> {
        check(text.as_bytes()).err().map(|(code, ..)| code)
    }

    #[test]
    fn a_disk_of_one_file_is_told_from_every_other() {
        assert_eq!(code(GOOD), None);
        assert_eq!(code(&GOOD.replace('\n', "\r\n")), None);
        assert_eq!(code(&format!("{GOOD}\0\0\0whatever = \"x\"")), None, "NULs end it");
        let changed = |from: &str, to: &str| code(&GOOD.replace(from, to));
        assert_eq!(changed("monolithicSparse", "streamOptimized"), None);
        for kind in ["monolithicFlat", "twoGbMaxExtentSparse", "vmfs", "custom", "fullDevice"] {
            assert_eq!(changed("monolithicSparse", kind), Some(Code::Unsupported), "{kind}");
        }
        for kind in ["FLAT", "ZERO", "VMFS", "VMFSSPARSE", "VMFSRDM", "VMFSRAW"] {
            assert_eq!(changed("SPARSE", kind), Some(Code::NeedsAnotherFile), "{kind}");
        }
        for name in ["/etc/passwd", "..\\x", "a/b"] {
            assert_eq!(changed("disk.vmdk", name), Some(Code::NeedsAnotherFile), "{name}");
        }
        assert_eq!(changed("ffffffff", "00000001"), Some(Code::NeedsAnotherFile));
        let hint = format!("{GOOD}parentFileNameHint=\"base.vmdk\"\n");
        assert_eq!(code(&hint), Some(Code::NeedsAnotherFile));
        let two = format!("{GOOD}RW 20480 SPARSE \"more.vmdk\"\n");
        assert_eq!(code(&two), Some(Code::NeedsAnotherFile));
        assert_eq!(changed("RW 20480 SPARSE \"disk.vmdk\"", ""), Some(Code::NeedsAnotherFile));
        assert_eq!(changed("createType=\"monolithicSparse\"", ""), Some(Code::BadField));
        assert_eq!(code(&format!("{GOOD}changeTrackPath=\"ctk.vmdk\"\n")), Some(Code::Unsupported));
        assert_eq!(code(&GOOD.replace("CID=7a1b2c3d", "CID=\u{e9}")), Some(Code::BadField));
        assert_eq!(code(&"#\n".repeat(LINES_MAX + 2)), Some(Code::OverBudget));
    }
}
