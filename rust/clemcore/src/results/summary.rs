//! `results.json`: the numbers of the table with the counts behind them, for programs.
use super::mean::round;
use super::rows::Evaluation;
use super::statistics::{Cell, Settings, json as figures, report};
use super::table::{average, bounds, deviation, groups, percent, quality, sorted};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The version of the format.
const VERSION: u32 = 1;

pub(super) fn json(evaluation: &Evaluation, settings: &Settings) -> String {
    let groups = groups(evaluation);
    let reports = report(evaluation, settings);
    let unknown = &evaluation.unknown;
    // A game whose scores have other names is in no group.
    let number = |name: &str| evaluation.names.find(name);
    let reported =
        reports.iter().flat_map(|model| model.games.iter().map(move |game| (&game.name, &model.name)));
    let keys: BTreeSet<(u32, u32)> = reported
        .filter_map(|(game, model)| Some((number(game)?, number(model)?)))
        .chain(groups.keys().copied())
        .chain(unknown.keys().copied())
        .collect();
    let mut models = Map::new();
    for model in sorted(evaluation, keys.iter().map(|(_, model)| *model)) {
        let name = evaluation.names.name(model);
        let report = reports.iter().find(|each| each.name == name);
        let games = sorted(evaluation, keys.iter().filter(|(_, of)| *of == model).map(|(game, _)| *game));
        let [played, score] = average(&groups, &games, model);
        let mut total = [0; COUNTS.len()];
        let mut without_outcome = 0;
        let mut cells = Map::new();
        for game in &games {
            let group = groups.get(&(*game, model)).copied().unwrap_or_default();
            let name = evaluation.names.name(*game);
            let found = report.and_then(|report| report.games.iter().find(|each| each.name == name));
            let counts = counts(found.map_or([0; 7], |found| found.counts));
            for (sum, count) in total.iter_mut().zip(counts) {
                *sum += count;
            }
            without_outcome += found.map_or(0, |found| found.without_outcome);
            let main = group[1].as_ref();
            let mut cell = Map::new();
            cell.insert("counts".into(), named(counts).into());
            cell.insert("played_percent".into(), json!(group[0].as_ref().map(percent)));
            cell.insert("quality_score".into(), json!(main.map(quality)));
            cell.insert("quality_score_std".into(), json!(main.map(deviation)));
            if let Some(found) = found {
                cell.append(&mut figures::of_cell(found));
                cell.insert("experiments".into(), experiments(found).into());
            }
            cells.insert(name.to_owned(), cell.into());
        }
        let limits = bounds(&groups, unknown, model);
        // The table is that of 3.7.2 if scores do not say whether an episode was played. So it has no bounds then.
        let is_complete = limits.is_none() && without_outcome == 0;
        models.insert(
            name.to_owned(),
            json!({
                "clemscore": if is_complete { round(played / 100.0 * score) } else { f64::NAN },
                "clemscore_without_missing": round(played / 100.0 * score),
                "bounds": limits,
                "is_complete": is_complete,
                "counts": named(total),
                "average_played_percent": played,
                "average_quality_score": score,
                "intervals": report.map(figures::of_model),
                "games": cells,
            }),
        );
    }
    let whole = json!({"version": VERSION, "statistics": figures::of_settings(settings), "models": models});
    let mut text = serde_json::to_string_pretty(&whole).unwrap_or_default();
    text.push('\n');
    text
}

const COUNTS: [&str; 8] = ["planned", "played", "aborted", "lost", "limit", "error", "missing", "unscored"];

/// The counts of a cell. Those that were lost are among the played ones.
fn counts([scored, played, lost, limit, error, missing, unscored]: [u32; 7]) -> [u32; COUNTS.len()] {
    let planned = scored + limit + error + missing + unscored;
    [planned, played, scored.saturating_sub(played), lost, limit, error, missing, unscored]
}

fn experiments(game: &Cell) -> Map<String, Value> {
    game.experiments
        .iter()
        .map(|each| (each.name.clone(), figures::of_experiment(each, named(counts(each.counts)).into())))
        .collect()
}

fn named(counts: [u32; COUNTS.len()]) -> Map<String, Value> {
    COUNTS.into_iter().zip(counts).map(|(name, count)| (name.to_owned(), count.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Episode, Fate, Options};
    use super::*;

    const SCORED: [&str; 3] = [
        r#"{"Aborted": 0, "Lose": 0, "Main Score": 80}"#,
        r#"{"Aborted": 0, "Lose": 1, "Main Score": 40}"#,
        r#"{"Aborted": 1, "Lose": 0, "Main Score": NaN}"#,
    ];

    const EPISODE: Episode<'_> = Episode { game: "taboo", model: "a", experiment: "e", episode: "x" };

    fn evaluation_of<'t>(scores: impl Iterator<Item = &'t str>) -> Evaluation {
        let mut evaluation = Evaluation::default();
        for (number, scores) in scores.enumerate() {
            let episode = Episode { episode: &number.to_string(), ..EPISODE };
            evaluation.add(episode, format!("{{\"episode scores\": {scores}}}").as_bytes()).unwrap();
        }
        evaluation.count_played();
        evaluation
    }

    fn evaluation() -> Evaluation {
        evaluation_of(SCORED.into_iter())
    }

    #[test]
    fn every_episode_is_in_one_count() {
        let mut evaluation = evaluation();
        for (fate, count) in [(Fate::Error, 1), (Fate::Limit, 2), (Fate::Missing, 3), (Fate::Unscored, 4)] {
            for _ in 0..count {
                evaluation.note_unknown(EPISODE, fate);
            }
        }
        let found: Value = serde_json::from_str(&evaluation.json(&Settings::default())).unwrap();
        let counts = &found["models"]["a"]["games"]["taboo"]["counts"];
        let wanted = json!({"planned": 13, "played": 2, "aborted": 1, "lost": 1, "limit": 2, "error": 1, "missing": 3,
            "unscored": 4});
        assert_eq!(counts, &wanted);
        assert_eq!(&found["models"]["a"]["counts"], &wanted);
        assert_eq!(found["models"]["a"]["clemscore"], Value::Null);
    }

    #[test]
    fn scores_that_do_not_say_whether_an_episode_was_played_are_counted() {
        let json = |scores: &[&str]| -> Value {
            let evaluation = evaluation_of(scores.iter().copied());
            serde_json::from_str(&evaluation.json(&Settings::default())).unwrap()
        };
        let played = r#"{"Aborted": 0, "Main Score": 80}"#;
        for odd in [
            "{}",
            r#"{"x": 1}"#,
            r#"{"Main Score": 40}"#,
            r#"{"Aborted": null}"#,
            r#"{"Aborted": 2, "Main Score": 9}"#,
        ] {
            let found = &json(&[played, odd, odd])["models"]["a"];
            let [planned, of_played, aborted, unscored] =
                ["planned", "played", "aborted", "unscored"].map(|name| found["counts"][name].as_u64());
            assert_eq!([planned, of_played, aborted, unscored], [3, 1, 0, 2].map(Some), "{odd}");
            assert_eq!([&found["is_complete"], &found["clemscore"]], [&json!(false), &Value::Null]);
            assert_eq!(found["games"]["taboo"]["without_outcome"], 2);
            assert_eq!(found["games"]["taboo"]["clemscore"], Value::Null);
        }
        let none = &json(&[r#"{"Main Score": 40}"#; 3])["models"]["a"];
        assert_eq!(none["counts"]["planned"], 3);
        assert_eq!(none["intervals"]["clemscore"]["note"], "no scores");
        let empty = &json(&[r#"{"Aborted": 0, "Main Score": null}"#; 3])["models"]["a"];
        assert_eq!(empty["intervals"]["clemscore"]["note"], "no scores");
    }

    #[test]
    fn an_incomplete_clemscore_has_bounds_that_no_result_leaves() {
        let complete = evaluation().table(Options::default());
        assert_eq!(complete.columns[..2], ["-, clemscore", "all, Average % Played"]);
        let mut incomplete = evaluation();
        incomplete.note_unknown(EPISODE, Fate::Error);
        let table = incomplete.table(Options::default());
        assert_eq!(table.columns[1], "-, clemscore (lower bound)");
        assert!(table.cells[0][0].is_nan());
        // 2 of 4 played, (80 + 40 + 0) / 3; 3 of 4 played, (80 + 40 + 100) / 3.
        assert_eq!(table.cells[0][1..3], [20.0, 55.0]);
        let ignoring = incomplete.table(Options { ignore_missing: true, ..Options::default() });
        assert_eq!(ignoring.cells, complete.cells);
        for outcome in [r#"{"Aborted": 1, "Main Score": null}"#, r#"{"Aborted": 0, "Main Score": 0}"#] {
            let played = evaluation_of(SCORED.into_iter().chain([outcome])).table(Options::default());
            assert!((20.0..=55.0).contains(&played.cells[0][0]), "{}", played.cells[0][0]);
        }
    }

    #[test]
    fn a_model_without_any_score_has_a_row() {
        let mut evaluation = evaluation();
        for _ in 0..2 {
            evaluation.note_unknown(Episode { model: "b", ..EPISODE }, Fate::Missing);
        }
        let table = evaluation.table(Options::default());
        assert_eq!(table.models, ["a", "b"]);
        assert_eq!(table.cells[1][1..3], [0.0, 100.0]);
        assert!(table.cells[0][1].is_nan());
    }
}
