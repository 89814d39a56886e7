//! How sure a figure is: intervals from instances, and what varies within and between them.
//!
//! ```text
//! rows ─ cells (instances by experiment) ─┬─ bootstrap (random) ─ spread ─ interval ─┐
//!                                         ├─ proportion (Wilson) ────────────────────┼─ report
//!                                         ├─ epochs (variance, pass@k, pass^k) ──────┘
//!                                         └─ compare (significance): pairs of models
//!
//! memory: intervals of an earlier evaluation
//! ```
//! An *instance* is what is drawn; its epochs stay together. An *experiment* is a stratum: instances are drawn again
//! within it. It knows no files and no names of metrics beyond those of [`super`].
mod assumed;
mod bootstrap;
mod cells;
mod compare;
mod epochs;
mod interval;
pub(super) mod json;
mod memory;
mod proportion;
mod random;
mod report;
mod significance;
mod spread;
mod strengths;

pub(super) use compare::compare;
pub use compare::{ComparisonReport, Difference, Pairing};
pub use epochs::Variance;
pub use interval::{Interval, Method, mean, proportion};
pub(super) use memory::{Memory, checksum};
pub(super) use report::report;
pub use report::{Cell, Figure, ModelReport, PassAt};
pub use strengths::{Match, Strength, bradley_terry};

/// How intervals are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The share of intervals that are to cover the truth.
    pub level: f64,
    /// How often the instances are drawn again.
    pub resamples: usize,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { level: 0.95, resamples: 10_000, seed: 0 }
    }
}

/// What an instance adds to two sums, whose quotient is the figure: its values, and how many they are.
pub type Pair = [f64; 2];
/// The instances of each experiment.
pub type Strata = Vec<Vec<Pair>>;
