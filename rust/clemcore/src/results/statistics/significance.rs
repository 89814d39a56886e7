//! Whether a difference may be chance: permutation, `McNemar` and Holm.
use super::random::Stream;
use statrs::distribution::{Binomial, DiscreteCDF};

/// With at most so many differences, all signs are tried.
const MOST_EXACT: usize = 13;

/// The probability of a sum at least as far from 0 if each difference could as well have the other sign (Fisher, "The
/// design of experiments", 1935, 21). Exact for few differences; else by drawn signs, with the observed ones among
/// them (Phipson and Smyth, "Permutation p-values should never be zero", 2010).
#[allow(clippy::cast_precision_loss, reason = "counts")]
pub(super) fn permutation(differences: &[f64], resamples: usize, stream: Stream) -> f64 {
    let values: Vec<f64> = differences.iter().copied().filter(|each| each.abs() > 1e-12).collect();
    // Sums of the same numbers in another order may differ in their last digits.
    let size = values.iter().map(|each| each.abs()).sum::<f64>();
    let observed = values.iter().sum::<f64>().abs() - 1e-9 * size;
    if values.len() <= MOST_EXACT {
        let all = 1_u32 << values.len();
        let sum = |signs: u32| {
            let signed =
                values.iter().enumerate().map(|(at, each)| if signs >> at & 1 == 1 { -each } else { *each });
            signed.sum::<f64>().abs()
        };
        return f64::from((0..all).map(|signs| u32::from(sum(signs) >= observed)).sum::<u32>())
            / f64::from(all);
    }
    let words = values.len().div_ceil(64) as u64;
    let extreme = (0..resamples as u64).filter(|number| {
        let chunks = values.chunks(64).zip(0..words);
        let sum: f64 = chunks
            .map(|(chunk, word)| {
                let bits = stream.at(number * words + word);
                let signed = chunk.iter().enumerate();
                signed.map(|(at, each)| if (bits >> at) & 1 == 1 { -each } else { *each }).sum::<f64>()
            })
            .sum();
        sum.abs() >= observed
    });
    (extreme.count() as f64 + 1.0) / (resamples as f64 + 1.0)
}

/// The exact test of `McNemar` ("Note on the sampling error of the difference between correlated proportions", 1947):
/// the two-sided probability of so unequal counts if both are equally likely.
pub(super) fn mcnemar(one: u32, other: u32) -> f64 {
    let fewer = u64::from(one.min(other));
    match Binomial::new(0.5, u64::from(one) + u64::from(other)) {
        Ok(known) => (2.0 * known.cdf(fewer)).min(1.0),
        Err(_) => 1.0,
    }
}

/// The p-values that may be compared with one level for all of them (Holm, "A simple sequentially rejective multiple
/// test procedure", 1979).
#[allow(clippy::cast_precision_loss, reason = "counts")]
pub(super) fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    let mut adjusted = vec![0.0; values.len()];
    let mut highest: f64 = 0.0;
    for (place, index) in order.into_iter().enumerate() {
        highest = highest.max((values[index] * (values.len() - place) as f64).min(1.0));
        adjusted[index] = highest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_differences_are_tested_exactly() {
        let stream = Stream::new(0, &[]);
        let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        close(permutation(&[1.0, 2.0, 3.0], 100, stream), 2.0 / 8.0);
        close(permutation(&[1.0, -1.0], 100, stream), 1.0);
        close(permutation(&[], 100, stream), 1.0);
        close(permutation(&[5.0], 100, stream), 1.0);
        let found = permutation(&[1.0; 40], 999, stream);
        close(found, 0.001);
    }

    #[test]
    fn unequal_counts_are_unlikely() {
        assert!((mcnemar(1, 9) - 22.0 / 1024.0).abs() < 1e-9);
        assert!((mcnemar(5, 5) - 1.0).abs() < 1e-9);
        assert!((mcnemar(0, 0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_smallest_value_is_multiplied_most() {
        let found = holm(&[0.04, 0.01, 0.03, 0.5]);
        for (found, wanted) in found.iter().zip([0.09, 0.04, 0.09, 0.5]) {
            assert!((found - wanted).abs() < 1e-12, "{found}");
        }
    }
}
