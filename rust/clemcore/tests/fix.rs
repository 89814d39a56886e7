//! Fixing: what is fixed and what is left, that nothing else changes, and that once is enough.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::catalogue;
use clemcore::fix::fix;
use clemcore::registry::{PACKAGED, Registry, check};
use proptest::prelude::*;
use std::path::Path;

fn fixtures(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/registries").join(kind);
    let read = |file: std::fs::DirEntry| {
        (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
    };
    std::fs::read_dir(folder).unwrap().map(|file| read(file.unwrap())).collect()
}

fn fixed(text: &str) -> String {
    fix("r.json", text.as_bytes(), None).text
}

#[test]
fn what_has_one_meaning_is_mended() {
    let entry = |inside: &str| format!("[\n  {{\"model_name\": \"m\", \"backend\": \"mock\"{inside}}}\n]\n");
    for (bad, good) in [
        (",", ""),
        (", 'seed': 7", ", \"seed\": 7"),
        (", seed: 7", ", \"seed\": 7"),
        (", “seed”: 7", ", \"seed\": 7"),
        (", \"open_weight\": None", ", \"open_weight\": null"),
        (", \"open_weight\": \"True\"", ", \"open_weight\": true"),
        (", \"temperature\": \"0.5\"", ", \"temperature\": 0.5"),
        ("\n  \"seed\": 7", ",\n  \"seed\": 7"),
        (", \"release_date\": \"13/01/2024\"", ", \"release_date\": \"2024-01-13\""),
        (", \"context_size\":  \"131,072\" ", ", \"context_size\":  \"131072\" "),
        (", \"languages\": [\"iw\", \"pt_BR\"]", ", \"languages\": [\"he\", \"pt-BR\"]"),
    ] {
        assert_eq!(fixed(&entry(bad)), entry(good));
    }
}

#[test]
fn however_many_are_mended_at_once() {
    let entry =
        |at: usize| format!("{{'model_name': \"m{at}\", \"backend\": \"mock\", \"languages\": [\"iw\"],}}");
    let bad = format!("[{}]", (0..3000).map(entry).collect::<Vec<_>>().join(",\n"));
    let fixed = fix("r.json", bad.as_bytes(), None);
    assert_eq!(fixed.text, bad.replace('\'', "\"").replace("iw", "he").replace(",}", "}"));
    assert_eq!(fixed.count, 9000);
    assert!(fixed.rest.problems.is_empty() && fixed.problems.len() < fixed.count);
    // A fault that stays does not keep the others from being fixed.
    let rest = fix("r.json", bad.replace("\"mock\"", "1").as_bytes(), None).rest;
    assert!(rest.is_stopped() && rest.problems.iter().all(|problem| problem.kind.code == "R044"));
}

#[test]
fn what_could_mean_two_things_is_left() {
    let entry = |inside: &str| format!("[{{\"model_name\": \"m\", \"backend\": \"mock\"{inside}}}]");
    for doubtful in [
        ", \"release_date\": \"06-01-24\"",
        ", \"context_size\": \"128kb\"",
        ", \"languages\": [\"sh\", \"English\"]",
        " // a remark",
        ", \"open_weight\": \"perhaps\"",
        ", \"license\": \"MIT,\n  seed: 7, 'top_k': 1, \"open_weight\": True",
        ", \"seed\": NaN+1",
        ", license\": \"MIT\", seed: 7, 'top_k': 1,",
        ", \"seed\": 'it\\'s'",
        " \"seed\": 7",
        ", \"contxt_size\": \"8k\"",
        ", \"release_date\": \"13/01/2024\", \"lint\": {\"allow\": [\"R060\"]}",
    ] {
        let fixed = fix("r.json", entry(doubtful).as_bytes(), None);
        assert_eq!((fixed.text.as_str(), fixed.is_changed()), (entry(doubtful).as_str(), false));
        assert!(fixed.problems.is_empty() && fixed.diff("r.json").is_empty());
    }
    // Bytes that are not UTF-8 would be lost.
    assert!(!fix("r.json", b"[{\"model_name\": \"caf\xE9\", \"backend\": \"mock\",}]", None).is_changed());
}

#[test]
fn false_flags_and_twins_go_with_their_comma() {
    let entry = |inside: &str| {
        format!(
            "[{{\"model_name\": \"m\", \"backend\": \"openai\", \"model_id\": \"m\", \"model_config\": {{{inside}}}}}]"
        )
    };
    let flag = "\"reasoning_model\": false";
    for (bad, good) in [
        (format!(" {flag} "), String::new()),
        (format!("{flag}, \"a\": 1"), "\"a\": 1".to_owned()),
        (format!("\"a\": 1 , {flag} "), "\"a\": 1  ".to_owned()),
        (format!("\"a\": 1,\n  {flag},\n  \"b\": 2"), "\"a\": 1,\n  \"b\": 2".to_owned()),
    ] {
        assert_eq!(fixed(&entry(&bad)), entry(&good));
    }
    let one = "{\"model_name\": \"m\", \"backend\": \"mock\"}";
    assert_eq!(fixed(&format!("[\n  {one},\n  {one},\n  {one}\n]\n")), format!("[\n  {one}\n]\n"));
}

#[test]
fn the_closing_bracket_keeps_its_place_where_the_last_item_goes() {
    let one = "{\"model_name\": \"m\", \"backend\": \"mock\"}";
    for (bad, good) in [
        (format!("[\n  {one},\n  {one},\n]\n"), format!("[\n  {one}\n]\n")),
        (format!("[\n  {one},\n  {one},\n  {one},\n\n]"), format!("[\n  {one}\n\n]")),
        (format!("[{one}, {one}, ]"), format!("[{one} ]")),
    ] {
        assert_eq!(fixed(&bad), good);
    }
    let entry = |config: &str| {
        format!(
            "[{{\"model_name\": \"m\", \"backend\": \"openai\", \"model_id\": \"m\", \"model_config\": {config}}}]"
        )
    };
    let flag = "\"reasoning_model\": false";
    for (bad, good) in [
        (format!("{{\n    {flag},\n  }}"), "{}"),
        (format!("{{\n    \"a\": 1,\n    {flag},\n  }}"), "{\n    \"a\": 1\n  }"),
    ] {
        assert_eq!(fixed(&entry(&bad)), entry(good));
    }
}

/// The codes of the problems of a text, with their lines.
fn codes(text: &str) -> Vec<(&'static str, usize)> {
    check("r.json", text.as_bytes(), None)
        .problems
        .iter()
        .map(|problem| (problem.kind.code, problem.line))
        .collect()
}

#[test]
fn a_merge_conflict_is_one_problem_and_stays_as_it_is() {
    let entry = |name: &str| format!("  {{\"model_name\": \"{name}\", 'backend': \"mock\"}}");
    let (a, b) = (entry("a"), entry("b"));
    let found = |text: &str| {
        assert!(!fix("r.json", text.as_bytes(), None).is_changed(), "{text}");
        codes(text).into_iter().filter(|(code, _)| *code != "R012").collect::<Vec<_>>()
    };
    for text in [
        format!("[\n<<<<<<< HEAD\n{a}\n=======\n{b}\n>>>>>>> other\n]\n"),
        format!("[\r\n<<<<<<< HEAD\r\n{a}\r\n=======\r\n{b}\r\n>>>>>>> other\r\n]\r\n"),
        format!("[\n<<<<<<<\n{a}\n|||||||\n=======\n{b}\n>>>>>>>\n]"),
        format!("[\n<<<<<<< HEAD\n{a}\n||||||| merged common ancestors\n{b}\n=======\n]]}}\n>>>>>>> other\n]"),
        format!("[{}\n<<<<<<< HEAD\n, {b}\n=======\n>>>>>>> other\n]", entry("c")),
        "[{\"model_name\": \"m\",\n<<<<<<< HEAD\n\"backend\": 'mock'\n=======\n\"backend\": 'x'\n>>>>>>> o\n}]".to_owned(),
    ] {
        assert_eq!(found(&text), [("R090", 2)], "{text}");
    }
    let two =
        format!("[\n<<<<<<< HEAD\n{a},\n=======\n>>>>>>> x\n{b}\n<<<<<<< HEAD\n=======\n,{b}\n>>>>>>> x\n]");
    assert_eq!(found(&two), [("R090", 2), ("R090", 7)]);
    // Both sides at once: a line that was forgotten when somebody resolved it.
    for line in ["=======", ">>>>>>> other", "||||||| 1a2b"] {
        assert_eq!(found(&format!("[\n{a},\n{line}\n{b}\n]")), [("R090", 3)]);
    }
    // A string that lacks its end does not swallow the lines after it.
    let open = format!("[\n{{\"model_name\": \"m\n<<<<<<< HEAD\n{a}\n=======\n>>>>>>> x\n]\n");
    assert!(found(&open).contains(&("R090", 3)), "{:?}", codes(&open));
}

#[test]
fn what_only_looks_like_a_conflict_is_none() {
    for text in
        ["[\n <<<<<<< HEAD\n]", "[\n<<<<<<\n]", "[\n<<<<<<<< HEAD\n]", "[\n=======x\n]", "[<<<<<<< HEAD\n]"]
    {
        assert!(codes(text).iter().all(|(code, _)| *code != "R090"), "{text}");
    }
    let inside = "[{\"model_name\": \"m\", \"backend\": \"mock\", \"comment\": \"<<<<<<< HEAD\\n=======\"}]";
    assert_eq!(codes(inside), []);
}

#[test]
fn the_diff_is_unified() {
    let text = "[\n  {\n    \"model_name\": \"m\",\n    \"backend\": 'mock',\n    \"a\": 1,\n    \"b\": 2,\n    \"c\": 3,\n    \
                \"d\": 4,\n    \"e\": 5,\n    \"f\": 6,\n    \"h\": 8,\n    \"g\": True\n  }\n]";
    let fixed = fix("r.json", text.as_bytes(), None);
    let expected = "\
--- r.json
+++ r.json
@@ -1,7 +1,7 @@
 [
   {
     \"model_name\": \"m\",
-    \"backend\": 'mock',
+    \"backend\": \"mock\",
     \"a\": 1,
     \"b\": 2,
     \"c\": 3,
@@ -9,6 +9,6 @@
     \"e\": 5,
     \"f\": 6,
     \"h\": 8,
-    \"g\": True
+    \"g\": true
   }
 ]
\\ No newline at end of file
";
    assert_eq!(fixed.diff("r.json"), expected);
}

#[test]
fn every_fixture_is_mended_once_and_for_all() {
    for (name, bytes) in fixtures("invalid") {
        let first = fix(&name, &bytes, None);
        let again = fix(&name, first.text.as_bytes(), None);
        if std::str::from_utf8(&bytes).is_ok() {
            assert!(!again.is_changed(), "{name}: {}", again.diff(&name));
            assert_eq!(first.rest, check(&name, first.text.as_bytes(), None), "{name}");
        }
        // The reports of the fixed problems are in the report on the file.
        let before = check(&name, &bytes, None);
        let known = |problem: &&clemcore::problem::Problem| before.problems.contains(problem);
        assert_eq!(first.problems.is_empty(), !first.is_changed(), "{name}");
        assert!(first.problems.is_empty() || first.problems.iter().any(|problem| known(&problem)), "{name}");
    }
    for (name, bytes) in fixtures("valid") {
        assert!(!fix(&name, &bytes, None).is_changed(), "{name}");
    }
    assert!(!fix("packaged", PACKAGED.as_bytes(), None).is_changed());
}

/// Small pieces of which texts are made that are nearly a registry.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{\"model_name\": \"m\", \"backend\": \"openai\", \"model_id\": \"m\"",
        "\"reasoning_model\": false",
        "'thinking_mode': False",
        "\"model_config\": {",
        "\"languages\": [",
        "\"iw\"",
        "\"pt_BR\"",
        "\"release_date\": \"13/01/2024\"",
        "\"context_size\": \"131,072\"",
        "\"eos_to_cull\": \"<|a|><|b|>\"",
        "\"backend\": \"huggingface_local\"",
        ",",
        ",",
        ",",
        "}",
        "}",
        "]",
        "[",
        "{",
        "\n",
        " ",
        "\"",
        "'",
        "True",
        "None",
        "seed",
        ":",
        "7",
        "\u{FEFF}",
        "“x”",
        "// remark\n",
        "\"a\": 1",
        "\"open_weight\": \"true\"",
        "\\",
        "é",
    ])
}

proptest! {
    #[test]
    fn mending_is_idempotent_and_leaves_nothing_to_mend(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = format!("[{}", pieces.concat());
        let first = fix("r.json", text.as_bytes(), None);
        let again = fix("r.json", first.text.as_bytes(), None);
        prop_assert!(!again.is_changed(), "{text}\n{}", again.diff("r.json"));
        prop_assert_eq!(&first.rest, &check("r.json", first.text.as_bytes(), None));
    }

    #[test]
    fn a_valid_entry_keeps_all_that_was_not_mended(
        flags in prop::collection::vec(any::<bool>(), 0..6), size in "[0-9]{1,3}(,[0-9]{3})?k?", name in "[a-z<|>\"\\\\é]{1,8}",
    ) {
        let config: Vec<_> = flags.iter().enumerate().map(|(at, flag)| match at % 2 {
            0 => format!("\"key{at}\": {flag}"),
            _ => format!("\"reasoning_model\": {flag}"),
        }).take(2).collect();
        let name = serde_json::Value::from(name);
        let text = format!(
            "[ {{\"model_name\": {name}, \"backend\":\"openai\" , \"model_id\": {name}, \"context_size\": \"{size}\", \
             \"model_config\": {{{}}}, \"mine\": [1, {{\"a\": {name}}}]}} ]", config.join(" , "));
        let fixed = fix("r.json", text.as_bytes(), None).text;
        let load = |text: &str| Registry::load(&[("r.json", text)], None).unwrap().entry(0).unwrap();
        let (old, new) = (load(&text), load(&fixed));
        for key in ["model_name", "backend", "model_id", "mine", "lookup_source"] {
            prop_assert_eq!(old.get(key), new.get(key));
        }
        prop_assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
    }
}

#[test]
fn kinds_that_are_mended_say_so_in_their_examples() {
    // Each kind's good example is what fixing makes of the bad one, where it makes anything of it.
    let fixed: Vec<_> = catalogue::ALL
        .iter()
        .filter(|kind| fix("r.json", kind.bad.as_bytes(), None).is_changed())
        .map(|kind| kind.code)
        .collect();
    for code in ["R010", "R012", "R013", "R014", "R050", "R063", "R064", "R068"] {
        assert!(fixed.contains(&code), "{code} of {fixed:?}");
    }
}
