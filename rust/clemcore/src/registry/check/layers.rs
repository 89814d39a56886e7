//! What is wrong with files only because they are loaded together.
//!
//! An entry hides those of its name in later layers: that is what layers are for. It is reported where the two are
//! different models of one backend, because results of both then stand under one name; and where an alias does not
//! count, because a later layer has a model of that name.
use super::{Checked, Context, Entry, Manner, aliases, read, text_of};
use crate::catalogue as kind;
use crate::json::Node;
use crate::report::Report;
use crate::schema::{self, Backend, Rule};
use crate::text::lines::Lines;
use std::collections::HashMap;

/// The models of later layers, by name.
#[derive(Debug, Default)]
pub(in crate::registry) struct Elsewhere {
    by_name: HashMap<String, Vec<Model>>,
}

/// Which model an entry means, and where it stands.
#[derive(Debug)]
struct Model {
    place: String,
    backend: String,
    ids: Vec<(&'static str, String)>,
}

/// Checks layers that are loaded together, earlier ones first: each by itself, and what they are to each other.
///
/// Layers of which `is_ours` says no are read for their names only.
///
/// ```
/// let here = br#"[{"model_name": "m", "backend": "openai", "model_id": "m-1"}]"#.as_slice();
/// let there = br#"[{"model_name": "m", "backend": "openai", "model_id": "m-2"}]"#.as_slice();
/// let report = clemcore::registry::check_layers(&[("here", here, true), ("there", there, false)], None);
/// assert_eq!(report.problems[0].kind.code, "R056");
/// ```
#[must_use]
pub fn check_layers(layers: &[(&str, &[u8], bool)], backends: Option<&[Backend]>) -> Report {
    let mut later = Elsewhere::default();
    let mut reports = Vec::new();
    for (at, (source, bytes, is_ours)) in layers.iter().enumerate().rev() {
        let manner = Manner { elsewhere: Some(&later), ..Manner::thorough(backends) };
        let is_first = at == 0;
        let (report, models) = read(bytes, manner, |checked| {
            // Nobody asks what the first layer has.
            let models = if is_first { Vec::new() } else { models(source, &checked) };
            (checked.faults.into_report(&(*source).into(), checked.text), models)
        });
        if *is_ours {
            reports.push(report);
        }
        for (name, model) in models {
            later.by_name.entry(name).or_default().insert(0, model);
        }
    }
    let mut whole = Report::default();
    reports.into_iter().rev().for_each(|report| whole.extend(report));
    whole
}

/// The models of a layer; of one name the last first.
fn models(source: &str, checked: &Checked<'_>) -> Vec<(String, Model)> {
    let lines = Lines::new(checked.text);
    let model = |entry: &Entry<'_>| {
        let place = lines.place(entry.span.start);
        let node = entry.node(checked.text);
        let backend = text_of(&node, "backend")?;
        let model = Model { place: format!("{source}:{}", place.line), ids: ids(&node, &backend), backend };
        Some((entry.name()?.to_owned(), model))
    };
    checked.entries.iter().rev().filter(|entry| !entry.spoiled).filter_map(model).collect()
}

/// What tells the backend which model is meant.
fn ids(entry: &Node<'_>, backend: &str) -> Vec<(&'static str, String)> {
    let needed =
        schema::ENTRY.iter().filter(|field| field.rule == Rule::Needed && field.backends.contains(&backend));
    needed.filter_map(|field| Some((field.name, entry.get(field.name)?.value.as_str()?.to_owned()))).collect()
}

/// Reports what later layers make of these entries.
pub(super) fn check<'t>(text: &'t str, entries: &[Entry<'t>], context: &mut Context<'_>) {
    let Some(later) = context.elsewhere.filter(|later| !later.by_name.is_empty()) else { return };
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.spoiled) {
        let others = entry.name().and_then(|name| later.by_name.get(name)).map_or(&[][..], Vec::as_slice);
        if others.is_empty() && !entry.aliased {
            continue;
        }
        let node = entry.node(text);
        context.turn_to(at, &node);
        same_name(&node, others, context);
        taken_aliases(&node, later, context);
    }
}

fn same_name(entry: &Node<'_>, others: &[Model], context: &mut Context<'_>) {
    let Some(backend) = context.backend.as_deref() else { return };
    let ours = ids(entry, backend);
    let differs = |other: &Model| {
        let differing =
            |(field, id): &&(&str, String)| ours.iter().any(|(name, own)| name == field && own != id);
        other.ids.iter().find(differing).map(|(field, id)| (*field, id.clone(), other.place.clone()))
    };
    let found = others.iter().filter(|other| other.backend == backend).find_map(differs);
    let Some(((field, id, place), name)) = found.zip(entry.get(crate::registry::MODEL_NAME)) else { return };
    let message =
        format_args!("{place} has the same name and backend, and another {field}: {}", aliases::shown(&id));
    context
        .at(&kind::SAME_NAME, name.value.span, message)
        .field(field)
        .help("the name alone means the model of this entry; give it a name of its own");
}

fn taken_aliases(entry: &Node<'_>, later: &Elsewhere, context: &mut Context<'_>) {
    for (place, item) in aliases::items(entry).iter().enumerate() {
        let Some(alias) = item.as_str().filter(|alias| context.model.as_deref() != Some(alias)) else {
            continue;
        };
        let Some(other) = later.by_name.get(alias).and_then(|models| models.first()) else { continue };
        let message = format_args!(
            "{} is the name of {}, and a name comes before an alias",
            aliases::shown(alias),
            other.place
        );
        context
            .at(&kind::ALIAS_TAKEN, item.span, message)
            .field(format_args!("{}[{place}]", crate::registry::ALIASES))
            .help("take it out of the list, or write an entry of that name");
    }
}
