//! A publisher that writes its own bytes: texts that are no UTF-8, which the client's types do not let through.

use crate::world::Fallible;
use lapin::uri::AMQPUri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A message, byte by byte.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bytes {
    pub(crate) exchange: &'static str,
    pub(crate) routing_key: Vec<u8>,
    pub(crate) message_id: Vec<u8>,
    pub(crate) correlation_id: Vec<u8>,
    pub(crate) event_type: Vec<u8>,
    pub(crate) app_id: Vec<u8>,
    /// The table of headers, without its length.
    pub(crate) headers: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(url: &str) -> Fallible<Self> {
        let uri: AMQPUri = url.parse()?;
        let stream = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port)).await?;
        let mut raw = Self { stream };
        raw.stream.write_all(b"AMQP\0\0\x09\x01").await?;
        raw.answer([10, 10]).await?;
        let user = uri.authority.userinfo;
        let login = format!("\0{}\0{}", user.username, user.password);
        raw.method(0, [10, 11], &[&long(b""), &short(b"PLAIN"), &long(login.as_bytes()), &short(b"en_US")]).await?;
        raw.answer([10, 30]).await?;
        raw.method(0, [10, 31], &[&[0, 1, 0, 2, 0, 0, 0, 0]]).await?;
        raw.method(0, [10, 40], &[&short(uri.vhost.as_bytes()), &[0, 0]]).await?;
        raw.answer([10, 41]).await?;
        raw.method(1, [20, 10], &[&[0]]).await?;
        raw.answer([20, 11]).await?;
        raw.method(1, [85, 10], &[&[0]]).await?;
        raw.answer([85, 11]).await?;
        Ok(raw)
    }

    /// Returns when the broker has confirmed it. (What is not confirmed can be lost with the end of the connection, even if that
    /// ends in order.)
    pub(crate) async fn publish(&mut self, message: &Bytes) -> Fallible<()> {
        let Bytes { exchange, routing_key, message_id, correlation_id, event_type, app_id, headers, body } = message;
        self.method(1, [60, 40], &[&[0, 0], &short(exchange.as_bytes()), &short(routing_key), &[0]]).await?;
        // Headers, delivery mode, correlation id, message id, type, app id.
        let properties = [
            &[0b0011_0100, 0b1010_1000][..],
            &long(headers),
            &[2],
            &short(correlation_id),
            &short(message_id),
            &short(event_type),
            &short(app_id),
        ];
        let size = u64::try_from(body.len())?.to_be_bytes();
        self.frame(2, 1, &[&[0, 60, 0, 0][..], &size, &properties.concat()].concat()).await?;
        for part in body.chunks(100_000) {
            self.frame(3, 1, part).await?;
        }
        self.answer([60, 80]).await
    }

    /// Ends in order.
    pub(crate) async fn close(mut self) -> Fallible<()> {
        self.method(0, [10, 50], &[&[0, 200, 0, 0, 0, 0, 0]]).await?;
        self.answer([10, 51]).await
    }

    async fn method(&mut self, channel: u8, [class, method]: [u8; 2], arguments: &[&[u8]]) -> Fallible<()> {
        self.frame(1, channel, &[&[0, class, 0, method], arguments.concat().as_slice()].concat()).await
    }

    async fn frame(&mut self, kind: u8, channel: u8, payload: &[u8]) -> Fallible<()> {
        self.stream.write_all(&[&[kind, 0, channel], long(payload).as_slice(), &[0xce]].concat()).await?;
        Ok(())
    }

    async fn answer(&mut self, [class, method]: [u8; 2]) -> Fallible<()> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; usize::try_from(length)? + 1];
        self.stream.read_exact(&mut payload).await?;
        if payload.starts_with(&[0, class, 0, method]) { Ok(()) } else { Err(format!("{payload:?}").into()) }
    }
}

/// At most 255 bytes.
pub(crate) fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).expect("a short string")][..], bytes].concat()
}

pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("a long string").to_be_bytes()[..], bytes].concat()
}
