//! Quantiles that can be merged: DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
//! relative-error guarantees", VLDB 2019) with a relative accuracy of one percent.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Relative accuracy.
const ALPHA: f64 = 0.01;

/// What is known of the latencies of many runs. Microseconds.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct Sketch {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least; 0 while there is none.
    pub min: u64,
    /// The greatest.
    pub max: u64,
    /// How many lie in bucket i: above 1.01/0.99 to the power of i - 1, and at most to that of i.
    pub buckets: BTreeMap<i32, u64>,
}

impl Sketch {
    /// The base of the buckets.
    fn gamma() -> f64 {
        (1.0 + ALPHA) / (1.0 - ALPHA)
    }

    /// Takes one more. What took no whole microsecond took one.
    pub fn add(&mut self, micros: u64) {
        let micros = micros.max(1);
        self.min = if self.count == 0 {
            micros
        } else {
            self.min.min(micros)
        };
        self.max = self.max.max(micros);
        (self.count, self.sum) = (self.count + 1, self.sum.saturating_add(micros));
        let bucket = ((micros as f64).ln() / Self::gamma().ln()).ceil() as i32;
        *self.buckets.entry(bucket).or_default() += 1;
    }

    /// Takes all of another.
    pub fn merge(&mut self, other: &Sketch) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        (self.count, self.sum) = (self.count + other.count, self.sum.saturating_add(other.sum));
        for (bucket, n) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += n;
        }
    }

    /// The value below which this share (0 to 1) of all lie, within one percent. None while there is none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.count.checked_sub(1)?;
        let rank = share.clamp(0.0, 1.0) * last as f64;
        let mut seen = 0;
        let bucket = self.buckets.iter().find(|(_, n)| {
            seen += **n;
            seen as f64 > rank
        });
        let (bucket, _) = bucket?;
        let gamma = Self::gamma();
        let value = 2.0 * gamma.powi(*bucket) / (gamma + 1.0);
        Some(value.clamp(self.min as f64, self.max as f64))
    }

    /// The mean. None while there is none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_within_one_percent_however_they_were_merged(
            mut values in prop::collection::vec(1u64..100_000_000, 1..400),
            cut in any::<prop::sample::Index>(),
            share in 0.0f64..=1.0,
        ) {
            let cut = cut.index(values.len());
            let (mut whole, mut left, mut right) = (Sketch::default(), Sketch::default(), Sketch::default());
            for (i, v) in values.iter().enumerate() {
                whole.add(*v);
                if i < cut { left.add(*v) } else { right.add(*v) }
            }
            left.merge(&right);
            prop_assert_eq!(&left, &whole);
            values.sort_unstable();
            let exact = values[(share * (values.len() - 1) as f64) as usize] as f64;
            let told = whole.quantile(share).unwrap_or_default();
            prop_assert!((told - exact).abs() <= exact * (ALPHA + 1e-9), "{} {}", told, exact);
            prop_assert_eq!(whole.sum, values.iter().sum::<u64>());
        }
    }

    #[test]
    fn of_nothing_nothing_is_told() {
        assert_eq!(
            (Sketch::default().quantile(0.5), Sketch::default().mean()),
            (None, None)
        );
    }
}
