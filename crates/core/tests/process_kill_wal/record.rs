//! Records that tell which operation wrote them, and whether every byte is what it wrote.

use super::kill_support::Random;
use super::model::Tag;

/// Operation (8), index in its batch (4), a check over these and the size (4).
const HEAD_BYTES: usize = 16;
/// What a hard state has for an index.
const HARD_STATE: u32 = u32::MAX;

/// The record at an index of a batch. One without room for its own head is empty.
pub(crate) fn record(op: u64, index: u32, size_bytes: usize) -> Vec<u8> {
    if size_bytes < HEAD_BYTES {
        return Vec::new();
    }
    let size = u32::try_from(size_bytes).expect("records are small");
    let mut bytes = Vec::with_capacity(size_bytes + 8);
    bytes.extend_from_slice(&op.to_le_bytes());
    bytes.extend_from_slice(&index.to_le_bytes());
    let mut random = Random::new(op);
    random = Random::new(random.next() ^ u64::from(index));
    random = Random::new(random.next() ^ u64::from(size));
    let check: [u8; 8] = random.next().to_le_bytes();
    bytes.extend_from_slice(&check[..4]);
    while bytes.len() < size_bytes {
        // No zeros: what was not written is not taken for what was.
        bytes.extend_from_slice(&(random.next() | 0x0101_0101_0101_0101).to_le_bytes());
    }
    bytes.truncate(size_bytes);
    bytes
}

/// Which record this is; nothing if it is none, or was changed.
pub(crate) fn tag(bytes: &[u8]) -> Option<Tag> {
    if bytes.is_empty() {
        return Some(Tag::Empty);
    }
    let op = u64::from_le_bytes(*bytes.first_chunk()?);
    let index = u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    (record(op, index, bytes.len()) == bytes).then_some(Tag::Of { op, index })
}

/// The hard state that an operation sets.
pub(crate) fn hard_state(op: u64, size_bytes: usize) -> Vec<u8> {
    record(op, HARD_STATE, size_bytes.max(HEAD_BYTES))
}

/// The operation that set a hard state; nothing if none did, or it was changed.
pub(crate) fn setter(bytes: &[u8]) -> Option<u64> {
    match tag(bytes) {
        Some(Tag::Of { op, index: HARD_STATE }) => Some(op),
        _ => None,
    }
}
