//! Opens what was recognised, where it is read here.

use super::ext::Ext;
use super::fat::Fat;
use super::fault::Fault;
use super::iso::Disc;
use super::part::Part;
use super::recognise::Kind;
use super::tree::Tree;

/// Opens the file system of a part; `None` where it is of a kind that is only recognised.
///
/// # Errors
/// When it is not in order, uses what is not read here, or its bytes cannot be had.
pub fn mount(part: &Part, kind: Kind) -> Result<Option<Tree>, Fault> {
    Ok(Some(match kind {
        Kind::Ext => Tree::new(Ext::open(part.clone())?),
        Kind::Fat => Tree::new(Fat::open(part.clone())?),
        Kind::Iso => Tree::new(Disc::open(part.clone())?),
        _ => return Ok(None),
    }))
}
