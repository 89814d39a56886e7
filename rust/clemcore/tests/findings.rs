//! Reports on JSON files of any form: text faults as in registries, and findings of others at their places.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::catalogue::{self, GAME_FIELD, GAME_ID, GAMES, SAME_INSTANCE, UNKNOWN_GAME_FIELD};
use clemcore::json::{Finding, Step, check};
use clemcore::report::{Format, Report};

const TEXT: &[u8] =
    b"{\n  \"experiments\": [\n    {\"name\": \"a\", \"game_instances\": [{\"game_id\": \"1\"}]}\n  ]\n}";

fn path(steps: &[&str]) -> Vec<Step> {
    let step = |step: &&str| step.parse().map_or_else(|_| Step::Key((*step).to_owned()), Step::Index);
    steps.iter().map(step).collect()
}

fn finding(kind: &'static catalogue::Kind, steps: &[&str]) -> Finding {
    let (message, help) = ("it is wrong".to_owned(), Some("see {place}".to_owned()));
    Finding { kind, path: path(steps), message, help, related: Some(path(&["experiments"])) }
}

fn places(report: &Report) -> Vec<String> {
    report
        .problems
        .iter()
        .map(|found| format!("{} {}:{}", found.kind.code, found.line, found.column))
        .collect()
}

#[test]
fn findings_stand_at_their_values() {
    let deep = ["experiments", "0", "game_instances", "0", "game_id"];
    let report = check("in.json", TEXT, &[finding(&GAME_ID, &deep), finding(&GAME_FIELD, &[])]);
    assert_eq!(places(&report), ["G003 1:1", "G013 3:50"]);
    assert_eq!(report.problems[1].field.as_deref(), Some("experiments[0].game_instances[0].game_id"));
    assert_eq!(report.problems[1].help.as_deref(), Some("see 2:18"));
    assert!(report.render(Format::Human, false).contains("in.json:3:50"));
}

#[test]
fn an_unknown_field_stands_at_its_key() {
    let report = check("in.json", TEXT, &[finding(&UNKNOWN_GAME_FIELD, &["experiments"])]);
    assert_eq!(places(&report), ["G005 2:3"]);
    assert!(report.is_usable());
}

#[test]
fn a_path_to_nothing_stands_for_what_there_is_of_it() {
    let report = check("in.json", TEXT, &[finding(&SAME_INSTANCE, &["experiments", "7", "game_id"])]);
    assert_eq!(places(&report), ["G014 2:18"]);
}

#[test]
fn findings_of_a_broken_text_are_left_out() {
    let report = check("in.json", b"{\"a\": 1,}", &[finding(&GAME_ID, &["a"])]);
    assert_eq!(places(&report), ["R010 1:8"]);
    let empty = check("in.json", b"", &[]);
    assert_eq!(places(&empty), ["R003 1:1"]);
    assert!(!empty.problems[0].help.as_deref().unwrap().contains("registry"));
}

#[test]
fn kinds_of_games_are_found_by_their_codes() {
    assert!(GAMES.is_sorted_by(|a, b| a.code < b.code));
    for kind in GAMES {
        assert_eq!(catalogue::find(kind.code), Some(*kind));
        assert!(catalogue::explain(kind.slug).is_some());
        for example in [kind.bad, kind.good] {
            assert!(check("example.json", example.as_bytes(), &[]).problems.is_empty(), "{}", kind.code);
        }
    }
}
