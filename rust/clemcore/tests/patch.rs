//! JSON Merge Patch on dicts: the cases of RFC 7396, and that the changes tell all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::json;
use clemcore::patch::{Change, apply};
use clemcore::value::{Dict, Value};
use proptest::prelude::*;

fn dict(text: &str) -> Dict {
    match json::read("case", text.as_bytes()).unwrap().0 {
        Value::Dict(dict) => dict,
        other => panic!("{other:?}"),
    }
}

/// RFC 7396, appendix A, as far as both sides are objects: original, patch, result.
const CASES: &[(&str, &str, &str)] = &[
    (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
    (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
    (r#"{"a":"b"}"#, r#"{"a":null}"#, r"{}"),
    (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
    (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
    (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
    (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
    (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
    (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
    (r"{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
];

#[test]
fn the_cases_of_the_rfc() {
    for (original, patch, result) in CASES {
        assert_eq!(apply(&dict(original), &dict(patch)).dict, dict(result), "{original} {patch}");
    }
}

#[test]
fn changes_name_field_old_and_new() {
    let entry = dict(r#"{"name":"m","config":{"thinking":true,"tags":[1],"keep":1},"seed":7}"#);
    let patch = dict(r#"{"config":{"thinking":false,"tags":[1,2],"new":{"x":null}},"seed":null,"name":"m"}"#);
    let change =
        |field: &str, old: Option<Value>, new: Option<Value>| Change { field: field.to_owned(), old, new };
    let list = |items: &[i64]| Some(Value::List(items.iter().map(|item| Value::Int(*item)).collect()));
    assert_eq!(
        apply(&entry, &patch).changes,
        [
            change("config.thinking", Some(true.into()), Some(false.into())),
            change("config.tags", list(&[1]), list(&[1, 2])),
            change("config.new", None, Some(Value::Dict(Dict::new()))),
            change("seed", Some(7.into()), None),
        ]
    );
}

fn dicts() -> impl Strategy<Value = Dict> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool), (0..3_i64).prop_map(Value::Int)];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        let keys = prop::sample::select(vec!["a", "b", "c"]);
        prop::collection::vec((keys, inner), 0..3).prop_map(|pairs| Value::Dict(pairs.into_iter().collect()))
    });
    let keys = prop::sample::select(vec!["a", "b", "c", "d"]);
    prop::collection::vec((keys, value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

/// The rule as the RFC writes it, with serde's values as the other side.
fn merge_patch(target: serde_json::Value, patch: &serde_json::Value) -> serde_json::Value {
    let serde_json::Value::Object(patch) = patch else { return patch.clone() };
    let mut result = match target {
        serde_json::Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            result.remove(key);
        } else {
            let old = result.get(key).cloned().unwrap_or_default();
            result.insert(key.clone(), merge_patch(old, value));
        }
    }
    serde_json::Value::Object(result)
}

fn plain(dict: &Dict) -> serde_json::Value {
    serde_json::from_str(&json::to_json(&Value::Dict(dict.clone()))).unwrap()
}

proptest! {
    #[test]
    fn it_is_the_rule_of_the_rfc(entry in dicts(), patch in dicts()) {
        let patched = apply(&entry, &patch);
        prop_assert_eq!(plain(&patched.dict), merge_patch(plain(&entry), &plain(&patch)));
        // A second time changes nothing, and where nothing is told, nothing changed.
        prop_assert_eq!(apply(&patched.dict, &patch).changes, []);
        prop_assert_eq!(patched.changes.is_empty(), patched.dict == entry);
    }
}
