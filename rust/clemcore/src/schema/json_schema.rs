//! The schema as JSON Schema (draft 2020-12), for editors and other validators.
use super::{ENTRY, Field, MODEL_CONFIG, Trait, Type};
use serde_json::{Map, Value, json};

/// The schema of a registry file, as JSON text.
///
/// It says what can be said of one value at a time; duplicates, unreachable entries and secrets are beyond it.
#[must_use]
pub fn json_schema() -> String {
    let mut properties = fields(MODEL_CONFIG, true);
    properties.extend(fields(ENTRY, false));
    if let Some(config) = properties.get_mut("model_config").and_then(Value::as_object_mut) {
        config.insert("properties".to_owned(), Value::Object(fields(MODEL_CONFIG, false)));
    }
    let required: Vec<_> =
        ENTRY.iter().filter(|field| field.trait_ == Trait::Required).map(|field| field.name).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clemcore model registry",
        "description": "A list of models, or one model.",
        "oneOf": [{"type": "array", "items": {"$ref": "#/$defs/entry"}}, {"$ref": "#/$defs/entry"}],
        "$defs": {"entry": {"type": "object", "required": required, "properties": properties}},
    });
    format!("{schema:#}\n")
}

fn fields(fields: &[Field], flat: bool) -> Map<String, Value> {
    fields.iter().map(|field| (field.name.to_owned(), property(field, flat))).collect()
}

fn property(field: &Field, flat: bool) -> Value {
    let mut property = Map::new();
    property.insert("description".to_owned(), description(field, flat).into());
    let mut types: Vec<&str> = field.types.iter().map(|of| json_type(*of)).collect();
    types.dedup();
    property.insert("type".to_owned(), if let [only] = types[..] { only.into() } else { types.into() });
    if field.types.contains(&Type::Strings) {
        property.insert("items".to_owned(), json!({"type": "string"}));
    }
    if field.trait_ == Trait::Required {
        property.insert("minLength".to_owned(), 1.into());
    }
    Value::Object(property)
}

fn description(field: &Field, flat: bool) -> String {
    let mut text = field.meaning.to_owned();
    if flat {
        text.push_str(" (Layout of 2024; today in `model_config`.)");
    }
    if !field.backends.is_empty() {
        text.push_str(" Read by: ");
        text.push_str(&field.backends.join(", "));
        text.push('.');
    }
    text
}

const fn json_type(of: Type) -> &'static str {
    match of {
        Type::Bool => "boolean",
        Type::Int => "integer",
        Type::Number => "number",
        Type::String => "string",
        Type::Strings | Type::List => "array",
        Type::Object => "object",
        Type::Null => "null",
    }
}
