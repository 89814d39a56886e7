//! The schema as JSON Schema (draft 2020-12), for editors and other validators.
//!
//! Every key is described. Types are demanded where the core demands them: of keys that all backends read always, of
//! the others only in entries of the backends that read them, for a backend of one's own may mean something else.
use super::page::meaning;
use super::{ENTRY, Field, MODEL_CONFIG, REQUIRED, Rule, Type};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The schema of a registry file, as JSON text.
///
/// It says what can be said of one value at a time; duplicates, unreachable entries and secrets are beyond it.
#[must_use]
pub fn json_schema() -> String {
    let mut properties = described(MODEL_CONFIG, true);
    properties.extend(described(ENTRY, false));
    if let Some(config) = properties.get_mut("model_config").and_then(Value::as_object_mut) {
        config.insert("properties".to_owned(), Value::Object(described(MODEL_CONFIG, false)));
    }
    let entry = json!({
        "type": "object",
        "required": REQUIRED,
        "properties": properties,
        "allOf": backend_sets().into_iter().map(types_for).collect::<Vec<_>>(),
    });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clemcore model registry",
        "description": "A list of models, or one model.",
        "oneOf": [{"type": "array", "items": {"$ref": "#/$defs/entry"}}, {"$ref": "#/$defs/entry"}],
        "$defs": {"entry": entry},
    });
    format!("{schema:#}\n")
}

/// Fields with what they mean, and their types where these hold for all backends.
fn described(fields: &[Field], flat: bool) -> Map<String, Value> {
    let property = |field: &Field| {
        let mut property = if field.backends.is_empty() { types(field) } else { Map::new() };
        property.insert("description".to_owned(), description(field, flat).into());
        if !field.deprecated.is_empty() {
            property.insert("deprecated".to_owned(), true.into());
        }
        if !field.keys.is_empty() {
            let keys =
                field.keys.iter().map(|(key, words)| ((*key).to_owned(), json!({"description": words})));
            property.insert("properties".to_owned(), Value::Object(keys.collect()));
        }
        (field.name.to_owned(), Value::Object(property))
    };
    fields.iter().map(property).collect()
}

fn description(field: &Field, flat: bool) -> String {
    let mut text = meaning(field);
    if flat {
        text.push_str(" (Layout of 2024; today in `model_config`.)");
    }
    for (words, what) in [("Unit", field.unit), ("Missing means", field.default)] {
        if !what.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, " {words}: {what}.");
        }
    }
    if !field.backends.is_empty() {
        let _ = write!(text, " Read by: {}.", field.backends.join(", "));
    }
    text
}

/// The different sets of backends that read a field, each once.
fn backend_sets() -> Vec<&'static [&'static str]> {
    let mut sets: Vec<_> = ENTRY.iter().chain(MODEL_CONFIG).map(|field| field.backends).collect();
    sets.retain(|backends| !backends.is_empty());
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// "In an entry of these backends, these keys have these types."
fn types_for(backends: &'static [&'static str]) -> Value {
    let of = |fields: &'static [Field]| -> Map<String, Value> {
        let read = fields.iter().filter(|field| field.backends == backends);
        read.map(|field| (field.name.to_owned(), Value::Object(types(field)))).collect()
    };
    let mut properties = of(MODEL_CONFIG);
    properties.extend(of(ENTRY));
    properties.insert("model_config".to_owned(), json!({"properties": of(MODEL_CONFIG)}));
    let needed = ENTRY.iter().filter(|field| field.rule == Rule::Needed && field.backends == backends);
    let needed: Vec<_> = needed.map(|field| field.name).collect();
    json!({
        "if": {"properties": {"backend": {"enum": backends}}, "required": ["backend"]},
        "then": {"properties": properties, "required": needed},
    })
}

fn types(field: &Field) -> Map<String, Value> {
    let mut property = Map::new();
    let types: Vec<&str> = field.types.iter().map(|of| of.name()).collect();
    property.insert("type".to_owned(), if let [only] = types[..] { only.into() } else { types.into() });
    if field.types.contains(&Type::Strings) {
        property.insert("items".to_owned(), json!({"type": "string"}));
    }
    if !field.values.is_empty() {
        property.insert("enum".to_owned(), field.values.into());
    }
    match field.rule {
        Rule::Required | Rule::Needed => property.insert("minLength".to_owned(), 1.into()),
        Rule::Positive => property.insert("exclusiveMinimum".to_owned(), 0.into()),
        Rule::Within(least, most) => {
            let ends = [("minimum", least), ("maximum", most)];
            property.extend(ends.into_iter().filter_map(|(key, end)| Some((key.to_owned(), end?.into()))));
            None
        }
        Rule::Bytes => property.insert("minimum".to_owned(), 0.into()),
        Rule::Filled | Rule::Devices | Rule::Limits | Rule::Reasoning => {
            property.insert("minProperties".to_owned(), 1.into())
        }
        _ => None,
    };
    property
}
