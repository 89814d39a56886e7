//! Pairs of models on the instances that both played: differences, their intervals, and which ranks are certain.
use super::cells::{Episode, Experiment, Game, Instance, Model, cells};
use super::interval::{bootstrapped, constant};
use super::memory::Memory;
use super::random::Stream;
use super::significance::{holm, mcnemar, permutation};
use super::spread::{Spread, collapsed};
use super::{Interval, Method, Settings, bootstrap};
use crate::results::episodes::Fate;
use crate::results::rows::Evaluation;

/// Why a difference has no interval.
pub(super) const LONELY: &str = "a single common instance of a game";
pub(super) const EQUAL: &str = "all differences are equal";
pub(super) const NO_SCORES: &str = "no scores";
/// The largest difference of main scores.
const LARGEST: f64 = 100.0;

/// What two models differ in, in one game or in all games that they share.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The game; `None` for the mean over games.
    pub game: Option<String>,
    /// Instances that both played.
    pub instances: u32,
    /// Instances that only one of them played, or that have no result of one of them.
    pub left_out: u32,
    /// The mean difference of main scores, with 0 for an aborted episode.
    pub value: f64,
    /// The level of its interval.
    pub level: f64,
    /// Its interval, or why there is none.
    pub interval: Result<Interval, &'static str>,
    /// The probability of so large a difference if there is none, times the looks at cells that stopped early; NaN
    /// if the difference is not a finite number.
    pub p: f64,
    /// The same, corrected for all pairs.
    pub p_holm: f64,
    /// Instances in which the first, or the second model succeeded more often.
    pub better: [u32; 2],
    /// The probability of so unequal counts if there is no difference.
    pub success_p: f64,
    /// The same, corrected for all pairs.
    pub success_p_holm: f64,
}

/// Two models, by number.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairing {
    /// The first model.
    pub first: usize,
    /// The second model.
    pub second: usize,
    /// All games together first, then each game; nothing if they have no instance in common.
    pub differences: Vec<Difference>,
}

/// All pairs of models.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonReport {
    /// The models, by name.
    pub models: Vec<String>,
    /// For each model, episodes: scored, played, lost, limit, error, missing, unscored.
    pub counts: Vec<[u32; 7]>,
    /// The best and the worst rank that each model may have; 1 is the best.
    pub ranks: Vec<[u32; 2]>,
    /// All pairs.
    pub pairs: Vec<Pairing>,
}

/// A game that two models share.
struct Shared<'a> {
    name: &'a str,
    /// For each experiment, the differences of its instances.
    strata: Vec<Vec<f64>>,
    left_out: u32,
    better: [u32; 2],
    is_in_range: bool,
    level: f64,
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) =
        values.filter(|each| !each.is_nan()).fold((0.0, 0.0), |(sum, count), each| (sum + each, count + 1.0));
    (count > 0.0).then_some(sum / count)
}

fn points(instance: &Instance) -> Option<f64> {
    mean(instance.epochs.iter().map(Episode::points))
}

fn success(instance: &Instance) -> Option<f64> {
    mean(instance.epochs.iter().map(|each| each.success))
}

/// Items of both lists with the same name, and how many instances have no counterpart.
fn matched<'a, T>(ones: &'a [T], others: &'a [T], name: fn(&T) -> &str) -> (Vec<(&'a T, &'a T)>, Vec<&'a T>) {
    let find = |items: &'a [T], wanted: &str| {
        items.binary_search_by(|each| name(each).cmp(wanted)).ok().and_then(|at| items.get(at))
    };
    let both = ones.iter().filter_map(|one| Some((one, find(others, name(one))?))).collect();
    let alone =
        |these: &'a [T], those: &'a [T]| these.iter().filter(move |each| find(those, name(each)).is_none());
    let single = alone(ones, others).chain(alone(others, ones)).collect();
    (both, single)
}

fn shared<'a>(one: &'a Game, other: &'a Game, level: f64) -> Shared<'a> {
    let mut found =
        Shared { name: &one.name, strata: vec![], left_out: 0, better: [0; 2], is_in_range: true, level };
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (experiments, single) = matched(&one.experiments, &other.experiments, |each: &Experiment| &each.name);
    found.left_out += single.iter().map(|each| size(each.instances.len())).sum::<u32>();
    for (mine, theirs) in experiments {
        let (instances, single) = matched(&mine.instances, &theirs.instances, |each: &Instance| &each.name);
        found.left_out += size(single.len());
        let mut stratum = Vec::new();
        for (mine, theirs) in instances {
            let (Some(first), Some(second)) = (points(mine), points(theirs)) else {
                found.left_out += 1;
                continue;
            };
            found.is_in_range &= [first, second].iter().all(|each| (0.0..=LARGEST).contains(each));
            stratum.push(first - second);
            if let (Some(first), Some(second)) = (success(mine), success(theirs)) {
                found.better[0] += u32::from(first > second);
                found.better[1] += u32::from(first < second);
            }
        }
        found.strata.push(stratum);
    }
    found
}

/// The difference over some games, each with the same weight.
#[allow(clippy::cast_precision_loss, reason = "counts")]
fn difference(
    games: &[&Shared<'_>],
    game: Option<&str>,
    settings: &Settings,
    names: [&str; 2],
    memory: &Memory,
) -> Difference {
    let mut strata: Vec<Vec<[f64; 1]>> = Vec::new();
    let played = games.iter().filter(|each| each.strata.iter().any(|stratum| !stratum.is_empty()));
    let count = played.clone().count() as f64;
    for each in played {
        let weight = 1.0 / count / each.strata.iter().map(Vec::len).sum::<usize>() as f64;
        let weighted =
            each.strata.iter().map(|stratum| stratum.iter().map(|value| [value * weight]).collect());
        strata.extend(collapsed(&weighted.collect::<Vec<Vec<_>>>()));
    }
    let values: Vec<f64> = strata.iter().flatten().map(|[value]| *value).collect();
    let value: f64 = values.iter().sum();
    let left_out = games.iter().map(|each| each.left_out).sum();
    let better =
        games.iter().fold([0; 2], |[one, other], each| [one + each.better[0], other + each.better[1]]);
    let label = [names[0], names[1], game.unwrap_or_default(), "difference"];
    let level = games.iter().map(|each| each.level).fold(settings.level, f64::max);
    let looks = (1.0 - settings.level) / (1.0 - level);
    let success_p = (looks * mcnemar(better[0], better[1])).min(1.0);
    let is_in_range = games.iter().all(|each| each.is_in_range);
    let settings = &Settings { level, ..*settings };
    let (interval, p) = remembered(&strata, value, is_in_range, settings, &label, memory);
    // What is not a number is not evidence for anything.
    let p = if value.is_finite() { (looks * p).min(1.0) } else { f64::NAN };
    Difference {
        game: game.map(str::to_owned),
        instances: u32::try_from(values.len()).unwrap_or(u32::MAX),
        left_out,
        value,
        level,
        interval,
        p,
        p_holm: p,
        better,
        success_p,
        success_p_holm: success_p,
    }
}

/// The interval and the p-value of a difference: those of an earlier comparison of the same values, or new ones.
fn remembered(
    strata: &[Vec<[f64; 1]>],
    value: f64,
    is_in_range: bool,
    settings: &Settings,
    label: &[&str],
    memory: &Memory,
) -> (Result<Interval, &'static str>, f64) {
    let mut hash = memory.hash("difference", settings);
    for name in label {
        hash.bytes(name.as_bytes());
    }
    hash.number(u64::from(is_in_range));
    hash.value(value);
    for stratum in strata {
        hash.number(stratum.len() as u64);
        for [each] in stratum {
            hash.value(*each);
        }
    }
    // The p-value is kept as an interval of which it is both ends.
    let [found, p] = memory.recall(hash.key(), || {
        let values: Vec<f64> = strata.iter().flatten().map(|[value]| *value).collect();
        let p = permutation(&values, settings.resamples, Stream::new(settings.seed, label));
        let p = Interval { low: p, high: p, method: Method::Constant, caution: None };
        [interval(strata, value, is_in_range, settings, label), Ok(p)]
    });
    (found, p.map_or(1.0, |p| p.low))
}

#[allow(clippy::cast_precision_loss, reason = "counts")]
fn interval(
    strata: &[Vec<[f64; 1]>],
    value: f64,
    is_in_range: bool,
    settings: &Settings,
    label: &[&str],
) -> Result<Interval, &'static str> {
    let instances = strata.iter().map(Vec::len).sum::<usize>();
    if strata.iter().any(|stratum| stratum.len() < 2) {
        return Err(LONELY);
    }
    let mut spread = Spread::default();
    let mut sums = vec![[0.0; 1]; settings.resamples];
    for (number, stratum) in strata.iter().enumerate() {
        spread.add(&stratum.iter().map(|[each]| *each).collect::<Vec<_>>());
        let number = number.to_string();
        let names: Vec<&str> = label.iter().copied().chain([number.as_str()]).collect();
        bootstrap::resample(stratum, Stream::new(settings.seed, &names), &mut sums);
    }
    let range = is_in_range.then_some([-LARGEST, LARGEST]);
    if spread.is_none() {
        let alike = range.and_then(|range| constant(value, instances as f64, range, settings.level));
        return alike.ok_or(EQUAL);
    }
    let sums = sums.into_iter().map(|[sum]| sum).collect();
    bootstrapped(value, sums, &spread, settings.level, range).ok_or(NO_SCORES)
}

/// The level for a game of which two cells were looked at several times, because they could stop early.
///
/// What both played is what the one had played at one of its looks, or the other at one of its own. With the same
/// looks, these are as many as one cell has; else they may be as many as both have together.
fn level_of_both(one: Option<f64>, other: Option<f64>, level: f64) -> f64 {
    match (one, other) {
        (Some(one), Some(other)) if (one - other).abs() > 1e-12 => {
            let looks = (1.0 - level) / (1.0 - one) + (1.0 - level) / (1.0 - other);
            1.0 - (1.0 - level) / looks
        }
        (one, other) => one.or(other).unwrap_or(level),
    }
}

fn pairing(
    models: &[Model],
    [first, second]: [usize; 2],
    settings: &Settings,
    evaluation: &Evaluation,
) -> Pairing {
    let (one, other) = (&models[first], &models[second]);
    let memory = &evaluation.memory;
    let (games, single) = matched(&one.games, &other.games, |each: &Game| &each.name);
    let level = |game: &str| {
        let [one, other] = [one, other].map(|model| evaluation.level_of(game, &model.name));
        level_of_both(one, other, settings.level)
    };
    let found: Vec<Shared<'_>> =
        games.into_iter().map(|(mine, theirs)| shared(mine, theirs, level(&mine.name))).collect();
    let names = [one.name.as_str(), other.name.as_str()];
    let mut differences: Vec<Difference> =
        found.iter().map(|each| difference(&[each], Some(each.name), settings, names, memory)).collect();
    differences.retain(|each| each.instances > 0);
    if !differences.is_empty() {
        let mut whole = if let [only] = differences.as_slice() {
            // The same instances give the same interval, whatever they are called.
            let left_out = found.iter().map(|each| each.left_out).sum();
            Difference { game: None, left_out, ..only.clone() }
        } else {
            difference(&found.iter().collect::<Vec<_>>(), None, settings, names, memory)
        };
        let of = |game: &&Game| game.experiments.iter().map(|each| each.instances.len()).sum::<usize>();
        whole.left_out += u32::try_from(single.iter().map(of).sum::<usize>()).unwrap_or(u32::MAX);
        differences.insert(0, whole);
    }
    Pairing { first, second, differences }
}

/// Corrects the p-values for all pairs, those of each game and those of all games by themselves.
fn correct(pairs: &mut [Pairing]) {
    let mut games: Vec<Option<String>> =
        pairs.iter().flat_map(|pair| &pair.differences).map(|each| each.game.clone()).collect();
    games.sort();
    games.dedup();
    for game in games {
        let mut family: Vec<&mut Difference> = pairs
            .iter_mut()
            .flat_map(|pair| &mut pair.differences)
            .filter(|each| each.game == game)
            .collect();
        let of_success = holm(&family.iter().map(|each| each.success_p).collect::<Vec<_>>());
        for (each, success_p) in family.iter_mut().zip(of_success) {
            each.success_p_holm = success_p;
        }
        family.retain(|each| !each.p.is_nan());
        let adjusted = holm(&family.iter().map(|each| each.p).collect::<Vec<_>>());
        for (each, p) in family.iter_mut().zip(adjusted) {
            each.p_holm = p;
        }
    }
}

/// Of each model: one place behind those that are certainly better, and before those that are certainly worse.
fn ranks(count: usize, pairs: &[Pairing], level: f64) -> Vec<[u32; 2]> {
    let last = u32::try_from(count).unwrap_or(u32::MAX);
    let mut ranks = vec![[1, last]; count];
    for pair in pairs {
        let Some(whole) = pair.differences.first().filter(|each| each.p_holm < 1.0 - level) else { continue };
        let (better, worse) =
            if whole.value > 0.0 { (pair.first, pair.second) } else { (pair.second, pair.first) };
        ranks[worse][0] += 1;
        ranks[better][1] -= 1;
    }
    ranks
}

fn counts(model: &Model) -> [u32; 7] {
    let mut counts = [0; 7];
    let instances = model.games.iter().flat_map(|each| &each.experiments).flat_map(|each| &each.instances);
    for episode in instances.flat_map(|each| &each.epochs) {
        let at = match episode.counted_as() {
            Fate::Scored => 0,
            Fate::Limit => 3,
            Fate::Error => 4,
            Fate::Missing => 5,
            Fate::Unscored => 6,
        };
        counts[at] += 1;
        counts[1] += u32::from(episode.has_outcome() && episode.played > 0.5);
        counts[2] += u32::from(episode.has_outcome() && episode.lost > 0.5);
    }
    counts
}

/// Compares all models of an evaluation.
pub(in crate::results) fn compare(evaluation: &Evaluation, settings: &Settings) -> ComparisonReport {
    let models = cells(evaluation);
    let numbers = 0..models.len();
    let all =
        numbers.clone().flat_map(|first| numbers.clone().skip(first + 1).map(move |second| (first, second)));
    let mut pairs: Vec<Pairing> =
        all.map(|(first, second)| pairing(&models, [first, second], settings, evaluation)).collect();
    correct(&mut pairs);
    ComparisonReport {
        ranks: ranks(models.len(), &pairs, settings.level),
        counts: models.iter().map(counts).collect(),
        models: models.into_iter().map(|each| each.name).collect(),
        pairs,
    }
}
