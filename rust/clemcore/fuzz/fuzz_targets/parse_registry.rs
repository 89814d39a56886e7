//! Any bytes give a report or a registry; what is accepted can be edited, and `serde_json` accepts it too.
#![no_main]
use clemcore::edit::{Position, upsert};
use clemcore::fix::fix;
use clemcore::json;
use clemcore::problem::Severity;
use clemcore::registry::{Registry, check};
use clemcore::report::Format;
use clemcore::value::{Dict, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let report = check("fuzz.json", bytes, None);
    for format in [Format::Human, Format::Json, Format::Github, Format::Sarif] {
        let _ = report.render(format, false);
    }
    agrees_with_serde(bytes);
    fix_twice(bytes);
    let Ok(registry) = Registry::load(&[("fuzz.json", bytes)], None) else {
        assert!(!report.is_usable());
        return;
    };
    for index in 0..registry.len() {
        let entry = registry.entry(index).unwrap_or_default();
        // An entry is a selector that fits itself, so something is found, at the latest there.
        assert!(registry.resolve(&entry).is_some_and(|(found, _)| found <= index));
    }
    edit(bytes, &registry);
});

/// What was fixed needs no further fix, and never has an error more than before.
fn fix_twice(bytes: &[u8]) {
    let fixed = fix("fuzz.json", bytes, None);
    if !fixed.is_changed() {
        // The text of bytes that are not UTF-8 is another one than that of the file, which stays as it is.
        return;
    }
    let again = fix("fuzz.json", fixed.text.as_bytes(), None);
    assert!(!again.is_changed(), "{}", again.diff("fuzz.json"));
    let _ = fixed.diff("fuzz.json");
}

fn agrees_with_serde(bytes: &[u8]) {
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
    match (json::read("fuzz.json", bytes), theirs) {
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            assert!(error.contains("number out of range") || error.contains("recursion limit"), "{error}");
        }
        (Err(report), Ok(_)) => {
            let mut errors = report.problems.iter().filter(|problem| problem.kind.severity == Severity::Error);
            assert!(errors.all(|problem| problem.kind.code == "R030"));
        }
        _ => {}
    }
}

fn edit(bytes: &[u8], registry: &Registry) {
    let new: Dict = [("model_name", "new"), ("backend", "mock")].into_iter().collect();
    let text = upsert("fuzz.json", Some(bytes), &new, Position::Front).unwrap_or_default();
    let after = Registry::load(&[("fuzz.json", &text)], None).unwrap_or_default();
    assert_eq!(after.len(), registry.len() + 1);
    assert_eq!(after.entry(0).and_then(|entry| entry.get("model_name").cloned()), Some(Value::from("new")));
    for index in 0..registry.len() {
        assert_eq!(after.entry(index + 1), registry.entry(index));
    }
}
