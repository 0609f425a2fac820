//! How long something took, of many.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// In milliseconds, to three digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// Half took at most this.
    pub p50_ms: f64,
    /// 90 %.
    pub p90_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99.9 %.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Of times in microseconds.
    #[must_use]
    pub fn of(times_us: impl IntoIterator<Item = u64>) -> Self {
        // Three digits, from a microsecond to an hour: what is longer counts as an hour.
        const LONGEST_US: u64 = 3_600_000_000;
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3) else { return Self::default() };
        times_us.into_iter().for_each(|us| histogram.saturating_record(us.clamp(1, LONGEST_US)));
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e3,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: histogram.max() as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth_of_the_times_themselves() {
        let of = Percentiles::of((1..=10_000).map(|n| n * 1_000));
        let about = |wanted: f64, is: f64| assert!((is / wanted - 1.0).abs() < 0.002, "{is} is not about {wanted}");
        about(5_000.0, of.p50_ms);
        about(9_000.0, of.p90_ms);
        about(9_900.0, of.p99_ms);
        about(9_990.0, of.p999_ms);
        about(10_000.0, of.max_ms);
        about(5_000.5, of.mean_ms);
        assert_eq!(of.count, 10_000);
    }

    #[test]
    fn what_takes_longer_than_an_hour_counts_as_an_hour_and_nothing_as_nothing() {
        assert!(Percentiles::of([u64::MAX]).max_ms > 3_590_000.0);
        assert_eq!(Percentiles::of([]), Percentiles::default());
    }
}
