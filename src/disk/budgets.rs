//! How much an image may ask of its reader.

use super::kept::Pieces;

/// Limits on what is believed of a header, in bytes unless it says otherwise. The start values are generous: images of
/// distributions stay far below all of them.
#[derive(Debug, Clone)]
pub struct Budgets {
    /// Size of the guest's disk (requirement B2).
    pub virtual_bytes_max: u64,
    /// One table that is kept in memory whole (B3).
    pub table_bytes_max: u64,
    /// Where tables that are read as they are needed, and decoded units, are kept (B3): all containers that are opened
    /// with these budgets share it.
    pub pieces: Pieces,
    /// Tables in memory of all containers that are open for reading at once; one may be open in any case.
    pub open_bytes_max: u64,
    /// One compressed unit, as it lies there and as it comes out (B4).
    pub unit_bytes_max: u64,
    /// Decoded bytes that are not zero for each byte of the container (B5).
    pub ratio_max: u64,
    /// A descriptor's text (B8).
    pub text_bytes_max: u64,
    /// Changes that a log has for the disk (VHDX).
    pub log_bytes_max: u64,
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets {
            virtual_bytes_max: 64 << 40,
            table_bytes_max: 32 << 20,
            pieces: Pieces::new(16 << 20),
            open_bytes_max: 16 << 20,
            unit_bytes_max: 4 << 20,
            ratio_max: 2000,
            text_bytes_max: 1 << 20,
            log_bytes_max: 64 << 20,
        }
    }
}
