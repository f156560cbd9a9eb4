//! Which requests make sense: flags, ranges and lengths, by the book.
//!
//! Invariant: what passes lies on the disk, and is nothing that was not agreed on. Must not know how requests are done.

use super::exports::Disk;
use super::negotiation::REQUEST_BYTES_MAX;
use super::pages::PIECE_BYTES;
use super::wire::{Errno, Request, command, command_flag};

/// Why a request makes no sense, if it does not.
pub fn to(request: &Request, disk: &impl Disk, is_structured: bool, has_allocation: bool) -> Option<Errno> {
    let (size, is_writable) = (disk.size_bytes(), disk.is_writable());
    let changes = [command::WRITE, command::WRITE_ZEROES, command::TRIM].contains(&request.command);
    let known = command_flag::FUA
        | match request.command {
            command::READ if is_structured => command_flag::DONT_FRAGMENT,
            command::BLOCK_STATUS => command_flag::REQUEST_ONE,
            command::WRITE_ZEROES => command_flag::NO_HOLE | command_flag::FAST_ZERO,
            command::READ | command::WRITE | command::FLUSH | command::TRIM | command::CACHE => 0,
            _ => return Some(Errno::Invalid),
        };
    let end = request.offset.checked_add(request.length.into());
    let is_inside = end.is_some_and(|end| end <= size);
    match request.command {
        _ if request.flags & !known != 0 => Some(Errno::Invalid),
        command::FLUSH => None,
        _ if changes && !is_writable => Some(Errno::Permission),
        _ if request.length == 0 => Some(Errno::Invalid),
        command::WRITE | command::WRITE_ZEROES if !is_inside => Some(Errno::NoSpace),
        _ if !is_inside => Some(Errno::Invalid),
        command::READ if request.length > REQUEST_BYTES_MAX => Some(Errno::Invalid),
        command::BLOCK_STATUS if !has_allocation => Some(Errno::Invalid),
        command::READ
            if request.has(command_flag::DONT_FRAGMENT) && request.length as usize > PIECE_BYTES =>
        {
            Some(Errno::Overflow)
        }
        _ => None,
    }
}
