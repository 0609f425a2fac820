//! Frames of AMQP 0-9-1, as bytes: pure. Every length that came over the wire is checked before it is used.

/// What a frame costs besides its payload.
pub(super) const OVERHEAD: usize = 8;
/// The first bytes of a frame: kind, channel, length of the payload.
pub(super) const HEAD: usize = 7;
/// The last byte of a frame.
pub(super) const END: u8 = 0xce;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Method,
    Header,
    Body,
    Heartbeat,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Method),
            2 => Some(Self::Header),
            3 => Some(Self::Body),
            8 => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// Kind and payload length of a frame; `None` if it is none, or larger than agreed.
pub(super) fn head(bytes: [u8; HEAD], frame_max: usize) -> Option<(Kind, usize)> {
    let mut fields = Fields(&bytes);
    let (kind, _channel, length) = (Kind::of(fields.u8()?)?, fields.u16()?, fields.u32()?);
    let length = usize::try_from(length).ok()?;
    (length <= frame_max.saturating_sub(OVERHEAD)).then_some((kind, length))
}

/// Takes fields off the front of a payload; `None` where it ends too early.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A short string's bytes.
    pub(super) fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// The bytes of whatever has its length in four bytes before it: long strings, arrays, tables.
    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }
}

/// A method and its arguments, on their way out.
#[derive(Debug, Default)]
pub(super) struct Method {
    pub(super) payload: Vec<u8>,
}

impl Method {
    pub(super) fn new((class, method): (u16, u16)) -> Self {
        Self { payload: [class.to_be_bytes(), method.to_be_bytes()].concat() }
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.payload.extend_from_slice(bytes);
        self
    }

    /// At most 255 bytes; what is longer is cut, and refused by the broker for what it says.
    pub(super) fn short(self, text: &str) -> Self {
        let cut = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
        let length = u8::try_from(cut.len()).unwrap_or(u8::MAX);
        self.bytes(&[length]).bytes(cut)
    }

    /// With its length before it, in four bytes.
    pub(super) fn long(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.bytes(&length.to_be_bytes()).bytes(bytes)
    }

    pub(super) fn into_frame(self, channel: u16) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut frame = vec![1];
        frame.extend_from_slice(&channel.to_be_bytes());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&self.payload);
        frame.push(END);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_larger_than_agreed_is_none() {
        let of_length = |length: u32| {
            let length = length.to_be_bytes();
            head([3, 0, 1, length[0], length[1], length[2], length[3]], 4_096)
        };
        assert_eq!(of_length(4_088), Some((Kind::Body, 4_088)));
        assert_eq!(of_length(4_089), None);
        assert_eq!(of_length(u32::MAX), None);
        assert_eq!(head(*b"AMQP\0\0\x09", 4_096), None, "the answer of a broker that speaks another version");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let method = Method::new((60, 70)).bytes(&[0, 0]).short("shop.events").long(b"abc").bytes(&[1]);
        let frame = method.into_frame(1);
        let mut first = [0; HEAD];
        first.copy_from_slice(&frame[..HEAD]);
        assert_eq!(head(first, 4_096), Some((Kind::Method, frame.len() - OVERHEAD)));
        let mut fields = Fields(&frame[HEAD..frame.len() - 1]);
        assert_eq!((fields.u16(), fields.u16(), fields.u16()), (Some(60), Some(70), Some(0)));
        assert_eq!((fields.short(), fields.long()), (Some(&b"shop.events"[..]), Some(&b"abc"[..])));
        assert_eq!((fields.u8(), fields.u8()), (Some(1), None));
        assert_eq!(frame.last(), Some(&END));
    }

    #[test]
    fn a_length_that_lies_takes_nothing() {
        assert_eq!(Fields(b"\xffab").short(), None);
        assert_eq!(Fields(b"\xff\xff\xff\xffab").long(), None);
        assert_eq!(Fields(b"\0\0\0").u32(), None);
    }
}
