//! The rows of `raw.csv`: one for each metric of each episode.
use super::csv::Records;
use super::episodes::{Episode, Fate, Refusal, Unknown};
use super::ledger::Ledger;
use super::names::Names;
use super::statistics::{
    ComparisonReport, Memory, ModelReport, Settings, compare, json, report as statistics_report,
};
use super::summary;
use super::table::{self, Options, Table};
use super::value::Score;
use super::{ABORTED, MAIN_SCORE, PLAYED, scores};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const HEADER: &str = ",game,model,experiment,episode,metric,value";
/// How much of a text is shown.
const SHOWN: usize = 40;

#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Game, model, experiment, episode and metric, by number.
    pub(super) names: [u32; 5],
    pub(super) score: Score,
}

/// Scores of episodes, in the order in which they came.
#[derive(Debug, Default)]
pub struct Evaluation {
    pub(super) names: Names,
    pub(super) rows: Vec<Row>,
    /// By game and model.
    pub(super) unknown: BTreeMap<(u32, u32), Unknown>,
    /// The episodes that are counted there.
    pub(super) without: Vec<([u32; 4], Fate)>,
    /// Levels of intervals that differ from the others, by game and model.
    levels: BTreeMap<(u32, u32), f64>,
    pub(super) memory: Memory,
    pub(super) ledger: Ledger,
    /// Where the rows of each episode begin and end.
    pub(super) spans: Vec<[usize; 2]>,
    /// How many rows come from an earlier `raw.csv`.
    kept: usize,
}

impl Evaluation {
    /// Adds the scores of one episode, the content of its `scores.json`.
    ///
    /// # Errors
    /// Why nothing was added.
    pub fn add(&mut self, episode: Episode<'_>, bytes: &[u8]) -> Result<(), Refusal> {
        let scores = scores::read(bytes).map_err(Refusal::Unreadable)?;
        if scores.iter().any(|(name, _)| name == PLAYED) {
            return Err(Refusal::Played);
        }
        for (name, score) in &scores {
            if let (true, Score::Text(text)) = (name == ABORTED || name == MAIN_SCORE, score)
                && score.number().is_none()
            {
                return Err(Refusal::Text(name.clone(), text.chars().take(SHOWN).collect()));
            }
        }
        let start = self.rows.len();
        for (name, score) in scores {
            self.push(episode, &name, score);
        }
        if self.rows.len() == start {
            // Without a row, it would be in no count.
            let Episode { game, model, experiment, episode } = episode;
            let key = [game, model, experiment, episode].map(|name| self.names.number(name));
            self.without.push((key, Fate::Scored));
        }
        self.spans.push([start, self.rows.len()]);
        Ok(())
    }

    fn push(&mut self, episode: Episode<'_>, metric: &str, score: Score) {
        let Episode { game, model, experiment, episode } = episode;
        let names = [game, model, experiment, episode, metric].map(|name| self.names.number(name));
        self.rows.push(Row { names, score });
    }

    /// Adds one row, of any metric.
    pub fn add_row(&mut self, episode: Episode<'_>, metric: &str, value: f64) {
        self.push(episode, metric, Score::Float(value));
    }

    /// Notes an episode that has no scores.
    pub fn note_unknown(&mut self, episode: Episode<'_>, fate: Fate) {
        let Episode { game, model, experiment, episode } = episode;
        let key = [game, model, experiment, episode].map(|name| self.names.number(name));
        if fate == Fate::Scored {
            return;
        }
        let unknown = self.unknown.entry((key[0], key[1])).or_default();
        match fate {
            Fate::Scored => {}
            Fate::Error => unknown.error += 1,
            Fate::Limit => unknown.limit += 1,
            Fate::Missing => unknown.missing += 1,
            Fate::Unscored => unknown.unscored += 1,
        }
        self.without.push((key, fate));
    }

    /// Sets the level of the intervals of a game and model. A cell that stopped early was looked at several times, so
    /// each of its intervals needs a higher level.
    pub fn set_level(&mut self, game: &str, model: &str, level: f64) {
        let key = (self.names.number(game), self.names.number(model));
        self.levels.insert(key, level);
    }

    pub(super) fn level_of(&self, game: &str, model: &str) -> Option<f64> {
        self.levels.get(&(self.names.find(game)?, self.names.find(model)?)).copied()
    }

    /// Keeps the rows of an earlier `raw.csv`, without those that will be replaced.
    ///
    /// # Arguments
    /// * `model`: replaced are rows of models with this text in their name.
    /// * `game`: and of this game.
    ///
    /// # Errors
    /// What is wrong with the file, to be read after its name.
    pub fn keep(&mut self, text: &[u8], model: Option<&str>, game: Option<&str>) -> Result<(), String> {
        let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())?;
        let mut records = Records::new(text);
        let header = records.next().map(|(_, fields)| fields.join(","));
        if header.as_deref() != Some(HEADER) {
            return Err(format!("does not begin with the line {HEADER:?}"));
        }
        for (line, fields) in records {
            let [_, row @ .., value] = fields.as_slice() else {
                return Err(format!("has a line without columns (line {line})"));
            };
            let [of_game, of_model, experiment, episode, metric] = row else {
                return Err(format!("has a line with {} columns instead of 7 (line {line})", fields.len()));
            };
            let is_replaced =
                model.is_none_or(|part| of_model.contains(part)) && game.is_none_or(|name| of_game == name);
            if !is_replaced {
                let episode = Episode { game: of_game, model: of_model, experiment, episode };
                self.push(episode, metric, Score::read(value));
            }
        }
        self.kept = self.rows.len();
        Ok(())
    }

    /// Adds a row "Played" for each new row "Aborted"; comes after all episodes.
    pub fn count_played(&mut self) {
        let Some(aborted) = self.names.find(ABORTED) else { return };
        let played = self.names.number(PLAYED);
        let new = &self.rows[self.kept..];
        let (texts_from, has_floats) = column(new);
        let rows: Vec<Row> = new
            .iter()
            .enumerate()
            .filter(|(_, row)| row.names[4] == aborted)
            .map(|(index, row)| {
                let [game, model, experiment, episode, _] = row.names;
                let score = row.score.complement(has_floats && index < texts_from);
                Row { names: [game, model, experiment, episode, played], score }
            })
            .collect();
        self.rows.extend(rows);
        self.kept = self.rows.len();
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A part of `raw.csv`; the part from 0 on begins with the header.
    #[must_use]
    pub fn raw_csv(&self, start: usize, count: usize) -> String {
        let end = self.rows.len().min(start.saturating_add(count));
        let mut out = String::with_capacity(80 * end.saturating_sub(start));
        if start == 0 {
            out.push_str(HEADER);
            out.push('\n');
        }
        let (texts_from, has_floats) = column(&self.rows);
        for (index, row) in self.rows.iter().enumerate().take(end).skip(start) {
            let _ = write!(out, "{index},");
            for name in row.names {
                out.push_str(self.names.field(name));
                out.push(',');
            }
            row.score.write(has_floats && index < texts_from, &mut out);
            out.push('\n');
        }
        out
    }

    /// `results.json`: what the table shows, with the counts behind each number, and its interval.
    #[must_use]
    pub fn json(&self, settings: &Settings) -> String {
        summary::json(self, settings)
    }

    /// Takes intervals of an earlier evaluation, to be used where nothing changed; tells whether they can be used.
    pub fn remember(&mut self, bytes: &[u8]) -> bool {
        self.memory.read(bytes)
    }

    /// The intervals of the figures that were computed, for a later evaluation.
    #[must_use]
    pub fn remembered(&self) -> Vec<u8> {
        self.memory.bytes()
    }

    /// All pairs of models on the instances that both played, as JSON.
    #[must_use]
    pub fn comparison_json(&self, settings: &Settings) -> String {
        json::of_comparison(&self.comparison(settings), settings)
    }

    /// All pairs of models on the instances that both played.
    #[must_use]
    pub fn comparison(&self, settings: &Settings) -> ComparisonReport {
        compare(self, settings)
    }

    /// The figures of each model, game and experiment with their intervals, by name.
    #[must_use]
    pub fn statistics(&self, settings: &Settings) -> Vec<ModelReport> {
        statistics_report(self, settings)
    }

    /// The table of all models and games.
    #[must_use]
    pub fn table(&self, options: Options) -> Table {
        table::make(self, options)
    }
}

/// The first row with a text, and whether there is a float before it.
///
/// As in pandas, the numbers of a column have one type until the first text comes.
fn column(rows: &[Row]) -> (usize, bool) {
    let is_text = |row: &Row| matches!(row.score, Score::Text(_));
    let texts_from = rows.iter().position(is_text).unwrap_or(rows.len());
    let has_floats = rows[..texts_from].iter().any(|row| matches!(row.score, Score::Float(_)));
    (texts_from, has_floats)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPISODE: Episode<'_> = Episode { game: "taboo", model: "a", experiment: "e", episode: "i" };

    fn evaluation(scores: &[&str]) -> Evaluation {
        let mut evaluation = Evaluation::default();
        for scores in scores {
            let text = format!("{{\"episode scores\": {scores}}}");
            evaluation.add(EPISODE, text.as_bytes()).unwrap();
        }
        evaluation
    }

    fn values(evaluation: &Evaluation) -> Vec<String> {
        let text = evaluation.raw_csv(0, usize::MAX);
        text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn numbers_have_one_type_until_the_first_text() {
        assert_eq!(values(&evaluation(&[r#"{"a": 1, "b": 2}"#])), ["1", "2"]);
        assert_eq!(values(&evaluation(&[r#"{"a": 1, "b": 2.5}"#, r#"{"a": true}"#])), ["1.0", "2.5", "1.0"]);
        assert_eq!(values(&evaluation(&[r#"{"a": 1, "b": NaN}"#])), ["1.0", ""]);
        let mixed = evaluation(&[r#"{"a": 1, "b": 2.0, "c": "won", "d": 3}"#]);
        assert_eq!(values(&mixed), ["1.0", "2.0", "won", "3"]);
        let mut played = evaluation(&[r#"{"Aborted": 1, "a": 0.5}"#, r#"{"a": "won", "Aborted": 1}"#]);
        played.count_played();
        assert_eq!(values(&played), ["1.0", "0.5", "won", "1", "0.0", "0"]);
    }

    #[test]
    fn played_comes_last_and_only_for_new_episodes() {
        let mut first =
            evaluation(&[r#"{"Aborted": 1, "Main Score": NaN}"#, r#"{"Aborted": 0, "Main Score": 5}"#]);
        first.count_played();
        let text = first.raw_csv(0, usize::MAX);
        assert!(text.ends_with("4,taboo,a,e,i,Played,0.0\n5,taboo,a,e,i,Played,1.0\n"));
        let mut second = Evaluation::default();
        second.keep(text.as_bytes(), Some("b"), None).unwrap();
        second.count_played();
        assert_eq!(second.raw_csv(0, usize::MAX), text);
        let mut third = Evaluation::default();
        third.keep(text.as_bytes(), Some("a"), Some("taboo")).unwrap();
        assert!(third.is_empty());
    }

    #[test]
    fn parts_of_the_file_give_the_file() {
        let evaluation = evaluation(&[r#"{"a": 1, "b": 2, "c": 3}"#]);
        let parts: String = (0..2).map(|part| evaluation.raw_csv(part * 2, 2)).collect();
        assert_eq!(parts, evaluation.raw_csv(0, usize::MAX));
    }

    #[test]
    fn what_cannot_be_averaged_is_refused() {
        let mut evaluation = Evaluation::default();
        let mut add =
            |scores: &str| evaluation.add(EPISODE, scores.as_bytes()).map_err(|why| why.to_string());
        assert!(add(r#"{"episode scores": {"Main Score": "won"}}"#).unwrap_err().contains("text"));
        assert!(add(r#"{"episode scores": {"Played": 1}}"#).unwrap_err().contains("computes itself"));
        assert_eq!(add(r#"{"episode scores": {"Main Score": "5.5"}}"#), Ok(()));
        assert_eq!(evaluation.len(), 1);
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused() {
        let mut evaluation = Evaluation::default();
        assert!(evaluation.keep(b"a,b\n1,2\n", None, None).is_err());
        assert!(evaluation.keep(format!("{HEADER}\n0,a,b\n").as_bytes(), None, None).is_err());
    }
}
