//! The episodes of an evaluation, by model, game, experiment and instance, in the order of their names.
use super::super::episodes::Fate;
use super::super::rows::Evaluation;
use super::super::{LOSE, MAIN_SCORE, PLAYED, SUCCESS};
use std::collections::HashMap;

/// The best main score.
pub(super) const BEST: f64 = 100.0;
/// What an instance adds to a cell: episodes played, episodes, the sum of main scores, and how many those are.
pub(super) type Sums = [f64; 4];

/// What is known of one episode; a figure that is not known is NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Episode {
    pub(super) fate: Fate,
    pub(super) played: f64,
    pub(super) main: f64,
    pub(super) lost: f64,
    pub(super) success: f64,
}

/// What is assumed of episodes that have no scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assume {
    /// They are left out.
    Nothing,
    /// They are aborted, and played with a score of 0.
    Worst,
    /// They are played with the best score.
    Best,
}

impl Episode {
    fn without(fate: Fate) -> Self {
        Self { fate, played: f64::NAN, main: f64::NAN, lost: f64::NAN, success: f64::NAN }
    }

    /// Whether scores say if it was played: "Aborted" may be missing, or not be from 0 to 1.
    pub(super) fn has_outcome(&self) -> bool {
        (0.0..=1.0).contains(&self.played)
    }

    /// What it counts as: one with scores that do not say whether it was played counts as not scored.
    pub(super) fn counted_as(&self) -> Fate {
        if self.fate == Fate::Scored && !self.has_outcome() { Fate::Unscored } else { self.fate }
    }

    fn is_known(&self) -> bool {
        self.fate == Fate::Scored
    }

    fn sums(&self, assume: Assume) -> Sums {
        let or_none = |number: f64| if number.is_nan() { [0.0, 0.0] } else { [number, 1.0] };
        match (self.is_known(), assume) {
            (false, Assume::Nothing) => [0.0; 4],
            (false, Assume::Worst) => [0.0, 1.0, 0.0, 1.0],
            (false, Assume::Best) => [1.0, 1.0, BEST, 1.0],
            (true, _) => {
                let [[played, episodes], [main, mains]] = [or_none(self.played), or_none(self.main)];
                [played, episodes, main, mains]
            }
        }
    }

    fn successes(&self, assume: Assume) -> [f64; 2] {
        match (self.is_known(), assume) {
            (false, Assume::Nothing) => [0.0, 0.0],
            (false, Assume::Worst) => [0.0, 1.0],
            (false, Assume::Best) => [1.0, 1.0],
            (true, _) if self.success.is_nan() => [0.0, 0.0],
            (true, _) => [self.success, 1.0],
        }
    }

    /// The main score, and 0 for an aborted episode; NaN if it is not known.
    pub(super) fn points(&self) -> f64 {
        if self.played == 0.0 { 0.0 } else { self.main }
    }
}

/// An instance and its epochs.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) epochs: Vec<Episode>,
}

fn add<const N: usize>(numbers: impl Iterator<Item = [f64; N]>) -> [f64; N] {
    numbers.fold([0.0; N], |mut sum, each| {
        sum.iter_mut().zip(each).for_each(|(sum, number)| *sum += number);
        sum
    })
}

impl Instance {
    pub(super) fn sums(&self, assume: Assume) -> Sums {
        add(self.epochs.iter().map(|episode| episode.sums(assume)))
    }

    pub(super) fn successes(&self, assume: Assume) -> [f64; 2] {
        add(self.epochs.iter().map(|episode| episode.successes(assume)))
    }
}

/// The instances of an experiment.
#[derive(Debug, Default)]
pub(super) struct Experiment {
    pub(super) name: String,
    pub(super) instances: Vec<Instance>,
}

/// The experiments of a game.
#[derive(Debug, Default)]
pub(super) struct Game {
    pub(super) name: String,
    pub(super) experiments: Vec<Experiment>,
}

/// The games of a model.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) games: Vec<Game>,
}

/// The parts of an episode's name: the epoch, if there are several, and the instance.
fn parts(episode: &str) -> (&str, &str) {
    episode.rsplit_once('/').unwrap_or(("", episode))
}

/// All episodes, those without scores included.
pub(super) fn cells(evaluation: &Evaluation) -> Vec<Model> {
    let names = &evaluation.names;
    let mut found = episodes(evaluation);
    let text = |number: u32| names.name(number);
    found.sort_by_cached_key(|([game, model, experiment, episode], _)| {
        let (epoch, instance) = parts(text(*episode));
        [text(*model), text(*game), text(*experiment), instance, epoch]
    });
    let mut models: Vec<Model> = Vec::new();
    for ([game, model, experiment, episode], what) in found {
        let model = last(&mut models, text(model), |known| &known.name, |name| Model { name, games: vec![] });
        let game = last(
            &mut model.games,
            text(game),
            |known| &known.name,
            |name| Game { name, experiments: vec![] },
        );
        let make = |name| Experiment { name, instances: vec![] };
        let experiment = last(&mut game.experiments, text(experiment), |known| &known.name, make);
        let make = |name| Instance { name, epochs: vec![] };
        let instance = last(&mut experiment.instances, parts(text(episode)).1, |known| &known.name, make);
        instance.epochs.push(what);
    }
    models
}

/// The last item if it has this name, and else a new one.
fn last<'a, T>(
    items: &'a mut Vec<T>,
    name: &str,
    of: fn(&T) -> &String,
    make: impl Fn(String) -> T,
) -> &'a mut T {
    let at = match items.last() {
        Some(item) if of(item) == name => items.len() - 1,
        _ => {
            items.push(make(name.to_owned()));
            items.len() - 1
        }
    };
    &mut items[at]
}

fn episodes(evaluation: &Evaluation) -> Vec<([u32; 4], Episode)> {
    let metrics = [PLAYED, MAIN_SCORE, LOSE, SUCCESS].map(|name| evaluation.names.find(name));
    let mut found: Vec<([u32; 4], Episode)> = Vec::new();
    let mut places: HashMap<[u32; 4], usize> = HashMap::new();
    let mut at = usize::MAX;
    for row in &evaluation.rows {
        let [game, model, experiment, episode, metric] = row.names;
        let key = [game, model, experiment, episode];
        if found.get(at).is_none_or(|(known, _)| *known != key) {
            at = *places.entry(key).or_insert_with(|| {
                found.push((key, Episode::without(Fate::Scored)));
                found.len() - 1
            });
        }
        // An episode counts whatever its scores are called.
        let Some(which) = metrics.iter().position(|known| *known == Some(metric)) else { continue };
        let number = row.score.number().unwrap_or(f64::NAN);
        if let Some((_, episode)) = found.get_mut(at) {
            match which {
                0 => episode.played = number,
                1 => episode.main = number,
                2 => episode.lost = number,
                _ => episode.success = number,
            }
        }
    }
    found.extend(evaluation.without.iter().map(|(key, fate)| (*key, Episode::without(*fate))));
    found
}
