//! Bytes copied out of and into memory that others change meanwhile.
//!
//! Everything is done by atomic accesses of one size, the aligned word: then two threads of this
//! process that race have a defined outcome (a word is old or new, never both), whatever another
//! process does looks like a thread of its own, and no reference to plain bytes ever exists. A
//! plain copy, volatile or not, would be a data race; accesses of mixed sizes are undefined too.
//! The first and the last bytes of a range share their word with neighbours, so they are exchanged
//! with compare-and-swap, and a neighbour's store is never undone.
//!
//! Words are little-endian in the file, as everything in it is, so that the low half of a word has
//! the same place on every machine.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes in a word.
pub(super) const WORD_SIZE: usize = 8;

/// Copies bytes out, as far as there are words.
pub(super) fn copy_out(words: &[AtomicU64], offset: usize, into: &mut [u8]) {
    let mut words = words.iter().skip(offset / WORD_SIZE);
    let (head, body) = into.split_at_mut(head_size(offset, into.len()));
    if !head.is_empty()
        && let Some(word) = words.next()
    {
        fill(head, load_bytes(word).iter().skip(offset % WORD_SIZE));
    }
    let mut chunks = body.chunks_exact_mut(WORD_SIZE);
    for (chunk, word) in chunks.by_ref().zip(words.by_ref()) {
        chunk.copy_from_slice(&load_bytes(word));
    }
    let tail = chunks.into_remainder();
    if !tail.is_empty()
        && let Some(word) = words.next()
    {
        fill(tail, load_bytes(word).iter());
    }
}

/// Copies bytes in, as far as there are words.
pub(super) fn copy_in(words: &[AtomicU64], offset: usize, from: &[u8]) {
    let mut words = words.iter().skip(offset / WORD_SIZE);
    let (head, body) = from.split_at(head_size(offset, from.len()));
    if !head.is_empty()
        && let Some(word) = words.next()
    {
        patch(word, offset % WORD_SIZE, head);
    }
    let (chunks, tail) = body.as_chunks::<WORD_SIZE>();
    for (chunk, word) in chunks.iter().zip(words.by_ref()) {
        word.store(u64::from_le_bytes(*chunk).to_le(), Relaxed);
    }
    if !tail.is_empty()
        && let Some(word) = words.next()
    {
        patch(word, 0, tail);
    }
}

/// How many bytes there are before the first whole word of a range.
fn head_size(offset: usize, len: usize) -> usize {
    (offset.next_multiple_of(WORD_SIZE) - offset).min(len)
}

fn load_bytes(word: &AtomicU64) -> [u8; WORD_SIZE] {
    u64::from_le(word.load(Relaxed)).to_le_bytes()
}

fn fill<'a>(into: &mut [u8], from: impl Iterator<Item = &'a u8>) {
    for (to, from) in into.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Changes some bytes of a word and leaves the others to whoever changes them at the same time.
fn patch(word: &AtomicU64, skip: usize, bytes: &[u8]) {
    let patched = |held: u64| {
        let mut held = u64::from_le(held).to_le_bytes();
        fill_from(&mut held, skip, bytes);
        u64::from_le_bytes(held).to_le()
    };
    let mut held = word.load(Relaxed);
    while let Err(other) = word.compare_exchange_weak(held, patched(held), Relaxed, Relaxed) {
        held = other;
    }
}

fn fill_from(held: &mut [u8; WORD_SIZE], skip: usize, bytes: &[u8]) {
    for (to, from) in held.iter_mut().skip(skip).zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    fn all(words: &[AtomicU64]) -> Vec<u8> {
        words.iter().flat_map(load_bytes).collect()
    }

    /// Every offset and length within a few words, against a plain slice.
    #[test]
    fn every_range_is_copied_and_its_neighbours_stay() {
        const COUNT: usize = 5;
        let size = COUNT * WORD_SIZE;
        for offset in 0..=size {
            for len in 0..=size - offset {
                let words = words(COUNT);
                copy_in(&words, 0, &vec![0xEE; size]);
                let bytes: Vec<u8> = (1..=len).map(|n| u8::try_from(n).unwrap()).collect();
                copy_in(&words, offset, &bytes);
                let mut expected = vec![0xEE; size];
                expected[offset..offset + len].copy_from_slice(&bytes);
                assert_eq!(all(&words), expected, "{len} bytes at {offset}");
                let mut read = vec![0; len];
                copy_out(&words, offset, &mut read);
                assert_eq!(read, bytes, "{len} bytes at {offset}");
            }
        }
    }

    /// Two threads that write neighbouring bytes of one word do not undo each other.
    #[test]
    fn neighbours_in_a_word_are_not_undone() {
        let words = words(1);
        std::thread::scope(|scope| {
            for (offset, len) in [(0, 3), (3, 5)] {
                let words = &words;
                scope.spawn(move || {
                    for round in 0..=255 {
                        for _ in 0..100 {
                            copy_in(words, offset, &vec![round; len]);
                            let mut read = vec![0; len];
                            copy_out(words, offset, &mut read);
                            assert_eq!(read, vec![round; len]);
                        }
                    }
                });
            }
        });
        assert_eq!(all(&words), [255; 8]);
    }
}
