//! The interval of a proportion, by Wilson's method with as many observations as there effectively are.
//!
//! Epochs of an instance say less than further instances do, and experiments that differ say more. The *design effect*
//! is the variance of the proportion, divided by that of as many independent observations. The number of observations
//! is divided by it (Franco, Little, Louis and Slud, "Comparative study of confidence intervals for proportions in
//! complex sample surveys", 2019). With one epoch and one experiment this is Wilson's interval itself.
use super::Pair;
use super::interval::{Interval, Method, influences, instances, normal, student, total};

/// Wilson's interval ("Probable inference, the law of succession, and statistical inference", 1927).
///
/// # Arguments
/// * `share`: of successes, from 0 to 1.
/// * `count`: of observations.
/// * `tail`: the quantile of the normal distribution.
pub(super) fn wilson(share: f64, count: f64, tail: f64) -> [f64; 2] {
    let squared = tail * tail;
    let center = (share + squared / (2.0 * count)) / (1.0 + squared / count);
    let half = tail / (1.0 + squared / count)
        * (share * (1.0 - share) / count + squared / (4.0 * count * count)).sqrt();
    [(center - half).max(0.0), (center + half).min(1.0)]
}

/// The interval of a proportion; `None` for fewer than two instances.
pub(super) fn interval(strata: &[Vec<Pair>], level: f64) -> Option<Interval> {
    let [sum, count] = total(strata);
    let instances = instances(strata);
    if instances < 2.0 {
        return None;
    }
    let share = (sum / count).clamp(0.0, 1.0);
    let tail = f64::midpoint(1.0, level);
    let spread = influences(strata, share, count);
    let independent = share * (1.0 - share) / (count - 1.0);
    let effective = if spread.is_none() || independent <= 0.0 {
        instances
    } else {
        // A rare success that comes in several epochs makes the variance hard to estimate, as skewed scores do.
        let varying = (1.0 - 2.0 * share) * (1.0 - 2.0 * share);
        let freedom = (count - 1.0) * (2.0 * share * (1.0 - share) / varying).min(1.0);
        let of_rare = student(tail, freedom.max(1.0)) / student(tail, spread.freedom_of_mean());
        let quantiles = of_rare.min(student(tail, count - 1.0) / student(tail, spread.freedom()));
        (count * independent / spread.variance * quantiles * quantiles).clamp(1.0, 2.0 * count)
    };
    let [low, high] = wilson(share, effective, normal(tail));
    Some(Interval { low, high, method: Method::Wilson, caution: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_epoch_in_one_experiment_gives_the_interval_of_wilson() {
        let strata = [(0..20).map(|number| [f64::from(u8::from(number < 5)), 1.0]).collect::<Vec<Pair>>()];
        let found = interval(&strata, 0.95).unwrap();
        // scipy.stats.binomtest(5, 20).proportion_ci(method="wilson")
        assert!((found.low - 0.111_86).abs() < 1e-4 && (found.high - 0.468_70).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn epochs_that_repeat_each_other_tell_nothing_new() {
        let once = [(0..20).map(|number| [f64::from(u8::from(number < 5)), 1.0]).collect::<Vec<Pair>>()];
        let often = [once[0].iter().map(|[value, _]| [8.0 * value, 8.0]).collect::<Vec<Pair>>()];
        let [once, often] = [&once, &often].map(|strata| interval(strata, 0.95).unwrap());
        // A little wider: 20 instances are few to estimate how epochs vary.
        assert!((once.low - often.low).abs() < 0.025 && (once.high - often.high).abs() < 0.025, "{often:?}");
    }
}
