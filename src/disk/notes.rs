//! What is worth knowing of an image that is in order: a word that stays, the field that says so, and how much of it.
//!
//! Invariant: a word never changes its meaning, as records keep it. Must not know who is told.

/// What there is to know, in a word that stays the same from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteCode {
    /// It has snapshots inside.
    InternalSnapshots,
    /// It was not closed as it should.
    Dirty,
    /// Its counts of references may lag behind.
    LazyRefcounts,
    /// It has bitmaps of what changed.
    Bitmaps,
    /// Whoever wrote it did not come to close it.
    UncleanShutdown,
    /// Changes that waited in its log count as made.
    LogReplayed,
    /// Readers differ on how large its disk is.
    SizesDiffer,
    /// Far more comes out of it than it has bytes.
    HighRatio,
    /// What holds it together names digests of its parts, which were compared.
    ManifestVerified,
    /// Nothing in it says what its parts must be.
    NoManifest,
    /// What lies in it is of this format.
    InnerFormat,
    /// So many disks lie in it.
    SeveralDisks,
    /// Its name.
    Label,
    /// It starts a machine.
    Boots,
    /// It is a disc and a disk at once.
    Hybrid,
    /// It has a file system of UDF.
    Udf,
    /// Its data is encrypted.
    Encrypted,
    /// It looks like something else as well.
    AlsoLooksLike,
    /// It is taken as it lies there, and looks like a container.
    LooksLikeContainer,
    /// It was not looked into.
    NotLookedInto,
    /// It has no partition table.
    NoPartitionTable,
    /// A partition is marked in a way that there is none.
    MbrBootFlag,
    /// What stands for a GUID partition table is not as it should be.
    MbrProtective,
    /// A partition does not lie on the disk.
    MbrPastEnd,
    /// The header of the GUID partition table is not in order.
    GptHeader,
    /// Its entries are not in order.
    GptEntries,
    /// Its second copy is missing, or another.
    GptBackup,
}

impl NoteCode {
    /// Every word.
    pub const ALL: [NoteCode; 27] = {
        use NoteCode::*;
        [
            InternalSnapshots,
            Dirty,
            LazyRefcounts,
            Bitmaps,
            UncleanShutdown,
            LogReplayed,
            SizesDiffer,
            HighRatio,
            ManifestVerified,
            NoManifest,
            InnerFormat,
            SeveralDisks,
            Label,
            Boots,
            Hybrid,
            Udf,
            Encrypted,
            AlsoLooksLike,
            LooksLikeContainer,
            NotLookedInto,
            NoPartitionTable,
            MbrBootFlag,
            MbrProtective,
            MbrPastEnd,
            GptHeader,
            GptEntries,
            GptBackup,
        ]
    };

    /// How it is written in records and answers.
    pub fn as_str(self) -> &'static str {
        self.words().0
    }

    /// What it means, as a sentence about the image.
    pub fn meaning(self) -> &'static str {
        self.words().1
    }

    /// Whether its owner should look at it, rather than merely know it.
    pub fn is_warning(self) -> bool {
        use NoteCode::*;
        !matches!(
            self,
            LazyRefcounts
                | Bitmaps
                | LogReplayed
                | SizesDiffer
                | ManifestVerified
                | NoManifest
                | InnerFormat
                | SeveralDisks
                | Label
                | Boots
                | Hybrid
                | Udf
                | Encrypted
                | NotLookedInto
                | NoPartitionTable
        )
    }

    /// The word, where it is one.
    pub fn parse(word: &str) -> Option<NoteCode> {
        NoteCode::ALL.into_iter().find(|code| code.as_str() == word)
    }

    fn words(self) -> (&'static str, &'static str) {
        use NoteCode::*;
        match self {
            InternalSnapshots => (
                "internal-snapshots",
                "it has snapshots inside, which may hold data its owner takes for deleted",
            ),
            Dirty => ("dirty", "it was not closed as it should; the guest's disk is read all the same"),
            LazyRefcounts => ("lazy-refcounts", "its counts of references may lag behind"),
            Bitmaps => ("bitmaps", "it has bitmaps of what changed"),
            UncleanShutdown => ("unclean-shutdown", "whoever wrote it did not close it"),
            LogReplayed => ("log-replayed", "changes that wait in its log count as made"),
            SizesDiffer => ("sizes-differ", "its geometry makes another size, which some readers take"),
            HighRatio => ("high-ratio", "far more comes out of it than it has bytes"),
            ManifestVerified => ("manifest-verified", "its members are what its manifest says"),
            NoManifest => ("no-manifest", "it has no manifest to compare its members with"),
            InnerFormat => ("inner-format", "the format of the disk inside"),
            SeveralDisks => {
                ("several-disks", "the machine has more disks than one, and a number says which is read")
            }
            Label => ("label", "its name"),
            Boots => ("boots", "it has a catalog of what starts a machine"),
            Hybrid => ("hybrid", "it is a disk with a partition table as well"),
            Udf => ("udf", "it has a file system of UDF"),
            Encrypted => ("encrypted", "its data is encrypted, and is not looked into"),
            AlsoLooksLike => ("also-looks-like", "readers may take it for something else as well"),
            LooksLikeContainer => (
                "looks-like-container",
                "it is kept as a raw disk, and looks like a container of another format",
            ),
            NotLookedInto => ("not-looked-into", "it is kept as it is: what is in it was not looked into"),
            NoPartitionTable => ("no-partition-table", "it has no partition table"),
            MbrBootFlag => ("mbr-boot-flag", "the flag of a partition is neither 0x00 nor 0x80"),
            MbrProtective => {
                ("mbr-protective", "the entry that stands for a GUID partition table is missing or not alone")
            }
            MbrPastEnd => ("mbr-past-end", "a partition reaches past the end of the disk"),
            GptHeader => ("gpt-header", "the header of its GUID partition table is not in order"),
            GptEntries => ("gpt-entries", "the entries of its GUID partition table are not in order"),
            GptBackup => ("gpt-backup", "the second copy of its GUID partition table is missing or differs"),
        }
    }
}

/// A thing worth knowing of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What.
    pub code: NoteCode,
    /// Which field or structure says so, by the name that the format's specification has for it.
    pub field: &'static str,
    /// How much, or which.
    pub value: Option<String>,
}

impl Note {
    /// That there is something.
    pub fn new(code: NoteCode, field: &'static str) -> Note {
        Note { code, field, value: None }
    }

    /// The same, and how much or which. Texts of the image's own are told only as far as they are printable.
    pub fn with(code: NoteCode, field: &'static str, value: impl ToString) -> Note {
        const CHARS_MAX: usize = 64;
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let value: String = value.to_string().chars().take(CHARS_MAX).map(printable).collect();
        Note { code, field, value: Some(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_and_are_read_back() {
        for code in NoteCode::ALL {
            assert_eq!(NoteCode::parse(code.as_str()), Some(code));
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code:?}");
        }
        assert_eq!(NoteCode::parse("other"), None);
    }

    #[test]
    fn a_text_of_the_image_is_told_as_far_as_it_is_printable() {
        let note =
            Note::with(NoteCode::Label, "volume identifier", format!("a\n\u{1b}[31mü{}", "x".repeat(90)));
        let value = note.value.unwrap();
        assert!(value.starts_with("a??[31m?x"), "{value}");
        assert_eq!(value.len(), 64);
    }
}
