//! A connection that does nothing but look into a queue: `basic.get`, and acks. Every await has a deadline.

use super::SalvageError;
use super::frame::{END, Fields, HEAD, Kind, Method, OVERHEAD, head};
use super::header;
use crate::broker::ANSWER_LIMIT;
use crate::envelope::RawMessage;
use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};
use std::future::Future;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The largest body that is taken out of the broker in one piece: what a broker accepts by default.
pub(super) const LARGEST_BODY: u64 = 128 * 1024 * 1024;
/// The largest frame that is agreed to, whatever the broker offers.
const LARGEST_FRAME: u32 = 16 * 1024 * 1024;
/// The frames of the handshake come before anything is agreed.
const FIRST_FRAMES: u32 = 131_072;
/// Longer than any silence of ours.
const HEARTBEAT_SECONDS: u16 = 60;
const CHANNEL: u16 = 1;

const START: (u16, u16) = (10, 10);
const START_OK: (u16, u16) = (10, 11);
const TUNE: (u16, u16) = (10, 30);
const TUNE_OK: (u16, u16) = (10, 31);
const OPEN: (u16, u16) = (10, 40);
const OPEN_OK: (u16, u16) = (10, 41);
const CLOSE: (u16, u16) = (10, 50);
const CLOSE_OK: (u16, u16) = (10, 51);
const CHANNEL_OPEN: (u16, u16) = (20, 10);
const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
const CHANNEL_CLOSE: (u16, u16) = (20, 40);
const GET: (u16, u16) = (60, 70);
const GET_OK: (u16, u16) = (60, 71);
const GET_EMPTY: (u16, u16) = (60, 72);
const ACK: (u16, u16) = (60, 80);

/// A message that the broker has handed out to this connection; it goes back when the connection ends without an ack.
#[derive(Debug)]
pub(super) enum Got {
    /// The client can read it.
    Readable,
    /// The client cannot, and why.
    Unreadable { tag: u64, reason: &'static str, raw: RawMessage },
    /// The client cannot, and it is too large to be kept in memory.
    TooLarge { bytes: u64 },
}

pub(super) struct Wire {
    stream: BufReader<TcpStream>,
    frame_max: u32,
}

impl Wire {
    /// Connects under this name and opens a channel.
    pub(super) async fn open(uri: &AMQPUri, name: &str) -> Result<Self, SalvageError> {
        let mechanism = uri.query.auth_mechanism.unwrap_or_default();
        if uri.scheme != AMQPScheme::AMQP || mechanism != SASLMechanism::Plain {
            return Err(SalvageError::Unsupported);
        }
        let at = (uri.authority.host.as_str(), uri.authority.port);
        let stream = bounded(TcpStream::connect(at)).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream: BufReader::new(stream), frame_max: FIRST_FRAMES };
        wire.write(b"AMQP\0\0\x09\x01").await?;
        wire.answer(&[START]).await?;
        let user = &uri.authority.userinfo;
        let login = format!("\0{}\0{}", user.username, user.password);
        // One client property: a short string, `S`, a long one.
        let properties = Method::default().short("connection_name").bytes(b"S").long(name.as_bytes());
        let start_ok = Method::new(START_OK).long(&properties.payload).short("PLAIN").long(login.as_bytes());
        wire.write(&start_ok.short("en_US").into_frame(0)).await?;
        let (_, tune) = wire.answer(&[TUNE]).await?;
        let mut tune = Fields(&tune);
        let (_channels, offered) = (tune.u16(), tune.u32().ok_or(SalvageError::Garbled("connection.tune"))?);
        let ours = uri.query.frame_max.filter(|max| *max > 0).unwrap_or(LARGEST_FRAME).min(LARGEST_FRAME);
        wire.frame_max = if offered == 0 { ours } else { offered.min(ours) };
        let tune_ok = Method::new(TUNE_OK).bytes(&CHANNEL.to_be_bytes()).bytes(&wire.frame_max.to_be_bytes());
        wire.write(&tune_ok.bytes(&HEARTBEAT_SECONDS.to_be_bytes()).into_frame(0)).await?;
        wire.write(&Method::new(OPEN).short(&uri.vhost).short("").bytes(&[0]).into_frame(0)).await?;
        wire.answer(&[OPEN_OK]).await?;
        wire.write(&Method::new(CHANNEL_OPEN).short("").into_frame(CHANNEL)).await?;
        wire.answer(&[CHANNEL_OPEN_OK]).await?;
        Ok(wire)
    }

    /// The next message of the queue; `None` if it holds no more.
    pub(super) async fn get(&mut self, queue: &str) -> Result<Option<Got>, SalvageError> {
        self.write(&Method::new(GET).bytes(&[0, 0]).short(queue).bytes(&[0]).into_frame(CHANNEL)).await?;
        let (method, arguments) = self.answer(&[GET_OK, GET_EMPTY]).await?;
        if method == GET_EMPTY {
            return Ok(None);
        }
        let (tag, names) = got_ok(&arguments).ok_or(SalvageError::Garbled("basic.get-ok"))?;
        let content = self.frame(Kind::Header).await?;
        let (bytes, properties) = content_header(&content).ok_or(SalvageError::Garbled("content header"))?;
        let fault = header::fault_of_names(names).or_else(|| header::fault(properties));
        let keep = fault.is_some() && bytes <= LARGEST_BODY;
        let body = self.body(bytes, keep).await?;
        Ok(Some(match fault {
            None => Got::Readable,
            Some(_) if !keep => Got::TooLarge { bytes },
            Some(reason) => Got::Unreadable { tag, reason, raw: RawMessage { body, ..header::lossy(properties) } },
        }))
    }

    /// Reads a body of this many bytes; allocates only what has come.
    async fn body(&mut self, bytes: u64, keep: bool) -> Result<Vec<u8>, SalvageError> {
        let (mut missing, mut body) = (bytes, Vec::new());
        while missing > 0 {
            let part = self.frame(Kind::Body).await?;
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            if length == 0 || length > missing {
                return Err(SalvageError::Garbled("content body"));
            }
            missing -= length;
            if keep {
                body.extend_from_slice(&part);
            }
        }
        Ok(body)
    }

    /// The broker may forget this one message.
    pub(super) async fn ack(&mut self, tag: u64) -> Result<(), SalvageError> {
        self.write(&Method::new(ACK).bytes(&tag.to_be_bytes()).bytes(&[0]).into_frame(CHANNEL)).await
    }

    /// Ends in order: when this returns, the acks have been taken and all the rest is back in its queue.
    pub(super) async fn close(mut self) -> Result<(), SalvageError> {
        let close = Method::new(CLOSE).bytes(&200_u16.to_be_bytes()).short("done").bytes(&[0; 4]);
        self.write(&close.into_frame(0)).await?;
        self.answer(&[CLOSE_OK]).await.map(drop)
    }

    /// The next method with its arguments, which has to be one of these.
    async fn answer(&mut self, expected: &[(u16, u16)]) -> Result<((u16, u16), Vec<u8>), SalvageError> {
        let payload = self.frame(Kind::Method).await?;
        let mut fields = Fields(&payload);
        let (Some(class), Some(method)) = (fields.u16(), fields.u16()) else {
            return Err(SalvageError::Garbled("method"));
        };
        if expected.contains(&(class, method)) {
            return Ok(((class, method), fields.0.to_vec()));
        }
        if [CLOSE, CHANNEL_CLOSE].contains(&(class, method)) {
            let code = fields.u16().unwrap_or_default();
            let text = String::from_utf8_lossy(fields.short().unwrap_or_default()).into_owned();
            return Err(SalvageError::Refused { code, text });
        }
        Err(SalvageError::Garbled("answer"))
    }

    /// The payload of the next frame, which has to be of this kind.
    async fn frame(&mut self, expected: Kind) -> Result<Vec<u8>, SalvageError> {
        let frame_max = usize::try_from(self.frame_max).unwrap_or(OVERHEAD);
        loop {
            let mut first = [0; HEAD];
            bounded(self.stream.read_exact(&mut first)).await?;
            let (kind, length) = head(first, frame_max).ok_or(SalvageError::Garbled("frame"))?;
            let mut payload = vec![0; length];
            bounded(self.stream.read_exact(&mut payload)).await?;
            if bounded(self.stream.read_u8()).await? != END {
                return Err(SalvageError::Garbled("end of a frame"));
            }
            match kind {
                Kind::Heartbeat => {}
                kind if kind == expected => return Ok(payload),
                _ => return Err(SalvageError::Garbled("order of frames")),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SalvageError> {
        bounded(self.stream.get_mut().write_all(bytes)).await
    }
}

/// The tag, and the names of the exchange and the routing key.
fn got_ok(arguments: &[u8]) -> Option<(u64, [&[u8]; 2])> {
    let mut fields = Fields(arguments);
    let (tag, _redelivered) = (fields.u64()?, fields.u8()?);
    Some((tag, [fields.short()?, fields.short()?]))
}

/// How many bytes the body has, and the properties.
fn content_header(payload: &[u8]) -> Option<(u64, &[u8])> {
    let mut fields = Fields(payload);
    let (_class, _weight) = (fields.u16()?, fields.u16()?);
    Some((fields.u64()?, fields.0))
}

async fn bounded<T>(io: impl Future<Output = std::io::Result<T>>) -> Result<T, SalvageError> {
    match tokio::time::timeout(ANSWER_LIMIT, io).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(SalvageError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// What comes of a broker that says this and then nothing.
    async fn greeted_with(bytes: &'static [u8]) -> Result<SalvageError, Box<dyn std::error::Error>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let uri: AMQPUri = format!("amqp://127.0.0.1:{}/x", listener.local_addr()?.port()).parse()?;
        let broker = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(bytes).await?;
            stream.shutdown().await
        });
        let error = Wire::open(&uri, "shop/salvage@here:1").await.err().ok_or("it opened")?;
        broker.await??;
        Ok(error)
    }

    #[tokio::test]
    async fn a_broker_that_makes_no_sense_ends_it_with_an_error() -> Result<(), Box<dyn std::error::Error>> {
        for nonsense in [
            &b"AMQP\0\0\x09\x01"[..],
            b"\x01\0\0\xff\xff\xff\xff",
            b"\x01\0\0\0\0\0\x01\0\xce",
            b"\x01\0\0\0\0\0\x04\0\x0a\0\x0a\0",
            b"\x03\0\0\0\0\0\x04\0\x0a\0\x0a\xce",
        ] {
            assert!(matches!(greeted_with(nonsense).await?, SalvageError::Garbled(_)), "{nonsense:?}");
        }
        assert!(matches!(greeted_with(b"\x01\0\0\0\0\0\x04\0").await?, SalvageError::Io(_)));
        Ok(())
    }

    #[test]
    fn what_is_too_short_is_none() {
        let whole = [&[0, 0, 0, 0, 0, 0, 0, 7, 1, 1][..], b"e\x02\xffk\0\0\0\0"].concat();
        assert_eq!(got_ok(&whole), Some((7, [&b"e"[..], b"\xffk"])));
        assert!((0..13).all(|end| got_ok(&whole[..end]).is_none()));
        assert_eq!(content_header(&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x80]), Some((256, &[0x80][..])));
        assert_eq!(content_header(&[0, 60, 0, 0, 0, 0, 0]), None);
    }
}
