//! Properties of AMQP messages as bytes, in the form of a content header, with lengths, flags and kinds that lie at times.

use crate::Dice;
use crate::bytes::{self, Bytes};

/// Properties; once in three times well-formed.
pub fn properties(dice: &mut Dice) -> Bytes {
    let odds = [0, 40, 10][dice.below(3)];
    // Each property is there or not; the last two bits are none.
    let flags = if dice.one_in(odds) { dice.any() } else { dice.any() & 0xfffc } as u16;
    let mut out = flags.to_be_bytes().to_vec();
    for bit in (3..=15).rev().filter(|bit| flags & (1 << bit) != 0) {
        match bit {
            13 => {
                let table = table(dice, odds, 3);
                long(dice, odds, &table, &mut out);
            }
            12 | 11 => out.push(dice.any() as u8),
            6 => out.extend_from_slice(&dice.any().to_be_bytes()),
            _ => {
                let text = text(dice, odds);
                short(dice, odds, &text, &mut out);
            }
        }
    }
    if flags & (1 << 2) != 0 {
        short(dice, odds, b"", &mut out);
    }
    if odds > 0 && dice.one_in(4) { bytes::spoiled(dice, &out) } else { Bytes(out) }
}

/// A text that properties hold, not always UTF-8 unless `odds` is 0.
pub fn text(dice: &mut Dice, odds: usize) -> Vec<u8> {
    if dice.one_in(odds) {
        return dice.pick(&[&b"\xff"[..], b"bad\xfftype", b"\xc3", b"\xed\xa0\x80"]).to_vec();
    }
    match dice.below(4) {
        0 => dice.uuid().into_bytes(),
        1 => vec![b'x'; dice.below(256)],
        _ => {
            let known =
                ["", "order.placed.v1", "application/json", "application/cloudevents-batch+json", "order", "\0"];
            dice.pick(&known).as_bytes().to_vec()
        }
    }
}

fn table(dice: &mut Dice, odds: usize, depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..dice.below(5) {
        let known = ["announcement", "causation-id", "traceparent", "saga-fault", "x-first-death-queue", "other"];
        let name = if dice.one_in(odds) { text(dice, odds) } else { dice.pick(&known).as_bytes().to_vec() };
        short(dice, odds, &name, &mut out);
        value(dice, odds, depth, &mut out);
    }
    out
}

fn value(dice: &mut Dice, odds: usize, depth: usize, out: &mut Vec<u8>) {
    let kind = dice.pick(&[
        &b't', &b'b', &b'B', &b's', &b'u', &b'I', &b'i', &b'f', &b'l', &b'd', &b'D', &b'T', &b'V', &b'S', &b'x', &b'A',
        &b'F',
    ]);
    let kind = if dice.one_in(odds) { dice.any() as u8 } else { *kind };
    out.push(kind);
    let number = dice.any().to_be_bytes();
    match kind {
        b't' => out.push(number[0] & 1),
        b'b' | b'B' => out.push(number[0]),
        b's' | b'U' | b'u' => out.extend_from_slice(&number[..2]),
        b'I' | b'i' | b'f' => out.extend_from_slice(&number[..4]),
        b'D' => out.extend_from_slice(&number[..5]),
        b'l' | b'L' | b'd' | b'T' => out.extend_from_slice(&number),
        b'S' | b'x' => {
            let text = text(dice, odds.max(4));
            long(dice, odds, &text, out);
        }
        b'A' | b'F' if dice.one_in(odds) => {
            let nested = nested(dice.below(200));
            long(dice, odds, &nested, out);
        }
        b'A' if depth > 0 => {
            let mut array = Vec::new();
            for _ in 0..dice.below(4) {
                value(dice, odds, depth - 1, &mut array);
            }
            long(dice, odds, &array, out);
        }
        b'F' if depth > 0 => {
            let table = table(dice, odds, depth - 1);
            long(dice, odds, &table, out);
        }
        b'A' | b'F' => long(dice, odds, b"", out),
        _ => {}
    }
}

/// Arrays within each other.
fn nested(depth: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(depth * 5);
    for level in (0..depth).rev() {
        out.push(b'A');
        out.extend_from_slice(&((level * 5) as u32).to_be_bytes());
    }
    out
}

fn short(dice: &mut Dice, odds: usize, bytes: &[u8], out: &mut Vec<u8>) {
    let cut = &bytes[..bytes.len().min(255)];
    out.push(if dice.one_in(odds * 2) { dice.any() as u8 } else { cut.len() as u8 });
    out.extend_from_slice(cut);
}

fn long(dice: &mut Dice, odds: usize, bytes: &[u8], out: &mut Vec<u8>) {
    let lie = dice.one_in(odds * 2).then(|| [0, 1, u32::MAX, 1 << 31, dice.any() as u32][dice.below(5)]);
    out.extend_from_slice(&lie.unwrap_or(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}
