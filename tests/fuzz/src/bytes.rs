//! Bytes that were valid once.

use crate::Dice;
use std::fmt;

/// Bytes that print as a literal that can be pasted into a test.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// What decoders stumble over.
const NASTY: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\0\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\"",
    b"\\u0000",
    b"}",
    b"],[",
    b"=%&,*@/",
    b"\r\n\r\n",
];

/// The same bytes with one to four things done to them: flipped, replaced, cut, removed, repeated, inserted, swapped.
pub fn spoiled(dice: &mut Dice, valid: &[u8]) -> Bytes {
    let mut bytes = valid.to_vec();
    for _ in 0..=dice.below(4) {
        spoil(dice, &mut bytes);
    }
    Bytes(bytes)
}

fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + 1 + dice.below(8)).min(bytes.len());
    match dice.below(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end.max(at))),
        2 => {
            let again = bytes[at..end.max(at)].to_vec();
            let times = if dice.one_in(20) { 500 } else { 1 + dice.below(3) };
            bytes.splice(at..at, again.repeat(times));
        }
        3 => {
            bytes.splice(at..at, dice.pick(&NASTY).iter().copied());
        }
        // Over what was there: lengths lie now.
        4 => {
            let nasty = dice.pick(&NASTY);
            let end = (at + nasty.len()).min(bytes.len());
            bytes.splice(at..end, nasty.iter().copied());
        }
        5 if dice.one_in(10) => {
            let open = dice.pick(&[&b"["[..], b"{\"a\":", b"{\"data\":["]);
            bytes.splice(at..at, open.repeat(1 + dice.below(3_000)));
        }
        6 if end < bytes.len() => bytes.swap(at, end),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
}
