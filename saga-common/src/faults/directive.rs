//! What is to go wrong, in words: `payment-svc/after-charge@stock.reserved=crash*2`. Pure.
//!
//! ```text
//! directives = directive { "," directive }
//! directive  = service "/" point [ "@" event ] "=" action [ "*" times ] [ "%" probability ]
//! service    = "payment-svc" | "payment" | "*" (any)
//! action     = "crash" | "error" | "delay" [ "(" milliseconds ")" ] | "hold" [ "(" milliseconds ")" ]
//!            | "duplicate" | "drop" | "skip-ack"
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const DELAY: Duration = Duration::from_secs(1);
const HOLD: Duration = Duration::from_secs(60);
/// Longer delays and holds are refused: a typo must not stop a service for a day.
const LONGEST_MS: u64 = 600_000;
/// Longer texts are refused: they travel with every message of their saga.
const LONGEST_TEXT: usize = 2_048;

/// What happens when a fault fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The process ends at once, as by `kill -9`.
    Crash,
    /// What was about to be done, or its answer, is an error.
    Error,
    /// It takes this much longer.
    Delay(Duration),
    /// It waits until the saga's holds are released, at most this long altogether: the limit counts from the first firing.
    /// Unlike the others it is not spent by firing, unless the directive says how often: what is tried or delivered again
    /// is held again while the limit lasts. Released, it is over for good; a service that stops holds nothing.
    Hold(Duration),
    /// What is being handled here is handled once more, right after.
    Duplicate,
    /// The connection it needs is lost.
    Drop,
    /// The ack is not sent: the broker delivers the batch again.
    SkipAck,
}

impl Action {
    /// The order in which faults strike that meet at a point: those after which the work goes on come first.
    pub(super) fn severity(self) -> u8 {
        match self {
            Self::Duplicate => 0,
            Self::Delay(_) => 1,
            Self::Hold(_) => 2,
            Self::Error => 3,
            Self::SkipAck => 4,
            Self::Drop => 5,
            Self::Crash => 6,
        }
    }
}

/// One thing that is to go wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Directive {
    /// The participant (`payment`); `None` is any.
    pub service: Option<String>,
    /// The fault point's name.
    pub point: String,
    /// Only while this event is handled or published: its type, without the version.
    pub event: Option<String>,
    /// What happens.
    pub action: Action,
    /// How often; for one saga once unless said (a hold: until it is released or its limit is over), for a process without
    /// end unless said.
    /// Each service counts for itself, all its replicas together: `*/after-commit=crash` ends every service that the saga
    /// comes to once. (A process's own directives count in that process.)
    pub times: Option<u32>,
    /// How likely it is each time, 0 to 1; certain unless said.
    pub probability: Option<f64>,
}

/// A directive that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no fault directive: {why} (example: payment-svc/after-charge=crash)")]
pub struct BadDirective {
    text: String,
    why: &'static str,
}

/// Several directives, in the order given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Directives(pub Vec<Directive>);

impl FromStr for Directives {
    type Err = BadDirective;

    fn from_str(text: &str) -> Result<Self, BadDirective> {
        let too_long = || BadDirective { text: text.chars().take(40).collect(), why: "too long" };
        if text.len() > LONGEST_TEXT {
            return Err(too_long());
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let all: Self = parts.map(str::parse).collect::<Result<_, _>>().map(Self)?;
        // What travels is what is printed, which says more than was written: whoever gets it must be able to read it.
        if all.to_string().len() > LONGEST_TEXT { Err(too_long()) } else { Ok(all) }
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, directive) in self.0.iter().enumerate() {
            write!(f, "{}{directive}", if n > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Directive {
    type Err = BadDirective;

    fn from_str(text: &str) -> Result<Self, BadDirective> {
        let bad = |why| BadDirective { text: text.chars().take(100).collect(), why };
        let (site, effect) = text.split_once('=').ok_or_else(|| bad("there is no `=`"))?;
        let (service, place) = site.split_once('/').ok_or_else(|| bad("there is no `/` after the service"))?;
        let (point, event) = place.split_once('@').map_or((place, None), |(point, event)| (point, Some(event)));
        let service = service.trim();
        let named = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if service != "*" && !named(service) {
            return Err(bad("the service is a name such as payment-svc, or `*`"));
        }
        if !named(point) {
            return Err(bad("the point is a name such as after-commit"));
        }
        let is_event =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b"-._".contains(&b));
        if event.is_some_and(|event| !is_event(event)) {
            return Err(bad("the event is a type without its version, such as stock.reserved"));
        }
        let (effect, probability) = match effect.split_once('%') {
            None => (effect, None),
            Some((effect, p)) => (effect, Some(probability(p).ok_or_else(|| bad("a probability is between 0 and 1"))?)),
        };
        let (effect, times) = match effect.split_once('*') {
            None => (effect, None),
            Some((effect, n)) => (
                effect,
                Some(n.parse().ok().filter(|n| *n > 0).ok_or_else(|| bad("`*` takes a number of times, 1 or more"))?),
            ),
        };
        let service = (service != "*").then(|| service.strip_suffix("-svc").unwrap_or(service).to_owned());
        let action = effect.parse().map_err(bad)?;
        Ok(Self { service, point: point.to_owned(), event: event.map(str::to_owned), action, times, probability })
    }
}

fn probability(text: &str) -> Option<f64> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p))
}

impl FromStr for Action {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let unknown =
            "the action is crash, error, delay(milliseconds), hold(milliseconds), duplicate, drop or skip-ack";
        let (word, time) = match text.split_once('(') {
            None => (text, None),
            Some((word, rest)) => {
                let ms = rest.strip_suffix(')').and_then(|ms| ms.parse().ok()).filter(|ms| *ms <= LONGEST_MS);
                (word, Some(Duration::from_millis(ms.ok_or(unknown)?)))
            }
        };
        match (word, time) {
            ("crash", None) => Ok(Self::Crash),
            ("error", None) => Ok(Self::Error),
            ("delay", time) => Ok(Self::Delay(time.unwrap_or(DELAY))),
            ("hold", limit) => Ok(Self::Hold(limit.unwrap_or(HOLD))),
            ("duplicate", None) => Ok(Self::Duplicate),
            ("drop", None) => Ok(Self::Drop),
            ("skip-ack", None) => Ok(Self::SkipAck),
            _ => Err(unknown),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash => f.write_str("crash"),
            Self::Error => f.write_str("error"),
            Self::Delay(delay) => write!(f, "delay({})", delay.as_millis()),
            Self::Hold(limit) => write!(f, "hold({})", limit.as_millis()),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Drop => f.write_str("drop"),
            Self::SkipAck => f.write_str("skip-ack"),
        }
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Some(service) => write!(f, "{service}-svc/{}", self.point)?,
            None => write!(f, "*/{}", self.point)?,
        }
        if let Some(event) = &self.event {
            write!(f, "@{event}")?;
        }
        write!(f, "={}", self.action)?;
        if let Some(times) = self.times {
            write!(f, "*{times}")?;
        }
        match self.probability {
            Some(probability) => write!(f, "%{probability}"),
            None => Ok(()),
        }
    }
}

impl Directive {
    /// Does it speak of this point of this participant, while an event of this type is handled?
    pub(super) fn is_for(&self, service: &str, point: &str, event_type: &str) -> bool {
        self.service.as_deref().is_none_or(|named| named == service)
            && self.point == point
            && self.event.as_deref().is_none_or(|event| event == crate::event::routing_key(event_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in [
            "payment-svc/after-charge=crash",
            "*/before-ack=skip-ack%0.25",
            "inventory-svc/after-commit@payment.declined=delay(250)*3",
            "order-svc/before-commit=duplicate,payment-svc/before-call=error*2%0.5",
            "payment-svc/before-begin@stock.reserved=hold(60000),*/before-ack=hold(0)*2",
        ] {
            assert_eq!(text.parse::<Directives>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_service_may_be_named_with_or_without_its_suffix() {
        let one: Directive = "payment/after-charge=crash".parse().expect("a directive");
        assert_eq!(one.to_string(), "payment-svc/after-charge=crash");
    }

    #[test]
    fn a_hold_lasts_a_minute_unless_it_says_how_long() {
        let one: Directive = "payment-svc/before-begin=hold".parse().expect("a directive");
        assert_eq!(one.to_string(), "payment-svc/before-begin=hold(60000)");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, why) in [
            ("after-charge=crash", "`/`"),
            ("payment-svc/after-charge", "`=`"),
            ("payment-svc/After=crash", "point"),
            ("Payment/after=crash", "service"),
            ("payment-svc/after@=crash", "event"),
            ("payment-svc/after=explode", "action"),
            ("payment-svc/after=delay(-1)", "action"),
            ("payment-svc/after=delay(99999999)", "action"),
            ("payment-svc/after=hold(600001)", "action"),
            ("payment-svc/after=hold(5", "action"),
            ("payment-svc/after=crash(5)", "action"),
            ("payment-svc/after=crash*x", "times"),
            ("payment-svc/after=crash*0", "times"),
            ("payment-svc/after=crash%2", "probability"),
        ] {
            let bad = text.parse::<Directives>().expect_err(text).to_string();
            assert!(bad.contains(why), "{text}: {bad}");
        }
    }

    #[test]
    fn a_directive_is_for_its_service_its_point_and_its_event() {
        let one: Directive = "inventory-svc/after-commit@payment.declined=crash".parse().expect("a directive");
        assert!(one.is_for("inventory", "after-commit", "payment.declined.v1"));
        assert!(!one.is_for("inventory", "after-commit", "order.placed.v1"));
        assert!(!one.is_for("inventory", "before-commit", "payment.declined.v1"));
        assert!(!one.is_for("payment", "after-commit", "payment.declined.v1"));
        let any: Directive = "*/after-commit=crash".parse().expect("a directive");
        assert!(any.is_for("payment", "after-commit", ""));
    }
}
