//! Loading layers, finding entries, explaining refusals.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::registry::Registry;
use clemcore::value::{Dict, Value};

const HERE: &str = r#"[
  {"model_name": "m", "backend": "mock", "model_config": {"thinking_mode": true}},
  {"model_name": "m", "backend": "mock", "seed": 7},

  {"model_name": "own", "backend": "mock", "lookup_source": "somewhere"}
]"#;
const PACKAGED: &str = r#"{"model_name": "m", "backend": "openai"}"#;

fn registry() -> Registry {
    Registry::load(&[("here.json", HERE), ("packaged", PACKAGED)], None).unwrap()
}

fn dict(pairs: &[(&str, Value)]) -> Dict {
    pairs.iter().cloned().collect()
}

#[test]
fn entries_know_where_they_come_from() {
    let registry = registry();
    assert_eq!(registry.len(), 4);
    assert_eq!(registry.names(), ["m", "own"]);
    assert_eq!(registry.location(1), Some(("here.json".to_owned(), 3)));
    assert_eq!(registry.location(2), Some(("here.json".to_owned(), 5)));
    assert_eq!(registry.location(3), Some(("packaged".to_owned(), 1)));
    assert_eq!(registry.location(4), None);
    let last = |index: usize| {
        registry.entry(index).unwrap().iter().last().map(|(key, value)| (key.to_owned(), value.clone()))
    };
    assert_eq!(last(0), Some(("lookup_source".to_owned(), Value::from("here.json"))));
    assert_eq!(last(2), Some(("lookup_source".to_owned(), Value::from("somewhere"))));
}

#[test]
fn the_first_entry_that_unifies_is_the_one() {
    let registry = registry();
    let find = |pairs: &[(&str, Value)]| registry.resolve(&dict(pairs)).map(|(index, _)| index);
    assert_eq!(find(&[("model_name", "m".into())]), Some(0));
    assert_eq!(find(&[("model_name", "m".into()), ("backend", "openai".into())]), Some(3));
    let config = Value::Dict(dict(&[("thinking_mode", false.into())]));
    assert_eq!(find(&[("model_name", "m".into()), ("model_config", config)]), Some(1));
    assert_eq!(find(&[("lookup_source", "packaged".into())]), Some(3));
    assert_eq!(find(&[]), Some(0));
    assert_eq!(find(&[("model_name", "M".into())]), None);
}

#[test]
fn the_selector_comes_first_in_the_merged_dict() {
    let (_, merged) =
        registry().resolve(&dict(&[("temperature", 0.5.into()), ("model_name", "own".into())])).unwrap();
    assert_eq!(merged.keys().collect::<Vec<_>>(), ["temperature", "model_name", "backend", "lookup_source"]);
}

#[test]
fn entries_without_a_name_fit_every_name() {
    let specs = vec![
        dict(&[("model_name", "a".into()), ("backend", "mock".into())]),
        dict(&[("backend", "openai".into())]),
        dict(&[("model_name", "b".into()), ("backend", "mock".into())]),
    ];
    let registry = Registry::from_specs(specs);
    let find = |name: &str| registry.resolve(&dict(&[("model_name", name.into())])).map(|(index, _)| index);
    assert_eq!((find("a"), find("b"), find("c")), (Some(0), Some(1), Some(1)));
}

#[test]
fn refusals_name_the_fields() {
    let selector = dict(&[("model_name", "m".into()), ("backend", "mock".into()), ("seed", 8.into())]);
    let with_config = dict(&[
        ("model_name", "m".into()),
        ("backend", "openai".into()),
        ("model_config", Value::Dict(dict(&[("thinking_mode", false.into())]))),
    ]);
    let fields = |selector: &Dict| -> Vec<(usize, Vec<String>)> {
        let refusals = registry().refusals(selector);
        refusals.into_iter().map(|r| (r.entry, r.mismatches.into_iter().map(|m| m.field).collect())).collect()
    };
    assert_eq!(fields(&selector), [(1, vec!["seed".to_owned()]), (3, vec!["backend".to_owned()])]);
    assert_eq!(
        fields(&with_config),
        [
            (0, vec!["backend".to_owned(), "model_config.thinking_mode".to_owned()]),
            (1, vec!["backend".to_owned()])
        ]
    );
}

#[test]
fn one_bad_layer_stops_all_and_every_layer_is_reported() {
    let report = Registry::load(&[("a", "[1]"), ("b", HERE), ("c", "[{}]")], None).unwrap_err();
    let places: Vec<_> =
        report.problems.iter().map(|problem| (&*problem.source, problem.kind.code)).collect();
    assert_eq!(places, [("a", "R041"), ("c", "R042"), ("c", "R042")]);
}

#[test]
fn warnings_are_kept_and_known_backends_can_be_given() {
    let text = r#"[{"model_name": "m", "backend": "mine"}]"#;
    assert_eq!(Registry::load(&[("a", text)], None).unwrap().warnings().problems.len(), 1);
    let known = ["mine".to_owned()];
    assert!(Registry::load(&[("a", text)], Some(&known)).unwrap().warnings().problems.is_empty());
}

#[test]
fn names_that_are_nearly_right_are_offered() {
    let registry = registry();
    assert_eq!(registry.nearest("M", 5), ["m"]);
    assert_eq!(registry.nearest("onw", 5), ["own"]);
    assert_eq!(registry.nearest("something-else", 5), [""; 0]);
}
