//! The figures of each model, game and experiment, with their intervals.
use super::assumed::{Assessed, Assumed, NOTHING, SINGLE, assess, outer, overall};
use super::cells::{Assume, Episode, Experiment, Game, Instance, Model, cells};
use super::epochs::{pass, reported, variance};
use super::memory::Memory;
use super::{Interval, Settings, Strata, Variance, mean, proportion};
use crate::results::episodes::Fate;
use crate::results::rows::Evaluation;

/// A figure, if it is known, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// The figure without rounding; NaN if nothing is known.
    pub value: f64,
    /// Its interval, or why it has none.
    pub interval: Result<Interval, &'static str>,
    /// How many instances it comes from.
    pub instances: u32,
}

/// How often k epochs of an instance succeed, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassAt {
    /// How many epochs.
    pub k: u32,
    /// At least one of them.
    pub any: Figure,
    /// All of them.
    pub all: Figure,
}

/// The figures of a model in a game, or in one experiment of it. Percentages and scores are from 0 to 100.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The game or the experiment.
    pub name: String,
    /// Episodes: scored, played, lost, limit, error, missing, unscored.
    pub counts: [u32; 7],
    /// Episodes among the unscored ones whose scores do not say whether they were played.
    pub without_outcome: u32,
    /// The level of its intervals.
    pub level: f64,
    /// Instances, those without scores included.
    pub instances: u32,
    /// The most epochs that an instance has.
    pub epochs: u32,
    /// Percentage of the episodes that were played.
    pub played: Figure,
    /// The mean main score of those that have one.
    pub quality: Figure,
    /// Percentage played times quality.
    pub clemscore: Figure,
    /// Percentage of the episodes that succeeded.
    pub success: Figure,
    /// The lowest and the highest main score.
    pub range: Option<[f64; 2]>,
    /// With several epochs, the variance of the main score, with 0 for an aborted episode.
    pub variance: Option<Variance>,
    /// With several epochs, how often they succeed.
    pub pass: Vec<PassAt>,
    /// The experiments of a game.
    pub experiments: Vec<Cell>,
}

/// The figures of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelReport {
    /// The model.
    pub name: String,
    /// The level of its intervals: the highest one of its games.
    pub level: f64,
    /// The mean over games of the percentage played.
    pub played: Figure,
    /// The mean over games of the quality score.
    pub quality: Figure,
    /// The clemscore.
    pub clemscore: Figure,
    /// Its games.
    pub games: Vec<Cell>,
}

fn success(experiments: &[&Experiment], level: f64) -> Figure {
    let pairs = |assume| -> Strata {
        let of = |each: &&Experiment| {
            let pairs = each.instances.iter().map(|instance| instance.successes(assume));
            pairs.filter(|[_, count]| *count > 0.0).collect()
        };
        experiments.iter().map(of).collect()
    };
    let percent = |assume| {
        let found = proportion(&pairs(assume), level).ok_or(SINGLE)?;
        Ok(Interval { low: 100.0 * found.low, high: 100.0 * found.high, ..found })
    };
    let known = pairs(Assume::Nothing);
    let [won, count] = super::interval::total(&known);
    let instances = known.iter().map(Vec::len).sum::<usize>();
    let episodes = || experiments.iter().flat_map(|each| &each.instances).flat_map(|each| &each.epochs);
    let interval = if instances == 0 {
        Err(NOTHING)
    } else if episodes().all(|episode| episode.fate == Fate::Scored) {
        percent(Assume::Nothing)
    } else {
        outer(percent(Assume::Worst), percent(Assume::Best))
    };
    Figure { value: 100.0 * won / count, interval, instances: u32::try_from(instances).unwrap_or(u32::MAX) }
}

/// Of the epochs of each instance; those without a result did not succeed.
fn passes(experiments: &[&Experiment], settings: &Settings, name: &str, memory: &Memory) -> Vec<PassAt> {
    let instances = || experiments.iter().flat_map(|each| &each.instances);
    let is_measured = instances().any(|each| each.successes(Assume::Nothing)[1] > 0.0);
    let fewest = instances().map(|each| each.epochs.len()).min().unwrap_or_default();
    if fewest < 2 || !is_measured {
        return Vec::new();
    }
    let successes: Strata = experiments
        .iter()
        .map(|each| each.instances.iter().map(|instance| instance.successes(Assume::Worst)).collect())
        .collect();
    let figure = |k: u32, any: bool| {
        let shares = pass(&successes, k, any);
        let [sum, count] = super::interval::total(&shares);
        let name = format!("{name}/pass{k}{any}");
        let mut hash = memory.hash("pass", settings);
        hash.bytes(name.as_bytes());
        for stratum in &shares {
            hash.number(stratum.len() as u64);
            stratum.iter().flatten().for_each(|value| hash.value(*value));
        }
        let compute = || [mean(&shares, Some([0.0, 1.0]), settings, &name).ok_or(SINGLE)];
        let [found] = memory.recall(hash.key(), compute);
        let percent = |each: Interval| Interval { low: 100.0 * each.low, high: 100.0 * each.high, ..each };
        let instances = u32::try_from(instances().count()).unwrap_or(u32::MAX);
        Figure { value: 100.0 * sum / count, interval: found.map(percent), instances }
    };
    let epochs = u32::try_from(fewest).unwrap_or(u32::MAX);
    reported(epochs).into_iter().map(|k| PassAt { k, any: figure(k, true), all: figure(k, false) }).collect()
}

fn cell(
    name: &str,
    experiments: &[&Experiment],
    found: &Assessed,
    settings: &Settings,
    names: &[&str],
    memory: &Memory,
) -> Cell {
    let instances: Vec<&Instance> = experiments.iter().flat_map(|each| &each.instances).collect();
    let episodes: Vec<&Episode> = instances.iter().flat_map(|each| &each.epochs).collect();
    let count = |is: &dyn Fn(&Episode) -> bool| {
        u32::try_from(episodes.iter().filter(|each| is(each)).count()).unwrap_or(u32::MAX)
    };
    let of = |fate: Fate| count(&|each: &Episode| each.counted_as() == fate);
    let mains = || episodes.iter().map(|each| each.main).filter(|main| !main.is_nan());
    let epochs = instances.iter().map(|each| each.epochs.len()).max().unwrap_or_default();
    let points: Vec<Vec<Vec<f64>>> = experiments
        .iter()
        .map(|each| {
            let of = |instance: &Instance| {
                let points = instance.epochs.iter().map(Episode::points);
                points.filter(|each| !each.is_nan()).collect::<Vec<_>>()
            };
            each.instances.iter().map(of).collect()
        })
        .collect();
    Cell {
        name: name.to_owned(),
        counts: [
            of(Fate::Scored),
            count(&|each| each.has_outcome() && each.played > 0.5),
            count(&|each| each.has_outcome() && each.lost > 0.5),
            of(Fate::Limit),
            of(Fate::Error),
            of(Fate::Missing),
            of(Fate::Unscored),
        ],
        without_outcome: count(&|each| each.fate == Fate::Scored && !each.has_outcome()),
        level: settings.level,
        instances: u32::try_from(instances.len()).unwrap_or(u32::MAX),
        epochs: u32::try_from(epochs).unwrap_or(u32::MAX),
        played: found.figure(0),
        quality: found.figure(1),
        clemscore: found.figure(2),
        success: success(experiments, settings.level),
        range: mains()
            .next()
            .map(|_| [mains().fold(f64::INFINITY, f64::min), mains().fold(f64::NEG_INFINITY, f64::max)]),
        variance: variance(&points),
        pass: passes(experiments, settings, &names.join("/"), memory),
        experiments: Vec::new(),
    }
}

fn game(model: &str, game: &Game, settings: &Settings, memory: &Memory) -> (Cell, Assessed) {
    let names = [game.name.as_str(), model];
    let all: Vec<&Experiment> = game.experiments.iter().collect();
    let found = assess(&all, settings, &names, memory);
    let mut whole = cell(&game.name, &all, &found, settings, &names, memory);
    for experiment in &game.experiments {
        let names = [game.name.as_str(), model, experiment.name.as_str()];
        let one = [experiment];
        let own =
            if game.experiments.len() == 1 { None } else { Some(assess(&one, settings, &names, memory)) };
        whole.experiments.push(cell(
            &experiment.name,
            &one,
            own.as_ref().unwrap_or(&found),
            settings,
            &names,
            memory,
        ));
    }
    (whole, found)
}

fn model(model: &Model, settings: &Settings, evaluation: &Evaluation) -> ModelReport {
    let level_of = |game: &Game| evaluation.level_of(&game.name, &model.name).unwrap_or(settings.level);
    let memory = &evaluation.memory;
    let of_game =
        |each: &Game| game(&model.name, each, &Settings { level: level_of(each), ..*settings }, memory);
    let (games, found): (Vec<Cell>, Vec<Assessed>) = model.games.iter().map(of_game).unzip();
    let level = games.iter().map(|each| each.level).fold(0.0, f64::max);
    let settings = Settings { level, ..*settings };
    let known: Vec<&Assumed> = found.iter().map(|each| &each.known).collect();
    let of_known = overall(&known, &settings, memory);
    let extreme = |at: usize| {
        found
            .iter()
            .map(|each| each.extremes.as_ref().map_or(&each.known, |ends| &ends[at]))
            .collect::<Vec<_>>()
    };
    let is_complete = found.iter().all(|each| each.extremes.is_none());
    let ends = (!is_complete).then(|| [0, 1].map(|at| overall(&extreme(at), &settings, memory)));
    let figure = |which: usize| {
        let (value, interval) = of_known[which];
        let interval = ends.as_ref().map_or(interval, |[worst, best]| outer(worst[which].1, best[which].1));
        let instances = known.iter().map(|each| each.instances(if which == 1 { 3 } else { 1 })).sum();
        Figure { value, interval, instances }
    };
    let [played, quality, clemscore] = [0, 1, 2].map(figure);
    ModelReport { name: model.name.clone(), level, played, quality, clemscore, games }
}

/// The figures of all models, by name.
pub(in crate::results) fn report(evaluation: &Evaluation, settings: &Settings) -> Vec<ModelReport> {
    cells(evaluation).iter().map(|each| model(each, settings, evaluation)).collect()
}
