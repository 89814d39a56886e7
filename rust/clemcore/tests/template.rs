//! One language feature per case, with the text that jinja2 gives: `tests/fixtures/templates/features.json`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

use clemcore::template::{Arena, Data, ErrorKind, Input, Options, Template, Variables};
use serde_json::Value;

fn data(value: &Value) -> Data {
    match value {
        Value::Null => Data::None,
        Value::Bool(b) => Data::Bool(*b),
        Value::Number(n) => n.as_i64().map_or_else(|| Data::Float(n.as_f64().unwrap()), Data::Int),
        Value::String(s) => Data::Str(s.clone()),
        Value::Array(items) => Data::List(items.iter().map(data).collect()),
        Value::Object(map) => Data::Dict(map.iter().map(|(k, v)| (Data::Str(k.clone()), data(v))).collect()),
    }
}

#[test]
fn every_feature_is_as_in_jinja2() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/templates/features.json");
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let context: Vec<(String, Data)> =
        fixture["context"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), data(v))).collect();
    for case in fixture["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let compiled = Template::compile(case["template"].as_str().unwrap(), &|_| None);
        let rendered = compiled.and_then(|template| {
            let arena = Arena::default();
            let mut variables = Variables::new(&template, &arena);
            for (name, value) in &context {
                variables.set(name, Input::data(value).unwrap());
            }
            Template::render(variables, Options::default(), String::new()).map(|r| r.text)
        });
        match (rendered, case["text"].as_str()) {
            (Ok(text), expected) => assert_eq!(Some(text.as_str()), expected, "{name}"),
            (Err(fault), None) => {
                assert_ne!(fault.error.kind, ErrorKind::Unsupported, "{name}: {fault}");
                if let Some(message) = case["message"].as_str() {
                    assert_eq!((fault.error.kind, fault.to_string().as_str()), (ErrorKind::Raised, message));
                }
            }
            (Err(fault), Some(_)) => panic!("{name}: {fault}"),
        }
    }
}

#[test]
fn a_fault_has_line_column_and_excerpt() {
    let fault = Template::compile("ab\n  {{ x y }}", &|_| None).err().unwrap();
    let place = fault.place.unwrap();
    assert_eq!((place.line, place.column, place.excerpt.as_str()), (2, 8, "  {{ x y }}"));
}

#[test]
fn what_is_not_covered_is_said_at_compile_time() {
    for source in ["{% autoescape true %}{% endautoescape %}", "{{ l|random }}", "{{ '\\ud800' }}"] {
        let fault = Template::compile(source, &|_| None).err().unwrap();
        assert_eq!(fault.error.kind, ErrorKind::Unsupported, "{source}");
    }
}
