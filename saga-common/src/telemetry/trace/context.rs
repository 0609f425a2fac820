//! Where in which trace something is: W3C trace context, as it travels in `traceparent`. Pure.

use std::fmt;
use std::str::FromStr;

/// A span by its trace and its own id, and whether anybody records the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    pub(crate) sampled: bool,
}

impl TraceContext {
    /// The first span of a new trace.
    pub(crate) fn root(sampled: bool) -> Self {
        Self { trace_id: nonzero(), span_id: 0, sampled }.child()
    }

    /// A new span of the same trace.
    pub(crate) fn child(&self) -> Self {
        Self { span_id: nonzero(), ..*self }
    }

    /// Is this trace among the share that is recorded? Decided by the 56 bits of the id that are random in whoever's ids, as
    /// everybody else decides it who samples consistently.
    pub(crate) fn falls_into(&self, ratio: f64) -> bool {
        const RANDOM: u64 = (1 << 56) - 1;
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let random = (self.trace_id as u64 & RANDOM) as f64;
        #[allow(clippy::cast_precision_loss)]
        let all = (RANDOM + 1) as f64;
        random >= (1.0 - ratio) * all
    }
}

fn nonzero<T: Default + PartialEq>() -> T
where
    rand::distr::StandardUniform: rand::distr::Distribution<T>,
{
    loop {
        let id = rand::random();
        if id != T::default() {
            return id;
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// It is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent")]
pub(crate) struct NoTraceparent;

impl FromStr for TraceContext {
    type Err = NoTraceparent;

    /// Later versions may have more behind what this one has.
    fn from_str(text: &str) -> Result<Self, NoTraceparent> {
        let mut parts = text.split('-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let lower = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            lower.then(|| u128::from_str_radix(part, 16).ok()).flatten()
        };
        let (version, trace_id, span_id, flags) =
            (|| Some((hex(2)?, hex(32)?, hex(16)?, hex(2)?)))().ok_or(NoTraceparent)?;
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == 0 || span_id == 0 {
            return Err(NoTraceparent);
        }
        let span_id = u64::try_from(span_id).map_err(|_| NoTraceparent)?;
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_written_is_what_was_read() {
        let read: TraceContext = KNOWN.parse().expect("the standard's example");
        assert_eq!((read.to_string().as_str(), read.sampled), (KNOWN, true));
        let child = read.child();
        assert_eq!((child.trace_id, child.sampled), (read.trace_id, true));
        assert_ne!(child.span_id, read.span_id);
        assert_eq!(child.to_string().parse(), Ok(child));
        let later = KNOWN.replacen("00", "cc", 1) + "-what-comes-later";
        assert_eq!(later.parse(), Ok(read));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-é0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTraceparent), "{text}");
        }
    }

    #[test]
    fn a_share_of_new_traces_is_sampled() {
        let traces: Vec<TraceContext> = (0..10_000).map(|_| TraceContext::root(false)).collect();
        let share = |ratio: f64| traces.iter().filter(|trace| trace.falls_into(ratio)).count();
        assert_eq!((share(0.0), share(1.0)), (0, 10_000));
        assert!((2_000..3_000).contains(&share(0.25)), "{}", share(0.25));
    }
}
