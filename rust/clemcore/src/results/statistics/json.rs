//! Figures and their intervals as JSON, for `results.json`.
use super::{Cell, ComparisonReport, Difference, Figure, ModelReport, PassAt, Settings};
use serde_json::{Map, Value, json};

/// Four decimals are more than any interval means.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// An interval: `low`, `high`, `method`, `instances`, and a `note` if there is none.
fn interval(figure: &Figure) -> Value {
    let Figure { instances, .. } = *figure;
    match figure.interval {
        Ok(found) => json!({
            "low": rounded(found.low),
            "high": rounded(found.high),
            "method": found.method.name(),
            "instances": instances,
            "note": null,
            "caution": found.caution,
        }),
        Err(note) => json!({
            "low": null, "high": null, "method": null, "instances": instances, "note": note, "caution": null,
        }),
    }
}

fn with_value(figure: &Figure) -> Value {
    let mut whole = interval(figure);
    whole["value"] = rounded(figure.value).into();
    whole
}

fn pass(found: &PassAt) -> Value {
    json!({"k": found.k, "any": with_value(&found.any), "all": with_value(&found.all)})
}

/// The intervals of a model.
pub(in crate::results) fn of_model(model: &ModelReport) -> Value {
    json!({
        "level": model.level,
        "clemscore": interval(&model.clemscore),
        "average_played_percent": interval(&model.played),
        "average_quality_score": interval(&model.quality),
    })
}

/// What is added to the cell of a game.
pub(in crate::results) fn of_cell(cell: &Cell) -> Map<String, Value> {
    let mut found = Map::new();
    found.insert("instances".into(), cell.instances.into());
    found.insert("epochs".into(), cell.epochs.into());
    found.insert("level".into(), cell.level.into());
    let is_complete = cell.counts[3..].iter().all(|count| *count == 0);
    let clemscore = rounded(cell.clemscore.value);
    found.insert("clemscore".into(), if is_complete { clemscore } else { f64::NAN }.into());
    found.insert("clemscore_without_missing".into(), clemscore.into());
    found.insert("without_outcome".into(), cell.without_outcome.into());
    found.insert("success_percent".into(), rounded(cell.success.value).into());
    found.insert("main_score_range".into(), json!(cell.range));
    found.insert(
        "intervals".into(),
        json!({
            "clemscore": interval(&cell.clemscore),
            "played_percent": interval(&cell.played),
            "quality_score": interval(&cell.quality),
            "success_percent": interval(&cell.success),
        }),
    );
    if let Some(variance) = cell.variance {
        let [within, between] = [variance.within, variance.between].map(rounded);
        found.insert("variance".into(), json!({"within_instances": within, "between_instances": between}));
    }
    if !cell.pass.is_empty() {
        found.insert("pass_at".into(), cell.pass.iter().map(pass).collect());
    }
    found
}

/// An experiment of a game.
pub(in crate::results) fn of_experiment(cell: &Cell, counts: Value) -> Value {
    let mut found = Map::new();
    found.insert("counts".into(), counts);
    found.insert("played_percent".into(), rounded(cell.played.value).into());
    found.insert("quality_score".into(), rounded(cell.quality.value).into());
    found.append(&mut of_cell(cell));
    found.into()
}

/// How the intervals were computed.
pub(in crate::results) fn of_settings(settings: &Settings) -> Value {
    let Settings { level, resamples, seed } = settings;
    json!({"level": level, "resamples": resamples, "seed": seed})
}

const COUNTS: [&str; 8] = ["planned", "played", "aborted", "lost", "limit", "error", "missing", "unscored"];

/// Counts of episodes as `results.json` names them.
fn named([scored, played, lost, limit, error, missing, unscored]: [u32; 7]) -> Map<String, Value> {
    let planned = scored + limit + error + missing + unscored;
    let counts = [planned, played, scored.saturating_sub(played), lost, limit, error, missing, unscored];
    COUNTS.into_iter().zip(counts).map(|(name, count)| (name.to_owned(), count.into())).collect()
}

fn difference(found: &Difference) -> Value {
    let figure = Figure { value: found.value, interval: found.interval, instances: found.instances };
    json!({
        "game": found.game,
        "instances": found.instances,
        "left_out": found.left_out,
        "difference": rounded(found.value),
        "level": found.level,
        "interval": interval(&figure),
        "p": found.p,
        "p_holm": found.p_holm,
        "success": {
            "first_better": found.better[0],
            "second_better": found.better[1],
            "p": found.success_p,
            "p_holm": found.success_p_holm,
        },
    })
}

/// A comparison of models.
pub(in crate::results) fn of_comparison(found: &ComparisonReport, settings: &Settings) -> String {
    let models = found.models.iter().zip(&found.counts).zip(&found.ranks);
    let models: Vec<Value> = models
        .map(|((name, counts), [best, worst])| {
            json!({"name": name, "counts": named(*counts), "rank": {"best": best, "worst": worst}})
        })
        .collect();
    let pairs: Vec<Value> = found
        .pairs
        .iter()
        .map(|pair| {
            json!({
                "first": found.models[pair.first],
                "second": found.models[pair.second],
                "differences": pair.differences.iter().map(difference).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({"statistics": of_settings(settings), "models": models, "pairs": pairs}).to_string()
}
