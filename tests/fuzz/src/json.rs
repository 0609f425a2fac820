//! JSON that is almost what was asked for.

use crate::Dice;
use crate::bytes::{self, Bytes};
use serde_json::Value;

/// What may stand where a value should.
const NASTY: [&str; 34] = [
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-0",
    "-1",
    "1.0",
    "1.5",
    "1e3",
    "1e400",
    "-1e400",
    "1e-400",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "01",
    "+1",
    "NaN",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\u{feff}\"",
    "\"7\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"EUR\"",
    "\"order.placed.v9\"",
    "\"succeeded\"",
];

/// `value` as JSON, once in three times as it is; else with fields left out, repeated, renamed or shuffled, values of other
/// types or sizes in places, deep nesting, and once in a while no JSON any more.
pub fn spoiled(dice: &mut Dice, value: &Value) -> Bytes {
    let odds = [0, 30, 8][dice.below(3)];
    let mut text = Vec::new();
    write(dice, value, odds, &mut text);
    if odds > 0 && dice.one_in(5) { bytes::spoiled(dice, &text) } else { Bytes(text) }
}

fn write(dice: &mut Dice, value: &Value, odds: usize, out: &mut Vec<u8>) {
    if dice.one_in(odds) {
        return nasty(dice, out);
    }
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&str, &Value)> = fields.iter().map(|(key, value)| (key.as_str(), value)).collect();
            spoil_list(dice, odds, &mut fields);
            out.push(b'{');
            for (n, (key, value)) in fields.into_iter().enumerate() {
                out.extend_from_slice(if n > 0 { b"," } else { b"" });
                let key = if dice.one_in(odds * 4) { "a_field_of_the_future" } else { key };
                out.extend_from_slice(Value::from(key).to_string().as_bytes());
                out.push(b':');
                write(dice, value, odds, out);
            }
            out.push(b'}');
        }
        Value::Array(values) => {
            let mut values: Vec<&Value> = values.iter().collect();
            spoil_list(dice, odds, &mut values);
            out.push(b'[');
            for (n, value) in values.into_iter().enumerate() {
                out.extend_from_slice(if n > 0 { b"," } else { b"" });
                write(dice, value, odds, out);
            }
            out.push(b']');
        }
        leaf => out.extend_from_slice(leaf.to_string().as_bytes()),
    }
}

/// Leaves one out, repeats one, swaps two, or makes many of one.
fn spoil_list<T: Clone>(dice: &mut Dice, odds: usize, list: &mut Vec<T>) {
    if list.is_empty() || !dice.one_in(odds) {
        return;
    }
    let (at, other) = (dice.below(list.len()), dice.below(list.len()));
    match dice.below(4) {
        0 => drop(list.remove(at)),
        1 => list.insert(other, list[at].clone()),
        2 => list.swap(at, other),
        _ => {
            let many = vec![list[at].clone(); dice.below(300)];
            list.splice(at..at, many);
        }
    }
}

fn nasty(dice: &mut Dice, out: &mut Vec<u8>) {
    match dice.below(20) {
        0 => {
            let depth = 1 + dice.below(2_000);
            out.extend_from_slice(&b"[".repeat(depth));
            out.extend_from_slice(&b"]".repeat(depth));
        }
        1 => {
            let depth = 1 + dice.below(2_000);
            out.extend_from_slice(&b"{\"a\":".repeat(depth));
            out.extend_from_slice(&b"}".repeat(depth));
        }
        2 => out.extend_from_slice(format!("\"{}\"", "x".repeat(dice.below(20_000))).as_bytes()),
        3 => out.extend_from_slice(b"\"\xff\xfe\""),
        4 => out.extend_from_slice("9".repeat(1 + dice.below(2_000)).as_bytes()),
        _ => out.extend_from_slice(dice.pick(&NASTY).as_bytes()),
    }
}
