//! The interval of a figure: from the figures of resamples, or from counts.
use super::proportion::wilson;
use super::random::Stream;
use super::spread::{Spread, collapsed};
use super::{Pair, Settings, Strata, bootstrap};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// How an interval was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Wilson's interval of a proportion.
    Wilson,
    /// By drawing instances again.
    Bootstrap,
    /// All instances have the same value: any other value is as rare as Wilson's interval allows.
    Constant,
    /// From bounds of what is not known.
    Bounds,
}

impl Method {
    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wilson => "wilson",
            Self::Bootstrap => "bootstrap",
            Self::Constant => "constant",
            Self::Bounds => "bounds",
        }
    }
}

/// An interval that covers the truth with the level that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How it was computed.
    pub method: Method,
    /// Why it may be too narrow; `None` where simulated runs show that it covers the truth as often as it says.
    pub caution: Option<&'static str>,
}

/// The quantile of the normal distribution.
pub(super) fn normal(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

/// The quantile of Student's distribution.
pub(super) fn student(share: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or_else(|_| normal(share), |known| known.inverse_cdf(share))
}

/// The interval of a mean of values, from instances in experiments; `None` for fewer than two instances.
///
/// # Arguments
/// * `strata`: for each experiment, the instances: the sum of its values, and how many they are.
/// * `range`: the lowest and the highest possible value, if there are such.
/// * `name`: of its stream of random numbers.
#[must_use]
pub fn mean(strata: &Strata, range: Option<[f64; 2]>, settings: &Settings, name: &str) -> Option<Interval> {
    let strata = collapsed(strata);
    let [sum, count] = total(&strata);
    if strata.iter().map(Vec::len).sum::<usize>() < 2 || count <= 0.0 {
        return None;
    }
    let value = sum / count;
    let spread = influences(&strata, value, count);
    if spread.is_none() {
        return constant(value, instances(&strata), range?, settings.level);
    }
    let mut sums = vec![[0.0; 2]; settings.resamples];
    for (number, stratum) in strata.iter().enumerate() {
        let stream = Stream::new(settings.seed, &[name, &number.to_string()]);
        bootstrap::resample(stratum, stream, &mut sums);
    }
    let resampled = sums.iter().map(|[sum, count]| sum / count).collect();
    bootstrapped(value, resampled, &spread, settings.level, range)
}

/// The interval of a proportion: as [`mean`], with values that are 0 or 1.
#[must_use]
pub fn proportion(strata: &Strata, level: f64) -> Option<Interval> {
    super::proportion::interval(&collapsed(strata), level)
}

pub(super) fn total(strata: &[Vec<Pair>]) -> Pair {
    strata.iter().flatten().fold([0.0; 2], |[sum, count], [value, values]| [sum + value, count + values])
}

/// How many instances have values.
#[allow(clippy::cast_precision_loss, reason = "a count")]
pub(super) fn instances(strata: &[Vec<Pair>]) -> f64 {
    strata.iter().flatten().filter(|[_, values]| *values > 0.0).count() as f64
}

pub(super) fn influences(strata: &[Vec<Pair>], value: f64, count: f64) -> Spread {
    let mut spread = Spread::default();
    for stratum in strata {
        let each: Vec<f64> = stratum.iter().map(|[sum, values]| (sum - value * values) / count).collect();
        spread.add(&each);
    }
    spread
}

/// The interval of a figure from those of resamples: the bias-corrected and accelerated percentiles (Efron, 1987).
///
/// Their distances from the figure are stretched twice, because experiments are small: by what the variance of
/// resamples lacks, and by the quotient of Student's and the normal quantile, because the variance is estimated.
pub(super) fn bootstrapped(
    value: f64,
    mut resampled: Vec<f64>,
    spread: &Spread,
    level: f64,
    range: Option<[f64; 2]>,
) -> Option<Interval> {
    // Where values are too large for their sum, no end of the interval can be known.
    if resampled.iter().any(|each| each.is_infinite()) {
        return None;
    }
    resampled.retain(|each| !each.is_nan()); // resamples without any value
    if resampled.is_empty() {
        return None;
    }
    let tail = normal(f64::midpoint(1.0, level));
    let bias = bias(value, &resampled);
    let acceleration = spread.acceleration();
    let ends = [-tail, tail].map(|point| {
        let moved = bias + point;
        let divisor = (1.0 - acceleration * moved).max(0.1);
        let share = Normal::standard().cdf(bias + moved / divisor);
        value + (quantile(&mut resampled, share) - value) * stretch(spread, level)
    });
    if !ends.iter().all(|end| end.is_finite()) {
        return None;
    }
    let [low, high] = match range {
        Some([lowest, highest]) => ends.map(|end| end.clamp(lowest, highest)),
        None => ends,
    };
    let caution = spread.caution();
    Some(Interval { low: low.min(value), high: high.max(value), method: Method::Bootstrap, caution })
}

pub(super) fn stretch(spread: &Spread, level: f64) -> f64 {
    let share = f64::midpoint(1.0, level);
    (spread.variance / spread.plain).sqrt() * student(share, spread.freedom_of_mean()) / normal(share)
}

/// How far the figure is from the median of the resamples, as a quantile of the normal distribution.
#[allow(clippy::cast_precision_loss, reason = "counts")]
fn bias(value: f64, resampled: &[f64]) -> f64 {
    let below = resampled.iter().filter(|each| **each < value - 1e-9).count();
    let until = resampled.iter().filter(|each| **each <= value + 1e-9).count();
    let count = resampled.len() as f64;
    normal(((below + until) as f64 / 2.0 / count).clamp(0.5 / count, 1.0 - 0.5 / count))
}

/// The quantile of numbers, between the two nearest ones as in `NumPy`. They are put into another order: sorting all
/// of them would take longer than to draw them.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between 0 and the last one"
)]
pub(super) fn quantile(numbers: &mut [f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (numbers.len() - 1) as f64;
    let (_, lower, above) = numbers.select_nth_unstable_by(place.floor() as usize, f64::total_cmp);
    let lower = *lower;
    let next = above.iter().copied().min_by(f64::total_cmp);
    let upper = next.filter(|_| place.fract() > 0.0).unwrap_or(lower);
    lower + (upper - lower) * place.fract()
}

/// The interval of a mean if all instances have the same value: other values have a share that Wilson's interval of
/// n among n allows, and are as far away as they can be.
pub(super) fn constant(value: f64, instances: f64, range: [f64; 2], level: f64) -> Option<Interval> {
    let [lowest, highest] = range;
    if instances < 2.0 || !(lowest..=highest).contains(&value) {
        return None;
    }
    let [same, _] = wilson(1.0, instances, normal(f64::midpoint(1.0, level)));
    let end = |other: f64| same * value + (1.0 - same) * other;
    Some(Interval { low: end(lowest), high: end(highest), method: Method::Constant, caution: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Strata {
        vec![values.iter().map(|value| [*value, 1.0]).collect()]
    }

    #[test]
    fn values_whose_sum_or_spread_is_too_large_have_no_interval() {
        for values in [&[1e308, -1e308, 3.0][..], &[1e308, 1e308, 1e307], &[1e200, 0.0, 1.0, 2.0]] {
            assert_eq!(mean(&of(values), None, &Settings::default(), "x"), None, "{values:?}");
        }
    }

    #[test]
    fn quantiles_are_those_of_sorted_numbers() {
        let numbers: Vec<f64> = (0..100).map(|number| f64::from(number * 37 % 100) - 50.0).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        for (share, low, part) in
            [(0.0, 0, 0.0), (0.025, 2, 0.475), (0.5, 49, 0.5), (0.99, 98, 0.01), (1.0, 99, 0.0)]
        {
            let next = sorted[(low + 1).min(99)];
            let wanted = sorted[low] + (next - sorted[low]) * part;
            assert!((quantile(&mut numbers.clone(), share) - wanted).abs() < 1e-9, "{share}");
        }
        assert!((quantile(&mut [7.0], 0.3) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_single_instance_has_no_interval() {
        let settings = Settings::default();
        assert_eq!(mean(&of(&[50.0]), None, &settings, ""), None);
        assert_eq!(mean(&of(&[]), None, &settings, ""), None);
        assert_eq!(proportion(&of(&[1.0]), 0.95), None);
    }

    #[test]
    fn bell_shaped_values_have_the_interval_of_student() {
        let values: Vec<f64> = (0..40).map(|number| normal((f64::from(number) + 0.5) / 40.0)).collect();
        let found = mean(&of(&values), None, &Settings::default(), "x").unwrap();
        let half =
            student(0.975, 39.0) * (values.iter().map(|each| each * each).sum::<f64>() / 39.0 / 40.0).sqrt();
        assert!((found.low + half).abs() < 0.02 && (found.high - half).abs() < 0.02, "{found:?} {half}");
        assert_eq!(found, mean(&of(&values), None, &Settings::default(), "x").unwrap());
        assert_ne!(
            found,
            mean(&of(&values), None, &Settings { seed: 1, ..Settings::default() }, "x").unwrap()
        );
    }

    #[test]
    fn equal_values_are_not_certain() {
        let found = mean(&of(&[100.0; 20]), Some([0.0, 100.0]), &Settings::default(), "x").unwrap();
        assert!((found.low - 83.9).abs() < 0.1 && (found.high - 100.0).abs() < 1e-9, "{found:?}");
        assert_eq!(found.method, Method::Constant);
        assert_eq!(mean(&of(&[7.0; 20]), None, &Settings::default(), "x"), None);
    }

    #[test]
    fn instances_of_experiments_are_drawn_within_them() {
        let strata = vec![of(&[0.0, 1.0, 0.0, 1.0]).remove(0), of(&[100.0, 99.0, 100.0, 99.0]).remove(0)];
        let found = mean(&strata, None, &Settings::default(), "x").unwrap();
        assert!(found.high - found.low < 2.0, "{found:?}");
    }
}
