//! What several epochs of an instance tell: how much varies within instances and between them, and how often at least
//! one of k epochs succeeds, or all of them.
use super::Strata;

/// Variances of a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variance {
    /// Between epochs of an instance.
    pub within: f64,
    /// Between instances of an experiment, without what epochs add to it.
    pub between: f64,
}

/// The components of variance of values by experiment, instance and epoch, by the analysis of variance (Searle, Casella
/// and `McCulloch`, "Variance components", 1992, 3.6); `None` if no instance has two values.
#[allow(clippy::cast_precision_loss, reason = "counts")]
pub(super) fn variance(experiments: &[Vec<Vec<f64>>]) -> Option<Variance> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let [mut squares_within, mut squares_between, mut evened] = [0.0; 3];
    let [mut freedom_within, mut freedom_between] = [0.0; 2];
    for experiment in experiments {
        let instances: Vec<&Vec<f64>> = experiment.iter().filter(|values| !values.is_empty()).collect();
        let count: f64 = instances.iter().map(|values| values.len() as f64).sum();
        if instances.is_empty() {
            continue;
        }
        let middle = instances.iter().map(|values| values.iter().sum::<f64>()).sum::<f64>() / count;
        for values in &instances {
            let own = mean(values);
            squares_within += values.iter().map(|value| (value - own).powi(2)).sum::<f64>();
            squares_between += values.len() as f64 * (own - middle).powi(2);
            freedom_within += values.len() as f64 - 1.0;
        }
        freedom_between += instances.len() as f64 - 1.0;
        evened += count - instances.iter().map(|values| (values.len() as f64).powi(2)).sum::<f64>() / count;
    }
    if freedom_within < 1.0 {
        return None;
    }
    let within = squares_within / freedom_within;
    let between = if freedom_between < 1.0 {
        f64::NAN
    } else {
        ((squares_between / freedom_between - within) * freedom_between / evened).max(0.0)
    };
    Some(Variance { within, between })
}

/// The numbers of epochs that are reported: all small ones, powers of two, and all epochs.
pub(super) fn reported(epochs: u32) -> Vec<u32> {
    (1..=epochs).filter(|k| *k <= 8 || k.is_power_of_two() || *k == epochs).collect()
}

/// For each instance, the probability that at least one (`any`) or all of k epochs succeed, drawn without
/// replacement from its epochs (Chen et al., "Evaluating large language models trained on code", 2021; Yao et al.,
/// "τ-bench", 2024).
///
/// # Arguments
/// * `successes`: for each instance of each experiment, successes and epochs, at least `k`.
pub(super) fn pass(successes: &Strata, k: u32, any: bool) -> Strata {
    let all = |which: f64, epochs: f64| {
        (0..k).map(f64::from).fold(1.0, |p, j| p * ((which - j).max(0.0) / (epochs - j)))
    };
    let share = |[won, epochs]: &[f64; 2]| {
        if any { 1.0 - all(epochs - won, *epochs) } else { all(*won, *epochs) }
    };
    successes.iter().map(|each| each.iter().map(|instance| [share(instance), 1.0]).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variance_is_split() {
        let found = variance(&[vec![vec![1.0, 3.0], vec![5.0, 7.0]]]).unwrap();
        // Within: 2; the means 2 and 6 vary by 8, of which epochs add 2 / 2.
        assert_eq!(found, Variance { within: 2.0, between: 7.0 });
        assert_eq!(variance(&[vec![vec![1.0], vec![2.0]]]), None);
    }

    #[test]
    fn one_of_k_and_all_of_k() {
        let successes = vec![vec![[2.0, 4.0]]];
        let share = |k, any| pass(&successes, k, any)[0][0][0];
        assert!((share(1, true) - 0.5).abs() < 1e-12 && (share(1, false) - 0.5).abs() < 1e-12);
        assert!((share(2, true) - 5.0 / 6.0).abs() < 1e-12); // only one of six pairs has no success
        assert!((share(2, false) - 1.0 / 6.0).abs() < 1e-12);
        assert!((share(3, true) - 1.0).abs() < 1e-12 && share(3, false).abs() < 1e-12);
    }
}
