//! Loading layers, finding entries, explaining refusals.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::problem::Severity;
use clemcore::registry::{By, Registry, added, check};
use clemcore::report::Format;
use clemcore::schema::Denied;
use clemcore::unify::ById;
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
fn of_too_many_errors_the_first_are_told() {
    let bad = |count| format!("[{}]", vec!["7"; count].join(",\n"));
    let report = check("r.json", bad(1000).as_bytes(), None);
    assert_eq!((report.problems.len(), report.is_stopped()), (1000, false));
    let report = check("r.json", bad(3000).as_bytes(), None);
    assert_eq!((report.problems.len(), report.problems[999].line, report.is_stopped()), (1000, 1000, true));
    let shown = report.render(Format::Human, false);
    let end = "… and 1 more in these files, not shown\n\
               After 1000 errors, the rest of a file is not checked.\n\nat least 1001 errors\n";
    assert!(shown.ends_with(end), "{}", &shown[shown.len() - 300..]);
    assert!(report.render(Format::Json, false).contains("\"complete\": false"));
    // Warnings stop nobody: they are counted to the end.
    let entry = |at| format!("{{\"model_name\": \"m{at}\", \"backend\": \"mok\"}}");
    let many = format!("[{}]", (0..3000).map(entry).collect::<Vec<_>>().join(","));
    let report = check("r.json", many.as_bytes(), None);
    assert_eq!((report.count(Severity::Warning), report.problems.len()), (3000, 1000));
    assert!(report.is_usable() && !report.is_stopped());
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
    let known = [clemcore::schema::Backend::named("mine")];
    assert!(Registry::load(&[("a", text)], Some(&known)).unwrap().warnings().problems.is_empty());
}

#[test]
fn names_that_are_nearly_right_are_offered() {
    let registry = registry();
    assert_eq!(registry.nearest("M", 5), ["m"]);
    assert_eq!(registry.nearest("onw", 5), ["own"]);
    assert_eq!(registry.nearest("something-else", 5), [""; 0]);
}

const ALIASED: &str = r#"[
  {"model_name": "first", "backend": "mock", "aliases": ["1st", "one", "m"], "seed": 5},
  {"model_name": "second", "backend": "mock", "aliases": ["one", "2nd"], "seed": 7},
  {"model_name": "caf\u00e9", "backend": "mock", "\u0061liases": ["un"]}
]"#;

#[test]
fn an_alias_finds_its_entry_under_the_entrys_name() {
    let layers = [("here.json", HERE), ("aliases.json", ALIASED), ("packaged", PACKAGED)];
    let loaded = Registry::load(&layers, None).unwrap();
    let dicts = (0..loaded.len()).map(|index| loaded.entry(index).unwrap()).collect();
    for registry in [loaded, Registry::from_specs(dicts)] {
        let find = |pairs: &[(&str, Value)]| {
            let (index, merged) = registry.resolve(&dict(pairs))?;
            Some((index, merged.get("model_name").unwrap().as_str().unwrap().to_owned()))
        };
        let named = |name: &str| find(&[("model_name", name.into())]);
        assert_eq!(named("2nd"), Some((4, "second".to_owned())));
        assert_eq!(named("one"), Some((3, "first".to_owned())), "the first entry that has it");
        assert_eq!(named("m"), Some((0, "m".to_owned())), "the name wins");
        assert_eq!(named("un"), Some((5, "café".to_owned())));
        assert_eq!(named("ONE"), None);
        assert_eq!(find(&[("model_name", "one".into()), ("seed", 7.into())]), Some((4, "second".to_owned())));
        assert_eq!(find(&[("model_name", "one".into()), ("seed", 8.into())]), None);
        // What is said under the name is not in the way of an alias that fits.
        let selector = [("model_name", "m".into()), ("lookup_source", "aliases.json".into())];
        assert_eq!(find(&selector), Some((3, "first".to_owned())));
        let refusals =
            registry.refusals(&dict(&[("model_name", "one".into()), ("backend", "openai".into())]));
        let fields: Vec<_> = refusals.iter().map(|r| (r.entry, r.mismatches.len())).collect();
        assert_eq!(fields, [(3, 1), (4, 1)]);
        assert_eq!(registry.nearest("2-nd", 1), ["2nd"]);
    }
}

#[test]
fn an_alias_reaches_an_entry_that_its_name_does_not() {
    let codes = |text: &str| -> Vec<&str> {
        let report = clemcore::registry::check("r.json", text.as_bytes(), None);
        report.problems.iter().map(|problem| problem.kind.code).collect()
    };
    let with = r#"[{"model_name": "m", "backend": "mock"}, {"model_name": "m", "backend": "mock", "aliases": ["n"]}]"#;
    let without =
        r#"[{"model_name": "m", "backend": "mock"}, {"model_name": "m", "backend": "mock", "seed": 1}]"#;
    assert_eq!((codes(with), codes(without)), (vec!["R056"], vec!["R051"]));
}

#[test]
fn layers_that_are_loaded_together_are_compared() {
    let here = r#"[
  {"model_name": "a", "backend": "openai", "model_id": "a-1", "aliases": ["b", "own"]},
  {"model_name": "b2", "backend": "mock", "aliases": ["b"], "lint": {"allow": ["R057"]}},
  {"model_name": "c", "backend": "openai", "model_id": "c-1", "temperature": 1}
]"#;
    let home = r#"[{"model_name": "b", "backend": "mock", "aliases": ["a"]}]"#;
    let packaged = r#"[{"model_name": "c", "backend": "openai", "model_id": "c-1"},
  {"model_name": "a", "backend": "openai_compatible", "model_id": "a-0"},
  {"model_name": "a", "backend": "openai", "model_id": "a-2", "aliases": ["c"]}]"#;
    let layers = [
        ("here", here.as_bytes(), true),
        ("home", home.as_bytes(), true),
        ("packaged", packaged.as_bytes(), false),
    ];
    let report = clemcore::registry::check_layers(&layers, None);
    let found: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "here:2:18: warning[R056]: packaged:3 has the same name and backend, and another model_id: \"a-2\"",
            "here:2:75: warning[R057]: \"b\" is the name of home:1, and a name comes before an alias",
            "home:1:53: warning[R057]: \"a\" is the name of packaged:2, and a name comes before an alias",
        ]
    );
}

#[test]
fn a_backend_of_ones_own_describes_its_keys() {
    use clemcore::schema::{Backend, CustomKey, Type};
    let key = |path: &str, types: &[Type], values: &[&str]| CustomKey {
        path: path.to_owned(),
        types: types.to_vec(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let keys = vec![
        key("model_config.contxt_size", &[Type::Int], &[]),
        key("model_config.mode", &[Type::String], &["quick", "slow"]),
        key("thinking_mode", &[Type::String], &[]),
    ];
    let own = [Backend { name: "mine".to_owned(), keys }];
    let found = |members: &str, backend: &str| -> Vec<String> {
        let text = format!(r#"[{{"model_name": "m", "backend": "{backend}", {members}}}]"#);
        let report = clemcore::registry::check("r", text.as_bytes(), Some(&own));
        // Loading says the same, whether it goes the quick way or not.
        let loaded = Registry::load(&[("r", text.as_bytes())], Some(&own));
        let slow = Registry::load_slowly(&[("r", text.as_bytes())], Some(&own));
        let told =
            |loaded: Result<Registry, _>| loaded.map_or_else(|report| report, |r| r.warnings().clone());
        assert_eq!(told(loaded), told(slow));
        report.problems.iter().map(|problem| format!("{} {}", problem.kind.code, problem.message)).collect()
    };
    assert_eq!(
        found(r#""model_config": {"contxt_size": 5, "mode": "quick"}, "thinking_mode": "x""#, "mine"),
        [""; 0]
    );
    assert_eq!(
        found(
            r#""model_config": {"contxt_size": "5", "mode": "quik", "modee": 1}, "thinking_mode": 1"#,
            "mine"
        ),
        [
            "R044 model_config.contxt_size must be an integer, not a string",
            "R054 model_config.mode must be one of quick, slow, not \"quik\"",
            "R053 nothing reads the key \"modee\"",
            "R044 thinking_mode must be a string, not an integer",
        ]
    );
    assert_eq!(found(r#""model_config": {"modee": 1}"#, "mine"), ["R053 nothing reads the key \"modee\""]);
    assert_eq!(
        found(r#""model_config": {"mode": "quik"}"#, "mine"),
        ["R054 model_config.mode must be one of quick, slow, not \"quik\""]
    );
    assert_eq!(found(r#""contxt_size": 5"#, "mock"), ["R053 nothing reads the key \"contxt_size\""]);
}

const NAMED: &str = r#"[
  {"model_name": "m", "backend": "openai", "model_id": "id-1", "seed": 1},
  {"model_name": "n", "backend": "huggingface_local", "huggingface_id": "id-1", "aliases": ["m"]},
  {"model_name": "o", "backend": "openai", "model_id": "id-\u0031", "nested": {"model_id": "id-2"}}
]"#;

fn selected(pairs: &[(&str, Value)]) -> Option<(usize, By)> {
    let registry = Registry::load(&[("here.json", NAMED)], None).unwrap();
    registry.select(&dict(pairs), &ById).map(|found| (found.entry, found.by))
}

#[test]
fn a_selector_selects_what_it_names() {
    assert_eq!(selected(&[("model_name", "m".into())]), Some((0, By::Name)));
    assert_eq!(selected(&[("model_name", "m".into()), ("seed", 2.into())]), Some((1, By::Alias)));
    assert_eq!(selected(&[("model_id", "id-1".into())]), Some((0, By::ModelId)));
    assert_eq!(selected(&[("model_id", "id-1".into()), ("seed", 2.into())]), Some((2, By::ModelId)));
    assert_eq!(selected(&[("huggingface_id", "id-1".into())]), Some((1, By::HuggingfaceId)));
    let both = [("model_id", "id-1".into()), ("huggingface_id", "id-1".into())];
    assert_eq!(selected(&both), Some((0, By::ModelId)));
    // Nothing else names an entry, and a name counts alone.
    assert_eq!(selected(&[("model_id", "id-2".into())]), None);
    assert_eq!(selected(&[("backend", "openai".into())]), None);
    assert_eq!(selected(&[("model_nam", "m".into())]), None);
    assert_eq!(selected(&[("model_name", Value::Null), ("model_id", "id-1".into())]), None);
    assert_eq!(selected(&[("model_name", "x".into()), ("model_id", "id-1".into())]), None);
}

#[test]
fn entries_of_no_file_are_selected_alike() {
    let entries = vec![
        dict(&[("backend", "openai".into())]),
        dict(&[("model_name", "m".into()), ("model_id", "id".into())]),
    ];
    let registry = Registry::from_specs(entries);
    let select = |key: &str, value: &str| {
        registry.select(&dict(&[(key, value.into())]), &ById).map(|found| found.entry)
    };
    assert_eq!((select("model_name", "m"), select("model_id", "id")), (Some(1), Some(1)));
    assert_eq!(select("model_name", "other"), None, "an entry without a name has no name");
}

#[test]
fn added_fields_are_told_with_the_reason_why_they_may_not_be_added() {
    let entry = dict(&[("backend", "openai".into()), ("own", 1.into())]);
    let config = Value::Dict(dict(&[("seed", 1.into()), ("dtype", "x".into()), ("api", "responses".into())]));
    let selector = dict(&[
        ("own", 2.into()),
        ("seed", 3.into()),
        ("filename", "x".into()),
        ("languags", Value::Null),
        ("model_config", config),
    ]);
    let told: Vec<_> = added(&selector, &entry).into_iter().map(|one| (one.field, one.denied)).collect();
    let fields: Vec<_> = told.iter().map(|(field, denied)| (field.as_str(), denied.is_some())).collect();
    assert_eq!(
        fields,
        [
            ("seed", false),
            ("filename", true),
            ("languags", true),
            ("model_config.seed", true),
            ("model_config.dtype", true),
            ("model_config.api", false)
        ]
    );
    assert_eq!(told[2].1, Some(Denied::Unknown(Some("languages"))));
    assert_eq!(told[3].1, Some(Denied::Misplaced));
}

#[test]
fn an_object_of_listed_keys_has_no_others() {
    let found = |backend: &str, members: &str| -> Vec<String> {
        let text = format!(r#"[{{"model_name": "m", "backend": "{backend}", {members}}}]"#);
        let report = clemcore::registry::check("r", text.as_bytes(), Some(&[]));
        let loaded = Registry::load(&[("r", text.as_bytes())], Some(&[]));
        let slow = Registry::load_slowly(&[("r", text.as_bytes())], Some(&[]));
        let told =
            |loaded: Result<Registry, _>| loaded.map_or_else(|report| report, |r| r.warnings().clone());
        assert_eq!(told(loaded), told(slow));
        report.problems.iter().map(|problem| format!("{} {}", problem.kind.code, problem.message)).collect()
    };
    let members = r#""multimodality": {"singel_image": true, "smell": true, "audio": false}"#;
    let told = [
        "R053 nothing reads the key \"singel_image\"",
        "R083 multimodality.smell has no effect: nothing reads it",
    ];
    assert_eq!(found("mock", members), told);
    // A custom backend may read keys of its own.
    assert!(!found("mine", members).iter().any(|problem| problem.contains("smell")));
}
