//! The figures of a game or an experiment, and their means over games, under assumptions about missing episodes.
use super::cells::{Assume, BEST, Experiment, Sums};
use super::interval::{bootstrapped, constant};
use super::memory::{Key, Memory, Outcome};
use super::random::Stream;
use super::report::Figure;
use super::spread::{Spread, collapsed};
use super::{Interval, Method, Settings, Strata, bootstrap, proportion};
use crate::results::episodes::Fate;
use std::cell::OnceCell;

const RANGE: [f64; 2] = [0.0, BEST];

pub(super) const SINGLE: &str = "a single instance";
pub(super) const NOTHING: &str = "no scores";
pub(super) const OTHER_SCALE: &str = "all scores are equal, and are not from 0 to 100";

/// Percentage played, quality score and clemscore.
pub(super) type Three = [f64; 3];

fn three([played, episodes, main, mains]: &Sums) -> Three {
    let [share, quality] = [100.0 * played / episodes, main / mains];
    // Without a played episode there is no quality, and the clemscore is 0.
    [share, quality, if *played == 0.0 && *mains == 0.0 { 0.0 } else { share * quality / 100.0 }]
}

/// What one instance adds to the figures of its game, per weight.
fn influence(instance: &Sums, total: &Sums) -> [f64; 2] {
    let [share, quality, _] = three(total);
    let [of_share, of_quality] = [
        100.0 * (instance[0] - share / 100.0 * instance[1]) / total[1],
        (instance[2] - quality * instance[3]) / total[3],
    ];
    [of_share, if of_quality.is_nan() { 0.0 } else { of_quality }]
}

/// The figures of a game under one assumption.
pub(super) struct Assumed {
    strata: Vec<Vec<Sums>>,
    total: Sums,
    pub(super) value: Three,
    settings: Settings,
    /// Of the streams of random numbers.
    names: Vec<String>,
    /// The hash of all of the above.
    key: Key,
    /// Drawn only if an interval needs it that is not known.
    resampled: OnceCell<Vec<Three>>,
    pub(super) intervals: [Outcome; 3],
}

fn of_strata(strata: Vec<Vec<Sums>>, settings: &Settings, names: &[&str], memory: &Memory) -> Assumed {
    let total = strata.iter().flatten().fold([0.0; 4], |mut sum, each| {
        sum.iter_mut().zip(each).for_each(|(sum, number)| *sum += number);
        sum
    });
    let mut hash = memory.hash("figures", settings);
    for name in names {
        hash.bytes(name.as_bytes());
    }
    for stratum in &strata {
        hash.number(stratum.len() as u64);
        stratum.iter().flatten().for_each(|value| hash.value(*value));
    }
    let mut assumed = Assumed {
        value: three(&total),
        strata,
        total,
        settings: *settings,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        key: hash.key(),
        resampled: OnceCell::new(),
        intervals: [Err(NOTHING); 3],
    };
    assumed.intervals = memory.recall(assumed.key, || assumed.intervals());
    assumed
}

impl Assumed {
    /// The figures of resamples.
    fn resampled(&self) -> &[Three] {
        self.resampled.get_or_init(|| {
            let mut sums = vec![[0.0; 4]; self.settings.resamples];
            if self.strata.iter().map(Vec::len).sum::<usize>() > 1 {
                for (number, stratum) in self.strata.iter().enumerate() {
                    let number = number.to_string();
                    let names: Vec<&str> = self.names.iter().chain([&number]).map(String::as_str).collect();
                    bootstrap::resample(stratum, Stream::new(self.settings.seed, &names), &mut sums);
                }
            }
            sums.iter().map(three).collect()
        })
    }

    pub(super) fn instances(&self, of: usize) -> u32 {
        let counts = self.strata.iter().flatten().filter(|sums| sums[of] > 0.0).count();
        u32::try_from(counts).unwrap_or(u32::MAX)
    }

    /// The pairs of a figure: 0 for the episodes played, 2 for the main score.
    fn pairs(&self, from: usize) -> Strata {
        self.strata
            .iter()
            .map(|each| each.iter().map(|sums| [sums[from], sums[from + 1]]).collect())
            .collect()
    }

    /// Spreads of the three figures.
    fn spreads(&self) -> [Spread; 3] {
        let mut spreads = [Spread::default(); 3];
        let [share, quality, _] = self.value;
        let quality = if quality.is_nan() { 0.0 } else { quality };
        for stratum in &self.strata {
            let each: Vec<[f64; 2]> = stratum.iter().map(|sums| influence(sums, &self.total)).collect();
            spreads[0].add(&each.iter().map(|[of_share, _]| *of_share).collect::<Vec<_>>());
            spreads[1].add(&each.iter().map(|[_, of_quality]| *of_quality).collect::<Vec<_>>());
            let of_both =
                |[of_share, of_quality]: &[f64; 2]| (share * of_quality + quality * of_share) / 100.0;
            spreads[2].add(&each.iter().map(of_both).collect::<Vec<_>>());
        }
        spreads
    }

    fn intervals(&self) -> [Outcome; 3] {
        let level = self.settings.level;
        let played = match proportion(&self.pairs(0), level) {
            Some(found) => Ok(Interval { low: 100.0 * found.low, high: 100.0 * found.high, ..found }),
            None => Err(if self.instances(1) == 1 { SINGLE } else { NOTHING }),
        };
        let spreads = self.spreads();
        let is_known = self.instances(3) > 0;
        let of = |which: usize, alike: Option<Interval>| {
            if self.value[which].is_nan() {
                return Err(NOTHING);
            }
            if !is_known && (which == 1 || self.instances(1) == 0) {
                return Err(NOTHING);
            }
            if self.instances(if which == 1 { 3 } else { 1 }) < 2 {
                return Err(SINGLE);
            }
            if spreads[which].is_none() {
                return alike.ok_or(OTHER_SCALE);
            }
            let figures = self.resampled().iter().map(|figures| figures[which]).collect();
            bootstrapped(self.value[which], figures, &spreads[which], level, self.range()).ok_or(NOTHING)
        };
        let count = f64::from(self.instances(3));
        let quality = of(1, constant(self.value[1], count, RANGE, level));
        let all = f64::from(self.instances(1));
        let clemscore = of(2, constant(self.value[2], all, RANGE, level));
        [played, quality, clemscore]
    }

    /// The range of scores, if all lie within that of main scores.
    fn range(&self) -> Option<[f64; 2]> {
        let is_within = |sums: &Sums| (0.0..=BEST * sums[3]).contains(&sums[2]);
        self.strata.iter().flatten().all(is_within).then_some(RANGE)
    }
}

fn strata(experiments: &[&Experiment], assume: Assume) -> Vec<Vec<Sums>> {
    let of = |experiment: &&Experiment| {
        let sums = experiment.instances.iter().map(|instance| instance.sums(assume));
        sums.filter(|sums| sums.iter().any(|number| *number != 0.0)).collect::<Vec<_>>()
    };
    collapsed(&experiments.iter().map(of).collect::<Vec<_>>())
}

/// A game or an experiment under all assumptions that are needed.
pub(super) struct Assessed {
    pub(super) known: Assumed,
    pub(super) extremes: Option<[Assumed; 2]>,
}

pub(super) fn assess(
    experiments: &[&Experiment],
    settings: &Settings,
    names: &[&str],
    memory: &Memory,
) -> Assessed {
    let episodes = || experiments.iter().flat_map(|each| &each.instances).flat_map(|each| &each.epochs);
    let under = |assume| of_strata(strata(experiments, assume), settings, names, memory);
    let is_complete = episodes().all(|episode| episode.fate == Fate::Scored);
    let extremes = (!is_complete).then(|| [under(Assume::Worst), under(Assume::Best)]);
    Assessed { known: under(Assume::Nothing), extremes }
}

impl Assessed {
    pub(super) fn figure(&self, which: usize) -> Figure {
        let interval = match &self.extremes {
            None => self.known.intervals[which],
            Some([worst, best]) => outer(worst.intervals[which], best.intervals[which]),
        };
        let instances = self.known.instances(if which == 1 { 3 } else { 1 });
        Figure { value: self.known.value[which], interval, instances }
    }
}

/// From the lower end if everything unknown is worst to the upper end if it is best.
pub(super) fn outer(worst: Outcome, best: Outcome) -> Outcome {
    let (worst, best) = (worst?, best?);
    let caution = worst.caution.or(best.caution);
    Ok(Interval { low: worst.low, high: best.high, method: Method::Bounds, caution })
}

/// Means over games, under the assumption that `pick` takes; the intervals of the games are given.
pub(super) fn overall(games: &[&Assumed], settings: &Settings, memory: &Memory) -> [(f64, Outcome); 3] {
    if let [only] = games {
        return [0, 1, 2].map(|which| (only.value[which], only.intervals[which]));
    }
    let value = averages(&mut games.iter().map(|each| each.value));
    let mut hash = memory.hash("means", settings);
    games.iter().flat_map(|each| each.key).for_each(|half| hash.number(half));
    let intervals = memory.recall(hash.key(), || overall_intervals(games, value, settings));
    [0, 1, 2].map(|which| (value[which], intervals[which]))
}

/// Means of the percentage played and of the quality score, and their product.
fn averages(figures: &mut dyn Iterator<Item = Three>) -> Three {
    let mut sums = [0.0; 2];
    let mut counts = [0.0; 2];
    for figure in figures {
        for which in 0..2 {
            if !figure[which].is_nan() {
                sums[which] += figure[which];
                counts[which] += 1.0;
            }
        }
    }
    let [share, quality] = [sums[0] / counts[0], sums[1] / counts[1]];
    [share, quality, if quality.is_nan() && share == 0.0 { 0.0 } else { share * quality / 100.0 }]
}

fn overall_intervals(games: &[&Assumed], value: Three, settings: &Settings) -> [Outcome; 3] {
    let figures: Vec<&[Three]> = games.iter().map(|each| each.resampled()).collect();
    let resampled: Vec<Three> = (0..settings.resamples)
        .map(|number| averages(&mut figures.iter().filter_map(|each| each.get(number)).copied()))
        .collect();
    let spreads = spreads(games, value);
    let range = games.iter().all(|each| each.range().is_some()).then_some(RANGE);
    let of = |which: usize| {
        if value[which].is_nan() {
            return Err(NOTHING);
        }
        // A game with a single instance has an unknown variance, and so has a mean that it is part of.
        if let Some(reason) =
            games.iter().find_map(|each| each.intervals[which].err()).filter(|why| *why == SINGLE)
        {
            return Err(reason);
        }
        if which == 0 || spreads[which].is_none() {
            return combined(games, which, value[which]);
        }
        let figures = resampled.iter().map(|each| each[which]).collect();
        bootstrapped(value[which], figures, &spreads[which], settings.level, range).ok_or(NOTHING)
    };
    [0, 1, 2].map(of)
}

#[allow(clippy::cast_precision_loss, reason = "a count")]
fn spreads(games: &[&Assumed], [share, quality, _]: Three) -> [Spread; 3] {
    let mut spreads = [Spread::default(); 3];
    let shares = games.iter().filter(|each| !each.value[0].is_nan()).count() as f64;
    let qualities = games.iter().filter(|each| !each.value[1].is_nan()).count() as f64;
    for game in games {
        for stratum in &game.strata {
            let each: Vec<[f64; 2]> = stratum
                .iter()
                .map(|sums| influence(sums, &game.total))
                .map(|[of_share, of_quality]| [of_share / shares, of_quality / qualities])
                .collect();
            spreads[1].add(&each.iter().map(|[_, of_quality]| *of_quality).collect::<Vec<_>>());
            let of_both =
                |[of_share, of_quality]: &[f64; 2]| (share * of_quality + quality * of_share) / 100.0;
            spreads[2].add(&each.iter().map(of_both).collect::<Vec<_>>());
        }
    }
    spreads
}

/// The interval of a mean from those of its parts (Zou and Donner, "Construction of confidence limits about effect
/// measures", 2008): distances from the parts' figures are combined like deviations.
#[allow(clippy::cast_precision_loss, reason = "a count")]
fn combined(games: &[&Assumed], which: usize, value: f64) -> Outcome {
    let parts: Vec<(f64, Interval)> = games
        .iter()
        .filter(|each| !each.value[which].is_nan())
        .map(|each| Ok((each.value[which], each.intervals[which]?)))
        .collect::<Result<_, &'static str>>()?;
    let count = parts.len() as f64;
    let distance = |end: fn(&Interval) -> f64| {
        parts.iter().map(|(value, interval)| (value - end(interval)).powi(2)).sum::<f64>().sqrt() / count
    };
    let method = parts.first().map_or(Method::Constant, |(_, interval)| interval.method);
    let caution = parts.iter().find_map(|(_, interval)| interval.caution);
    let [low, high] = [value - distance(|each| each.low), value + distance(|each| each.high)];
    Ok(Interval { low, high, method, caution })
}
