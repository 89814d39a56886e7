//! Averages that equal those of pandas to the last bit, because a table rounds them.

/// A mean with compensated summation; numbers that are not there (NaN) do not count.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Mean {
    count: u32,
    sum: f64,
    compensation: f64,
}

impl Mean {
    pub(super) fn add(&mut self, number: f64) {
        if number.is_nan() {
            return;
        }
        self.count += 1;
        let next = number - self.compensation;
        let sum = self.sum + next;
        self.compensation = sum - self.sum - next;
        if self.compensation.is_nan() {
            self.compensation = 0.0; // the sum is infinite
        }
        self.sum = sum;
    }

    pub(super) fn value(self) -> f64 {
        self.sum / f64::from(self.count)
    }

    /// The mean with some more numbers that are all the same.
    pub(super) fn with(self, count: u32, number: f64) -> f64 {
        (self.sum + f64::from(count) * number) / f64::from(self.count + count)
    }
}

/// The standard deviation of a sample, by Welford's method; NaN for a single number.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Deviation {
    count: u32,
    mean: f64,
    squares: f64,
}

impl Deviation {
    pub(super) fn add(&mut self, number: f64) {
        if number.is_nan() {
            return;
        }
        self.count += 1;
        let before = self.mean;
        self.mean += (number - before) / f64::from(self.count);
        self.squares += (number - self.mean) * (number - before);
    }

    pub(super) fn value(self) -> f64 {
        if self.count < 2 { f64::NAN } else { (self.squares / f64::from(self.count - 1)).sqrt() }
    }
}

/// A number with two decimals, rounded as `NumPy` does.
pub(super) fn round(number: f64) -> f64 {
    (number * 100.0).round_ties_even() / 100.0
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the bits count")]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_compensated_and_leaves_out_what_is_not_there() {
        let mut mean = Mean::default();
        for number in [0.1; 10].into_iter().chain([f64::NAN]) {
            mean.add(number);
        }
        assert_eq!(mean.value(), 0.1);
        assert!(Mean::default().value().is_nan());
    }

    #[test]
    fn the_deviation_of_one_number_is_not_known() {
        let mut deviation = Deviation::default();
        deviation.add(2.0);
        assert!(deviation.value().is_nan());
        deviation.add(4.0);
        assert_eq!(deviation.value(), 2.0_f64.sqrt());
    }

    #[test]
    fn halves_are_rounded_as_numpy_rounds_them() {
        assert_eq!([2.005, 0.125, 2.675, 1.125].map(round), [2.0, 0.12, 2.68, 1.12]);
    }
}
