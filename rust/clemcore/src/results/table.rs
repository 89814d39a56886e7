//! The table of results: a row for each model, two or three columns for each game, and the clemscore.
use super::episodes::Unknown;
use super::mean::{Deviation, Mean, round};
use super::rows::Evaluation;
use super::{LOSE, MAIN_SCORE, PLAYED, csv, html, value};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the columns over all games.
const ALL: &str = "all";
const CLEMSCORE: &str = "-, clemscore";
const BOUNDS: [&str; 2] = ["-, clemscore (lower bound)", "-, clemscore (upper bound)"];
/// The best main score.
const BEST: f64 = 100.0;

/// In which order the models stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By their names.
    #[default]
    Name,
    /// The best clemscore first.
    Clemscore,
}

/// What the table shows, and in which order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether there are columns with the standard deviation of the main score.
    pub deviation: bool,
    /// The order of the models.
    pub order: Order,
    /// Whether episodes without scores are left out of account, as in 3.7.2. Otherwise the clemscore of a model that
    /// has such episodes is not known, and there are bounds of it.
    pub ignore_missing: bool,
}

/// The table of results; what is not there is NaN.
#[derive(Debug)]
pub struct Table {
    /// The headings, such as `"taboo, % Played"`.
    pub columns: Vec<String>,
    /// The models, one for each row.
    pub models: Vec<String>,
    /// The rows.
    pub cells: Vec<Vec<f64>>,
}

#[derive(Default, Clone, Copy)]
pub(super) struct Group {
    pub(super) mean: Mean,
    pub(super) deviation: Deviation,
}

/// What was measured of one game and model: played (0), main score (1) and lost (2).
pub(super) type Groups = BTreeMap<(u32, u32), [Option<Group>; 3]>;

pub(super) fn groups(evaluation: &Evaluation) -> Groups {
    let metrics = [PLAYED, MAIN_SCORE, LOSE].map(|name| evaluation.names.find(name));
    let mut groups = Groups::new();
    for row in &evaluation.rows {
        let [game, model, _, _, metric] = row.names;
        let Some(which) = metrics.iter().position(|known| *known == Some(metric)) else { continue };
        let number = row.score.number().unwrap_or(f64::NAN);
        let group = groups.entry((game, model)).or_default()[which].get_or_insert_default();
        group.mean.add(number);
        group.deviation.add(number);
    }
    groups
}

/// Percentages are those of the mean, as in 3.7.2.
pub(super) fn percent(group: &Group) -> f64 {
    round(group.mean.value() * 100.0)
}

pub(super) fn quality(group: &Group) -> f64 {
    round(group.mean.value())
}

pub(super) fn deviation(group: &Group) -> f64 {
    round(group.deviation.value())
}

type Column<'a> = (String, Box<dyn Fn(u32) -> f64 + 'a>);

pub(super) fn make(evaluation: &Evaluation, options: Options) -> Table {
    let names = &evaluation.names;
    let groups = groups(evaluation);
    let none = BTreeMap::new();
    let unknown = if options.ignore_missing { &none } else { &evaluation.unknown };
    let games = sorted(evaluation, groups.keys().map(|(game, _)| *game));
    let models = sorted(evaluation, groups.keys().chain(unknown.keys()).map(|(_, model)| *model));
    let bounds: BTreeMap<u32, [f64; 2]> =
        models.iter().filter_map(|model| Some((*model, bounds(&groups, unknown, *model)?))).collect();
    let averages: BTreeMap<u32, [f64; 2]> =
        models.iter().map(|model| (*model, average(&groups, &games, *model))).collect();

    let mut columns: Vec<Column<'_>> = Vec::new();
    let mut overall: Vec<Column<'_>> = vec![
        (format!("{ALL}, Average % {PLAYED}"), Box::new(|model| averages[&model][0])),
        (format!("{ALL}, Average Quality Score"), Box::new(|model| averages[&model][1])),
    ];
    for game in &games {
        if names.name(*game) > ALL {
            columns.append(&mut overall);
        }
        columns.extend(of_game(&groups, *game, names.name(*game), options));
    }
    columns.append(&mut overall);

    let mut rows: Vec<(&str, Vec<f64>)> = models
        .iter()
        .map(|model| {
            let [played, quality] = averages[model];
            let cells = columns.iter().map(|(_, cell)| cell(*model));
            let mut row = match bounds.get(model) {
                Some([lower, upper]) => vec![f64::NAN, *lower, *upper],
                None if bounds.is_empty() => vec![round(played / 100.0 * quality)],
                None => vec![round(played / 100.0 * quality), f64::NAN, f64::NAN],
            };
            row.extend(cells);
            (names.name(*model), row)
        })
        .collect();
    if options.order == Order::Clemscore {
        // A lower bound stands for a clemscore that is not known. Those without any come last, and equal ones keep the
        // order of their names.
        let known = |row: &[f64]| if row[0].is_nan() && !bounds.is_empty() { row[1] } else { row[0] };
        let key = |row: &[f64]| Some(known(row)).filter(|score| !score.is_nan()).unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|(_, one), (_, other)| key(other).total_cmp(&key(one)));
    }
    let first = [CLEMSCORE].into_iter().chain(BOUNDS.into_iter().filter(|_| !bounds.is_empty()));
    let headings = columns.iter().map(|(name, _)| name.clone());
    Table {
        columns: first.map(str::to_owned).chain(headings).collect(),
        models: rows.iter().map(|(name, _)| (*name).to_owned()).collect(),
        cells: rows.into_iter().map(|(_, cells)| cells).collect(),
    }
}

/// Numbers of names, each once, in the order of the names.
pub(super) fn sorted(evaluation: &Evaluation, numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = numbers.collect::<BTreeSet<u32>>().into_iter().collect();
    numbers.sort_by_key(|number| evaluation.names.name(*number));
    numbers
}

/// The lowest and the highest clemscore that the episodes without scores could lead to; `None` if there are none.
///
/// For the lower bound, they lower both averages: they count as aborted, and as played with a score of 0. So no result
/// of theirs gives a lower clemscore. For the upper bound they are played with the best score.
pub(super) fn bounds(
    groups: &Groups,
    unknown: &BTreeMap<(u32, u32), Unknown>,
    model: u32,
) -> Option<[f64; 2]> {
    unknown.keys().any(|(_, of)| *of == model).then_some(())?;
    let games: BTreeSet<u32> =
        groups.keys().chain(unknown.keys()).filter(|(_, of)| *of == model).map(|(game, _)| *game).collect();
    let clemscore = |end: f64| {
        let mut means = [Mean::default(); 2];
        for game in &games {
            let count = unknown.get(&(*game, model)).map_or(0, Unknown::count);
            let group = groups.get(&(*game, model)).copied().unwrap_or_default();
            let mean = |which: usize| group[which].unwrap_or_default().mean;
            means[0].add(round(mean(0).with(count, end) * 100.0));
            means[1].add(round(mean(1).with(count, BEST * end)));
        }
        let [played, quality] = means.map(|mean| round(mean.value()));
        round(played / 100.0 * quality)
    };
    Some([clemscore(0.0), clemscore(1.0)])
}

/// The averages over games of the rounded values, which are rounded again, as in 3.7.2.
pub(super) fn average(groups: &Groups, games: &[u32], model: u32) -> [f64; 2] {
    let mut means = [Mean::default(); 2];
    for game in games {
        if let Some(group) = groups.get(&(*game, model)) {
            means[0].add(group[0].as_ref().map_or(f64::NAN, percent));
            means[1].add(group[1].as_ref().map_or(f64::NAN, quality));
        }
    }
    means.map(|mean| round(mean.value()))
}

/// The columns of a game; one that no model has a row of is not there.
fn of_game<'a>(groups: &'a Groups, game: u32, name: &str, options: Options) -> Vec<Column<'a>> {
    type Cell = fn(&Group) -> f64;
    let mut kinds: Vec<(&str, usize, Cell)> =
        vec![("% Played", 0, percent as Cell), ("Quality Score", 1, quality)];
    if options.deviation {
        kinds.push(("Quality Score (std)", 1, deviation));
    }
    let exists =
        |which: usize| groups.range((game, 0)..=(game, u32::MAX)).any(|(_, group)| group[which].is_some());
    kinds
        .into_iter()
        .filter(|(_, which, _)| exists(*which))
        .map(|(kind, which, value)| {
            let cell = move |model| {
                groups.get(&(game, model)).and_then(|group| group[which].as_ref()).map_or(f64::NAN, value)
            };
            (format!("{name}, {kind}"), Box::new(cell) as Box<dyn Fn(u32) -> f64 + 'a>)
        })
        .collect()
}

impl Table {
    /// `results.csv`.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut out = String::new();
        for column in &self.columns {
            out.push(',');
            out.push_str(&csv::field(column));
        }
        out.push('\n');
        for (model, cells) in self.models.iter().zip(&self.cells) {
            out.push_str(&csv::field(model));
            for number in cells {
                out.push(',');
                value::write_float(*number, &mut out);
            }
            out.push('\n');
        }
        out
    }

    /// `results.html`: a table without a page around it. All names are escaped.
    #[must_use]
    pub fn html(&self) -> String {
        html::table(self)
    }
}
