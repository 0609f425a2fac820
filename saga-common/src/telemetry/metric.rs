//! What a metric is, before anything is recorded.

/// A metric by its name and one sentence. Names are Prometheus's recommended ones: what it is about first, base units, `_total`
/// behind counters. No label of any ever holds an id.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    labelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metric {
    /// What only grows.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter, labelled: false }
    }

    /// What is looked at now and then.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge, labelled: false }
    }

    /// How long something took, by buckets that are the same for all.
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Histogram, labelled: false }
    }

    /// It has labels, so whoever records it makes its series.
    #[must_use]
    pub const fn labelled(self) -> Self {
        Self { labelled: true, ..self }
    }
}

/// Gives metrics their sentences. Counters and histograms without labels are there from now on, at zero, so that the first thing
/// counted is seen as an increase; a gauge is there when somebody has looked.
pub fn describe(all: &[Metric]) {
    for Metric { name, help, kind, labelled } in all {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, *help),
            Kind::Histogram => metrics::describe_histogram!(*name, *help),
        }
        match kind {
            _ if *labelled => {}
            Kind::Counter => drop(metrics::counter!(*name)),
            Kind::Histogram => drop(metrics::histogram!(*name)),
            Kind::Gauge => {}
        }
    }
}
