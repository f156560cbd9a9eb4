//! What a report finds fault with: a code that stays, how much it matters, where, and a sentence.

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A machine may not start from the image, or not as it should.
    Problem,
    /// The image needs optimisation before machines are made of it.
    Optimise,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Problem => "problem",
            Severity::Optimise => "optimise",
            Severity::Note => "note",
        }
    }
}

macro_rules! codes {
    ($($name:ident $word:literal $severity:ident $about:literal;)*) => {
        /// What was found. Words of codes stay the same from version to version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $about] $name,)*
        }

        impl Code {
            /// Every code.
            #[cfg(test)]
            pub(super) const ALL: &[Code] = &[$(Code::$name),*];

            /// The word for programs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $word,)*
                }
            }

            /// How much it matters.
            pub fn severity(self) -> Severity {
                match self {
                    $(Code::$name => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    TableNotInOrder "table-not-in-order" Problem "The table of partitions contradicts itself or the disk.";
    NotReadable "not-readable" Problem "A file system or file that should be read is not in order.";
    FileSystemErrors "file-system-errors" Problem "A file system is marked as having errors.";
    NoLoader "no-boot-loader" Problem "Nothing was found that a firmware starts.";
    NoVirtioDriver "no-virtio-driver" Problem "A kernel has no driver for virtual disks or networks.";
    RootPasswordEmpty "root-password-empty" Problem "root signs in without a password.";
    OwnDriversOnly "initramfs-own-drivers-only" Optimise "The initramfs is made for the machine it was made on.";
    DeviceNamesInFstab "device-names-in-fstab" Optimise "Mounts name disks as one hypervisor calls them.";
    DeviceNamesInLoader "device-names-in-boot-loader" Optimise "The kernel is told its root as one hypervisor calls it.";
    NoCloudInit "no-cloud-init" Optimise "Nothing in the image takes keys and names at the first start.";
    CloudInitStateLeft "cloud-init-state-left" Optimise "cloud-init takes a new machine for one that it has set up.";
    MachineIdLeft "machine-id-left" Optimise "All machines would have the same id.";
    HostKeysLeft "ssh-host-keys-left" Optimise "All machines would have the same host keys.";
    RootPasswordSet "root-password-set" Optimise "root has a password that the image brings.";
    AuthorizedKeysLeft "authorized-keys-left" Optimise "Somebody's key opens all machines.";
    HistoryLeft "shell-history-left" Optimise "What was typed lies in the image.";
    NetRulesLeft "persistent-net-rules-left" Optimise "Names of network cards are bound to another machine's.";
    StaticAddress "static-address" Optimise "An address is fixed, where machines get theirs by DHCP.";
    ForeignTools "foreign-guest-tools" Optimise "Tools of another hypervisor are installed.";
    LargeLogs "large-logs" Optimise "Logs take room in every machine.";
    JournalWaits "journal-waits" Note "Changes wait in a file system's journal; what is read is older.";
    LittleRoom "little-free-space" Note "The root file system is nearly full.";
    SwapInside "swap-inside" Note "Swap takes room in the image.";
    Encrypted "encrypted-volume" Note "A volume is encrypted, and was not looked into.";
    NotLookedInto "not-looked-into" Note "A file system is of a kind that is only recognised.";
    CutShort "look-cut-short" Note "The look at the disk ended early.";
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// The file or directory in the root file system, where it is about one.
    pub path: Option<String>,
    /// What it comes to, and what to do.
    pub sentence: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_that_differ() {
        let words: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        let is_plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(words.iter().all(is_plain));
    }
}
