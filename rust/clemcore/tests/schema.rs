//! The schema and the pages that are made from it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::catalogue;
use clemcore::schema::{self, BACKENDS, ENTRY, Field, MODEL_CONFIG, RETIRED, Rule, SELECTOR};
use std::collections::BTreeSet;
use std::path::Path;

fn docs(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

fn all() -> impl Iterator<Item = &'static Field> {
    ENTRY.iter().chain(MODEL_CONFIG).chain(SELECTOR)
}

#[test]
fn the_checked_in_pages_are_what_the_schema_says() {
    let again = "run `clem registry schema > docs/model_registry.schema.json` and \
                 `clem registry schema --format markdown > docs/registry-fields.md`";
    assert!(docs("model_registry.schema.json") == schema::json_schema(), "{again}");
    assert!(docs("registry-fields.md") == schema::page(), "{again}");
    let again = "run `clem registry explain --format markdown > docs/registry-codes.md`";
    assert!(docs("registry-codes.md") == catalogue::page(), "{again}");
}

#[test]
fn every_field_says_what_it_is() {
    for field in all() {
        assert!(!field.types.is_empty(), "{}", field.name);
        assert!(field.meaning.ends_with('.') && field.meaning.len() > 10, "{}", field.name);
        let known =
            |name: &&str| BACKENDS.contains(name) || RETIRED.iter().any(|(retired, _)| retired == name);
        assert!(field.backends.iter().all(known), "{}", field.name);
        let page = schema::explain(field.name).unwrap();
        assert!(page.contains(field.meaning), "{page}");
        // What no backend takes is refused with this reason, so the pages give it, too.
        assert!(page.contains(field.refused), "{page}");
    }
}

#[test]
fn a_place_has_each_key_once() {
    for fields in [ENTRY, MODEL_CONFIG, SELECTOR] {
        let names: BTreeSet<_> = fields.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), fields.len());
    }
    // A key that stands in both places is judged alike.
    for field in ENTRY {
        if let Some(nested) = MODEL_CONFIG.iter().find(|nested| nested.name == field.name) {
            assert_eq!((nested.types, nested.rule), (field.types, field.rule), "{}", field.name);
        }
    }
}

#[test]
fn every_backend_of_a_model_says_what_it_needs() {
    let needed = |backend: &str| {
        ENTRY.iter().any(|field| field.rule == Rule::Needed && field.backends.contains(&backend))
    };
    let without: Vec<_> = BACKENDS.iter().copied().filter(|backend| !needed(backend)).collect();
    assert_eq!(without, ["human", "mock", "replay", "slurk", "_player_human", "_player_programmed"]);
}
