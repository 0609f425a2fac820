//! The properties of a message, read where the client would give up: pure.

use super::frame::Fields;
use crate::envelope::RawMessage;
use lapin::protocol::basic::parse_properties;
use std::collections::BTreeMap;

/// Tables and arrays within each other: the client's parser calls itself for each, on a stack that ends.
const DEEPEST: usize = 32;

/// Why the client cannot read a message with these properties, if it cannot: its own parser is asked.
pub(super) fn fault(properties: &[u8]) -> Option<&'static str> {
    if too_deep(properties) {
        return Some("malformed: a header of the message is nested too deeply");
    }
    match parse_properties(properties) {
        Ok(([], _)) => None,
        _ => Some("malformed: a property of the message is not UTF-8"),
    }
}

/// As [`fault`], for the exchange and the routing key, which come with the properties.
pub(super) fn fault_of_names(names: [&[u8]; 2]) -> Option<&'static str> {
    let utf8 = names.iter().all(|name| std::str::from_utf8(name).is_ok());
    (!utf8).then_some("malformed: the routing key of the message is not UTF-8")
}

/// What of the properties can be read; what is no UTF-8 in them is replaced. The body is left empty.
pub(super) fn lossy(properties: &[u8]) -> RawMessage {
    let mut raw = RawMessage::default();
    // Where the properties end too early, the rest stays unset.
    let _ = read(&mut raw, properties);
    raw
}

/// The properties stand in the order of their flags, from the highest bit on.
fn read(raw: &mut RawMessage, properties: &[u8]) -> Option<()> {
    let mut fields = Fields(properties);
    let flags = fields.u16()?;
    let has = |bit: u16| flags & (1 << bit) != 0;
    let text = |bit: u16, fields: &mut Fields| -> Option<Option<String>> {
        if has(bit) { fields.short().map(|bytes| Some(lossy_text(bytes))) } else { Some(None) }
    };
    raw.content_type = text(15, &mut fields)?;
    let _encoding = text(14, &mut fields)?;
    if has(13) {
        raw.headers = header_texts(fields.long()?);
    }
    // Delivery mode, priority.
    for _ in [12, 11].into_iter().filter(|bit| has(*bit)) {
        fields.u8()?;
    }
    raw.correlation_id = text(10, &mut fields)?;
    let _reply_to = text(9, &mut fields)?;
    let _expiration = text(8, &mut fields)?;
    raw.message_id = text(7, &mut fields)?;
    let _timestamp = if has(6) { fields.u64()? } else { 0 };
    raw.event_type = text(5, &mut fields)?;
    let _user_id = text(4, &mut fields)?;
    raw.app_id = text(3, &mut fields)?;
    Some(())
}

fn lossy_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The headers that hold text or numbers.
fn header_texts(table: &[u8]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let mut fields = Fields(table);
    while let Some(entry) = entry(&mut fields) {
        let name = lossy_text(entry.key);
        // As in the client's tables, the last of one name counts, whatever it holds.
        match entry.text() {
            Some(text) => drop(headers.insert(name, text)),
            None => drop(headers.remove(&name)),
        }
    }
    headers
}

/// One entry of a table; the key is empty in an array.
struct Entry<'a> {
    key: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

fn entry<'a>(fields: &mut Fields<'a>) -> Option<Entry<'a>> {
    let key = fields.short()?;
    element(fields).map(|element| Entry { key, ..element })
}

fn element<'a>(fields: &mut Fields<'a>) -> Option<Entry<'a>> {
    let kind = fields.u8()?;
    let value = match kind {
        b'V' => fields.take(0),
        b't' | b'b' | b'B' => fields.take(1),
        b's' | b'U' | b'u' => fields.take(2),
        b'I' | b'i' | b'f' => fields.take(4),
        b'D' => fields.take(5),
        b'l' | b'L' | b'd' | b'T' => fields.take(8),
        b'S' | b'x' | b'A' | b'F' => fields.long(),
        _ => None,
    }?;
    Some(Entry { key: &[], kind, value })
}

impl Entry<'_> {
    /// As the subscription reads it.
    fn text(&self) -> Option<String> {
        let mut value = Fields(self.value);
        match self.kind {
            b'S' => Some(lossy_text(self.value)),
            b'l' | b'L' => value.u64().map(|n| n.cast_signed().to_string()),
            b'I' => value.u32().map(|n| n.cast_signed().to_string()),
            b'i' => value.u32().map(|n| n.to_string()),
            b's' | b'U' => value.u16().map(|n| n.cast_signed().to_string()),
            b'b' => value.u8().map(|n| n.cast_signed().to_string()),
            _ => None,
        }
    }
}

/// Are the headers nested deeper than [`DEEPEST`]? Walked with a stack of its own.
fn too_deep(properties: &[u8]) -> bool {
    let Some(headers) = headers(properties) else { return false };
    let mut open = vec![(Fields(headers), true)];
    while let Some((fields, keyed)) = open.last_mut() {
        let next = if *keyed { entry(fields) } else { element(fields) };
        match next {
            Some(Entry { kind: b'F', value, .. }) => open.push((Fields(value), true)),
            Some(Entry { kind: b'A', value, .. }) => open.push((Fields(value), false)),
            Some(_) => {}
            // At its end, or where the client's parser will stop, too.
            None => drop(open.pop()),
        }
        if open.len() > DEEPEST {
            return true;
        }
    }
    false
}

fn headers(properties: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(properties);
    let flags = fields.u16()?;
    for bit in [15, 14] {
        if flags & (1 << bit) != 0 {
            fields.short()?;
        }
    }
    if flags & (1 << 13) != 0 { fields.long() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
        field.extend_from_slice(bytes);
        field
    }

    fn long(bytes: &[u8]) -> Vec<u8> {
        let mut field = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        field.extend_from_slice(bytes);
        field
    }

    /// All properties there are, with these for the type, a header's name and a header's value.
    fn all(kind: &[u8], header: &[u8], value: &[u8]) -> Vec<u8> {
        let table = [
            [short(b"announcement"), b"l\0\0\0\0\0\0\0\x02".to_vec()].concat(),
            [short(b"small"), b"b\xff".to_vec()].concat(),
            [short(b"list"), b"A".to_vec(), long(b"t\x01V")].concat(),
            [short(header), b"S".to_vec(), long(value)].concat(),
        ];
        [
            0b1111_1111_1111_1100_u16.to_be_bytes().to_vec(),
            short(b"application/json"),
            short(b""),
            long(&table.concat()),
            vec![2, 0],
            short(b"the saga"),
            short(b""),
            short(b"1000"),
            short(b"the message"),
            vec![0; 8],
            short(kind),
            short(b"guest"),
            short(b"shop"),
            short(b""),
        ]
        .concat()
    }

    #[test]
    fn what_the_client_reads_is_left_to_it() {
        assert_eq!(fault(&all(b"a.v1", b"traceparent", b"\xff: a long string may be any bytes")), None);
        assert_eq!(fault(&[0, 0]), None);
    }

    #[test]
    fn what_is_no_utf8_is_replaced_and_the_rest_is_kept() {
        let unreadable = all(b"bad\xfftype", b"key\xfe", b"value");
        assert_eq!(fault(&unreadable), Some("malformed: a property of the message is not UTF-8"));
        assert!(fault(&all(b"a.v1", b"key\xfe", b"value")).is_some(), "a header's name has to be UTF-8, too");
        let raw = lossy(&unreadable);
        let text = |text: &str| Some(text.to_owned());
        let headers = [("announcement", "2"), ("key\u{fffd}", "value"), ("small", "-1")];
        let expected = RawMessage {
            message_id: text("the message"),
            correlation_id: text("the saga"),
            event_type: text("bad\u{fffd}type"),
            app_id: text("shop"),
            content_type: text("application/json"),
            headers: headers.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            body: Vec::new(),
        };
        assert_eq!(raw, expected);
    }

    #[test]
    fn of_headers_of_one_name_the_last_counts() {
        let table = [short(b"n"), b"b\x01".to_vec(), short(b"m"), b"b\x01".to_vec(), short(b"m"), b"V".to_vec()];
        let twice = [vec![0x20, 0], long(&[table.concat(), short(b"n"), b"b\x02".to_vec()].concat())].concat();
        assert_eq!(lossy(&twice).headers, BTreeMap::from([("n".to_owned(), "2".to_owned())]));
    }

    #[test]
    fn properties_that_end_too_early_are_read_up_to_there() {
        let whole = all(b"a.v1", b"traceparent", b"00-1-2-03");
        for end in 0..whole.len() {
            assert!(fault(&whole[..end]).is_some(), "{end}");
            let _ = lossy(&whole[..end]);
        }
        let cut = lossy(&whole[..whole.len() - 20]);
        assert_eq!((cut.correlation_id.as_deref(), cut.app_id), (Some("the saga"), None));
    }

    #[test]
    fn no_byte_anywhere_makes_it_panic() {
        let whole = all(b"a.v1", b"traceparent", b"00-1-2-03");
        for at in 0..whole.len() {
            for byte in [0, 1, b'A', b'F', b'S', b'Z', 0x7f, 0x80, 0xff] {
                let mut hostile = whole.clone();
                hostile[at] = byte;
                let _ = (fault(&hostile), lossy(&hostile));
            }
        }
    }

    #[test]
    fn headers_nested_without_end_are_found_without_following_them() {
        let nested = |depth: usize| {
            let list = (0..depth).fold(Vec::new(), |inner, _| [b"A".to_vec(), long(&inner)].concat());
            [vec![0x20, 0], long(&[short(b"deep"), list].concat())].concat()
        };
        assert_eq!(fault(&nested(DEEPEST - 1)), None);
        assert_eq!(fault(&nested(DEEPEST)), Some("malformed: a header of the message is nested too deeply"));
        assert!(fault(&nested(20_000)).is_some());
    }
}
