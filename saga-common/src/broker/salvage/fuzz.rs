//! Whatever a broker sends: a message or a typed error, and the same message that the client would have read.

use super::wire::{Got, Wire};
use super::{SalvageError, header};
use crate::broker::subscription;
use crate::envelope::RawMessage;
use lapin::message::Delivery;
use lapin::protocol::basic::parse_properties;
use saga_fuzz::bytes::Bytes;
use saga_fuzz::{Dice, amqp, bytes, fuzz};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the subscription makes of these properties, if the client can read them.
fn as_the_client_reads(properties: &[u8]) -> Option<RawMessage> {
    let (_, read) = parse_properties(properties).ok()?;
    let mut delivery = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
    delivery.properties = read;
    Some(subscription::raw(delivery))
}

#[test]
fn fuzz_properties() {
    let outcomes = fuzz("properties", 20_000, amqp::properties, |Bytes(properties)| {
        let lossy = header::lossy(properties);
        match header::fault(properties) {
            // Left to the client, which then has to come by with the same.
            None => {
                assert_eq!(as_the_client_reads(properties), Some(lossy));
                "readable"
            }
            Some(reason) if reason.contains("deeply") => "too deep",
            Some(reason) => {
                assert!(reason.starts_with("malformed: "));
                "unreadable"
            }
        }
    });
    assert_eq!(outcomes.len(), 3, "all were met: {outcomes:?}");
}

/// What a broker says from the greeting to the end, and the messages it hands out meanwhile.
#[derive(Debug)]
struct Script {
    bytes: Bytes,
    /// If nothing was spoiled: of each message the bytes of its body, and whether the client can read it.
    told: Option<Vec<(usize, bool)>>,
}

fn frame(kind: u8, channel: u16, payload: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(0xce);
}

fn script(dice: &mut Dice) -> Script {
    let (mut said, mut told) = (Vec::new(), Vec::new());
    frame(1, 0, b"\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US", &mut said);
    frame(1, 0, b"\0\x0a\0\x1e\x07\xff\0\x02\0\0\0\x3c", &mut said);
    frame(1, 0, b"\0\x0a\0\x29\0", &mut said);
    frame(1, 1, b"\0\x14\0\x0b\0\0\0\0", &mut said);
    for tag in 1..=dice.below(4) as u64 {
        if dice.one_in(3) {
            frame(8, 0, b"", &mut said);
        }
        let key = amqp::text(dice, 10);
        let got_ok = [b"\0\x3c\0\x47", &tag.to_be_bytes()[..], b"\0\0", &[key.len() as u8], &key, b"\0\0\0\0"].concat();
        frame(1, 1, &got_ok, &mut said);
        let (body, Bytes(properties)) = (vec![b'x'; dice.below(2_000)], amqp::properties(dice));
        let head = [b"\0\x3c\0\0", &(body.len() as u64).to_be_bytes()[..], &properties].concat();
        frame(2, 1, &head, &mut said);
        for part in body.chunks(1 + dice.below(1_500)) {
            frame(3, 1, part, &mut said);
        }
        told.push((body.len(), header::fault(&properties).is_none() && std::str::from_utf8(&key).is_ok()));
    }
    frame(1, 1, b"\0\x3c\0\x48\0", &mut said);
    frame(1, 0, b"\0\x0a\0\x33", &mut said);
    if dice.one_in(2) {
        return Script { bytes: Bytes(said), told: Some(told) };
    }
    Script { bytes: bytes::spoiled(dice, &said), told: None }
}

/// Reads the whole queue, as far as it goes, and ends in order.
async fn salvaged(listener: &TcpListener) -> Result<Vec<(usize, bool)>, SalvageError> {
    let address = listener.local_addr()?;
    let uri = format!("amqp://{address}/x").parse().map_err(|_| SalvageError::Unsupported)?;
    let mut wire = Wire::open(&uri, "shop/salvage@here:1").await?;
    let mut got = Vec::new();
    while let Some(one) = wire.get("shop.events").await? {
        got.push(match one {
            // The wire does not tell how long the body was that it has skipped.
            Got::Readable => (0, true),
            Got::Unreadable { tag, raw, .. } => {
                wire.ack(tag).await?;
                (raw.body.len(), false)
            }
            Got::TooLarge { .. } => (0, false),
        });
    }
    wire.close().await?;
    Ok(got)
}

#[test]
fn fuzz_frames() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let outcomes = fuzz("frames", 300, script, |Script { bytes: Bytes(said), told }| {
        let broker = async {
            let (mut stream, _) = listener.accept().await?;
            let (mut from, mut to) = stream.split();
            let say = async {
                // Cut off when the other side has heard enough.
                let _ = to.write_all(said).await;
                to.shutdown().await
            };
            let mut heard = Vec::new();
            let _ = tokio::join!(say, from.read_to_end(&mut heard));
            std::io::Result::Ok(())
        };
        let both = async { tokio::join!(salvaged(&listener), broker) };
        let ended = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(4), both).await });
        let (read, _) = ended.expect("it ends when the broker does");
        match (read, told) {
            (Ok(read), Some(told)) => {
                let expected: Vec<_> =
                    told.iter().map(|(bytes, good)| (if *good { 0 } else { *bytes }, *good)).collect();
                assert_eq!(read, expected, "each message is told as it is");
                "a whole queue"
            }
            (Err(error), Some(_)) => panic!("a broker that makes sense is understood: {error}"),
            (Ok(_), None) => "a spoiled queue",
            (Err(SalvageError::Garbled(_)), None) => "garbled",
            (Err(SalvageError::Io(_)), None) => "cut off",
            (Err(SalvageError::Refused { .. }), None) => "refused",
            (Err(error @ (SalvageError::Silent | SalvageError::Unsupported)), None) => panic!("{error}"),
        }
    });
    assert!(
        ["a whole queue", "garbled", "cut off"].iter().all(|outcome| outcomes.contains_key(outcome)),
        "{outcomes:?}"
    );
}
