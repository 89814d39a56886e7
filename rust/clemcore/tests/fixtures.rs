//! The registries in `tests/fixtures/registries`: each fault is reported with its code at its place, and nothing else.
//!
//! `expected.json` there lists for each invalid file all problems as `CODE LINE:COLUMN`; pytest reads it too. The
//! reports as people see them are snapshots; look at a change and accept it with `INSTA_UPDATE=always cargo test`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::catalogue;
use clemcore::registry::{PACKAGED, Registry, check};
use clemcore::report::{Format, Report};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/registries")
}

fn files(kind: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(folder().join(kind))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn places(report: &Report) -> Vec<String> {
    let place = |problem: &clemcore::problem::Problem| {
        format!("{} {}:{}", problem.kind.code, problem.line, problem.column)
    };
    report.problems.iter().map(place).collect()
}

#[test]
fn every_fault_is_reported_at_its_place() {
    let expected: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let found: BTreeMap<_, _> = files("invalid")
        .into_iter()
        .map(|(name, bytes)| (name.clone(), places(&check(&name, &bytes, None))))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_kind_has_a_fixture_that_reports_it() {
    let files = files("invalid");
    for kind in catalogue::ALL {
        let prefix = format!("{}_{}.json", kind.code, kind.slug);
        let (_, bytes) =
            files.iter().find(|(name, _)| *name == prefix).unwrap_or_else(|| panic!("no {prefix}"));
        let report = check(&prefix, bytes, None);
        assert!(
            report.problems.iter().any(|problem| problem.kind == *kind),
            "{prefix} does not report its kind"
        );
    }
}

#[test]
fn reports_look_as_they_did() {
    for (name, bytes) in files("invalid") {
        let report = check(&name, &bytes, None).render(Format::Human, false);
        insta::assert_snapshot!(name.trim_end_matches(".json"), report);
    }
}

#[test]
fn valid_files_have_no_problems_and_load() {
    for (name, bytes) in files("valid") {
        let report = check(&name, &bytes, None);
        assert_eq!(places(&report), Vec::<String>::new(), "{name}");
        assert!(Registry::load(&[(&name, &bytes)], None).is_ok());
    }
}

#[test]
fn the_packaged_registry_is_clean() {
    let report = check("model_registry.json", PACKAGED.as_bytes(), None);
    assert!(report.problems.is_empty(), "{}", report.render(Format::Human, false));
}

#[test]
fn the_examples_of_the_catalogue_are_what_they_say() {
    for kind in catalogue::ALL {
        let bad = match kind.code {
            // Not UTF-8 and 129 brackets cannot be written down as a short text.
            "R001" => b"[{\"model_name\": \"caf\xE9\", \"backend\": \"mock\"}]".to_vec(),
            "R027" => "[".repeat(129).into_bytes(),
            _ => kind.bad.as_bytes().to_vec(),
        };
        let report = check("bad.json", &bad, None);
        assert!(report.problems.iter().any(|problem| problem.kind == *kind), "{}", kind.code);
        let only = report.problems.iter().all(|problem| problem.kind == *kind);
        assert!(only || kind.code == "R027", "{}", report.render(Format::Human, false));
        let report = check("good.json", kind.good.as_bytes(), None);
        assert!(report.problems.is_empty(), "{}", report.render(Format::Human, false));
    }
}

#[test]
fn codes_and_slugs_are_unique_and_in_order() {
    let codes: Vec<_> = catalogue::ALL.iter().map(|kind| kind.code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b));
    let slugs: std::collections::BTreeSet<_> = catalogue::ALL.iter().map(|kind| kind.slug).collect();
    assert_eq!(slugs.len(), codes.len());
}

#[test]
fn no_report_shows_a_secret() {
    let secrets =
        ["not-a-known-shape", "0123456789abcdefghij", "hunter2", "correct horse", "'horse'", "0123"];
    for (name, bytes) in files("invalid").into_iter().filter(|(name, _)| name.contains("secret")) {
        let report = check(&name, &bytes, None);
        for format in [Format::Human, Format::Json, Format::Github, Format::Sarif] {
            let text = report.render(format, false);
            for secret in secrets {
                assert!(!text.contains(secret), "{name}: {secret} in {text}");
            }
        }
    }
}
