//! How much a figure varies from sample to sample, from what each instance adds to it.
//!
//! The *influence* of an instance is how the figure changes with the instance's weight. The figure's variance is the
//! sum of its squares within experiments (Särndal, Swensson and Wretman, "Model assisted survey sampling", 1992, 5.5).

// Below these, simulated runs show intervals that are too narrow, or nobody has looked (docs/statistics.md).
const FEWEST: f64 = 20.0;
const FEWEST_OF_EXPERIMENT: f64 = 5.0;
const FEWEST_SKEWED: f64 = 60.0;
/// Exponential scores have a skewness of 2, of which 20 instances show about 1.4.
const SKEWED: f64 = 1.0;
pub(super) const FEW: &str = "fewer than 20 instances";
pub(super) const THIN: &str = "an experiment with fewer than 5 instances";
pub(super) const SKEWED_AND_FEW: &str = "skewed scores of fewer than 60 instances";

/// The spread of a figure over experiments.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spread {
    /// The variance as drawing again shows it: too small by (n - 1) / n in an experiment of n instances.
    pub(super) plain: f64,
    /// The variance without this bias.
    pub(super) variance: f64,
    cubes: f64,
    squared: f64,
    /// How much the variance itself varies.
    fourth: f64,
    most_freedom: f64,
    instances: f64,
    /// Whether an experiment has very few instances.
    is_thin: bool,
}

impl Spread {
    /// Adds an experiment; it needs at least two instances.
    #[allow(clippy::cast_precision_loss, reason = "counts")]
    pub(super) fn add(&mut self, influences: &[f64]) {
        let count = influences.len() as f64;
        if count < 2.0 {
            return;
        }
        let mean = influences.iter().sum::<f64>() / count;
        let power = |exponent| influences.iter().map(|each| (each - mean).powi(exponent)).sum::<f64>();
        let plain = power(2);
        let variance = plain * count / (count - 1.0);
        self.plain += plain;
        self.variance += variance;
        self.cubes += power(3);
        // Of a variance with n - 1 degrees of freedom, the square is too large by (n + 1) / (n - 1).
        self.squared += variance * variance / (count + 1.0);
        self.most_freedom += count - 1.0;
        self.instances += count;
        self.is_thin |= count < FEWEST_OF_EXPERIMENT;
        let squares = || influences.iter().map(|each| (each - mean).powi(2) * count / (count - 1.0));
        let middle = variance / count;
        self.fourth += squares().map(|each| (each - middle).powi(2)).sum::<f64>() * count / (count - 1.0);
    }

    /// Whether nothing varies.
    pub(super) fn is_none(&self) -> bool {
        self.plain <= 1e-18
    }

    /// The degrees of freedom of the variance (Welch, "The generalization of Student's problem when several different
    /// population variances are involved", 1947), of all experiments if they are alike.
    pub(super) fn freedom(&self) -> f64 {
        if self.is_none() {
            return self.most_freedom.max(1.0);
        }
        (self.variance * self.variance / self.squared - 2.0).clamp(1.0, self.most_freedom.max(1.0))
    }

    /// The degrees of freedom that the variance of a mean of skewed values has: those with which a variance of
    /// bell-shaped values would vary as much (O'Neill, "Some useful moment results in sampling problems", 2014).
    pub(super) fn freedom_of_mean(&self) -> f64 {
        let by_squares = 2.0 * self.variance * self.variance / self.fourth;
        if by_squares.is_nan() { self.freedom() } else { by_squares.clamp(1.0, self.freedom()) }
    }

    /// Why an interval from this spread may be too narrow.
    pub(super) fn caution(&self) -> Option<&'static str> {
        if self.instances < FEWEST {
            Some(FEW)
        } else if self.is_thin {
            Some(THIN)
        } else if self.instances < FEWEST_SKEWED && self.skewness().abs() > SKEWED {
            Some(SKEWED_AND_FEW)
        } else {
            None
        }
    }

    /// The skewness of what instances add, as if they were of one experiment.
    fn skewness(&self) -> f64 {
        6.0 * self.acceleration() * self.instances.sqrt()
    }

    /// By how much the variance changes with the figure (Efron, "Better bootstrap confidence intervals", 1987).
    pub(super) fn acceleration(&self) -> f64 {
        self.cubes / (6.0 * self.plain.powf(1.5))
    }
}

/// Experiments with one instance say nothing about how instances vary: they are taken together, and a single one goes
/// to the smallest other experiment. The variance is then rather too large than too small.
pub(super) fn collapsed<T: Clone>(strata: &[Vec<T>]) -> Vec<Vec<T>> {
    let (alone, mut kept): (Vec<_>, Vec<_>) =
        strata.iter().filter(|stratum| !stratum.is_empty()).cloned().partition(|stratum| stratum.len() == 1);
    let together: Vec<T> = alone.into_iter().flatten().collect();
    match kept.iter_mut().min_by_key(|stratum| stratum.len()) {
        Some(smallest) if together.len() == 1 => smallest.extend(together),
        _ if together.is_empty() => {}
        _ => kept.push(together),
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_experiments_have_all_degrees_of_freedom() {
        let mut spread = Spread::default();
        for _ in 0..4 {
            spread.add(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        }
        assert!((spread.variance - 4.0 * 12.5).abs() < 1e-9);
        assert!((spread.freedom() - 16.0).abs() < 6.1);
        assert!(spread.acceleration().abs() < 1e-12);
    }

    #[test]
    fn few_and_skewed_instances_are_a_reason_for_caution() {
        let of = |strata: &[&[f64]]| {
            let mut spread = Spread::default();
            for stratum in strata {
                spread.add(stratum);
            }
            spread.caution()
        };
        let even: Vec<f64> = (0..60).map(f64::from).collect();
        let skewed: Vec<f64> = (0..60).map(|number| if number % 10 == 0 { 100.0 } else { 0.0 }).collect();
        assert_eq!(of(&[&even[..19]]), Some("fewer than 20 instances"));
        assert_eq!(of(&[&even[..10], &even[..10]]), None);
        assert_eq!(of(&[&even[..20], &even[..4]]), Some("an experiment with fewer than 5 instances"));
        assert_eq!(of(&[&skewed[..59]]), Some("skewed scores of fewer than 60 instances"));
        assert_eq!(of(&[&skewed]), None);
    }

    #[test]
    fn single_instances_are_taken_together() {
        assert_eq!(collapsed(&[vec![1], vec![2], vec![3, 4]]), [vec![3, 4], vec![1, 2]]);
        assert_eq!(collapsed(&[vec![1], vec![2, 3], vec![4, 5, 6]]), [vec![2, 3, 1], vec![4, 5, 6]]);
        assert_eq!(collapsed(&[vec![1]]), [vec![1]]);
        assert!(collapsed::<u8>(&[vec![]]).is_empty());
    }
}
