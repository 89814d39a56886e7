//! The quick way of loading against the full check: the same problems and the same entries, whatever the text is.
//!
//! `Registry::load_slowly` reads every text with the full check, so it is the oracle: `Registry::load` must report
//! exactly what it reports, and both must hold exactly the entries that the JSON parser reads.
//! `CLEMCORE_SHARED` names a folder with `corpus/registries/*.json`, which are compared too.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::json;
use clemcore::registry::{PACKAGED, Registry, Text, check, check_slowly};
use clemcore::value::{Dict, Value};
use proptest::prelude::*;
use std::path::Path;

fn entries(name: &str, bytes: &[u8]) -> Vec<Dict> {
    let (value, _) = json::read(name, bytes).unwrap();
    let list = match value {
        Value::List(list) => list,
        other => vec![other],
    };
    let dict = |value| match value {
        Value::Dict(mut dict) => {
            if !dict.contains_key("lookup_source") {
                dict.insert("lookup_source", name.into());
            }
            dict
        }
        other => panic!("{other:?}"),
    };
    list.into_iter().map(dict).collect()
}

/// Loads a text both ways and compares everything.
fn compare(name: &str, bytes: &[u8]) {
    assert_eq!(
        check(name, bytes, None),
        check_slowly(name, bytes, None),
        "{}",
        String::from_utf8_lossy(bytes)
    );
    let quick = Registry::load(&[(name, bytes)], None);
    match (quick, Registry::load_slowly(&[(name, bytes)], None)) {
        (Err(quick), Err(slow)) => assert_eq!(quick, slow),
        (Ok(quick), Ok(slow)) => {
            assert_eq!(quick.warnings(), slow.warnings(), "{}", String::from_utf8_lossy(bytes));
            let expected = entries(name, bytes);
            for registry in [quick, slow] {
                let found: Vec<_> = (0..registry.len()).map(|index| registry.entry(index).unwrap()).collect();
                assert_eq!(found, expected);
                compare_names(&registry, &expected);
            }
        }
        (quick, _) => panic!("{quick:?}: {}", String::from_utf8_lossy(bytes)),
    }
}

fn compare_names(registry: &Registry, entries: &[Dict]) {
    let name = |dict: &Dict| dict.get("model_name").unwrap().as_str().unwrap().to_owned();
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let name = name(entry);
        if !names.contains(&name) {
            let first =
                entries.iter().position(|entry| entry.get("model_name") == Some(&Value::from(&*name)));
            let selector: Dict = [("model_name", Value::from(&*name))].into_iter().collect();
            assert_eq!(registry.resolve(&selector).map(|(index, _)| index), first);
            names.push(name);
        }
    }
    assert_eq!(registry.names(), names);
}

fn files() -> Vec<(String, Vec<u8>)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/registries");
    let mut folders = vec![fixtures.join("valid"), fixtures.join("invalid")];
    let shared = std::env::var_os("CLEMCORE_SHARED");
    folders.extend(shared.map(|shared| Path::new(&shared).join("corpus/registries")));
    let read = |folder| std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
    let paths = folders.into_iter().flat_map(read);
    let mut files: Vec<_> =
        paths.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect();
    files.push(("packaged".to_owned(), PACKAGED.as_bytes().to_vec()));
    files
}

#[test]
fn both_ways_agree_on_every_file() {
    for (name, bytes) in files() {
        compare(&name, &bytes);
    }
}

#[test]
fn both_ways_agree_where_two_files_become_one() {
    // Entries of clean files beside those of faulty ones: a fault must not be lost among what is clean.
    let inner = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).trim().to_owned();
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).map(str::to_owned)
    };
    let lists: Vec<String> =
        files().iter().filter(|(name, _)| name != "packaged").filter_map(|(_, b)| inner(b)).collect();
    for list in &lists {
        compare("both", format!("[{{\"model_name\": \"x\", \"backend\": \"mock\"}},{list}]").as_bytes());
        compare("both", format!("[{list},{{\"model_name\": \"x\", \"backend\": \"mock\"}}]").as_bytes());
    }
}

#[test]
fn a_complaint_quotes_no_secret_of_a_neighbour() {
    for value in ["[]", "[1]", "{}", "12", "\"\"", "\"YOUR_KEY\"", "true", "null"] {
        let text = format!(
            "[{{\"model_name\": \"a\", \"backend\": \"mck\"}}, \
             {{\"model_name\": \"b\", \"backend\": \"mock\", \"api_key\": {value}}}]"
        );
        compare("r.json", text.as_bytes());
    }
}

#[test]
fn both_ways_agree_where_values_repeat() {
    let entry = |name: usize, members: &str| {
        format!("{{\"model_name\": \"m{name}\", \"backend\": \"openai\", \"model_id\": \"m\", {members}}}")
    };
    let values = [
        "\"license\": {\"name\": \"L\"}",
        "\"license\": {\"name\": \"L\"}, \"license\": {\"name\": \"L\"}",
        "\"license\": {\"name\": \"L\"}}",
        "\"license\": {\"name\": \"L\"} 1",
        "\"model_config\": {\"license\": {\"name\": \"L\"}}",
        "\"model_config\": {\"reasoning_model\": false}",
        "\"languages\": [\"en\", \"iw\"]",
        "\"languages\": [\"en\", \"de\"]",
        "\"languages\": []",
        "\"aliases\": [\"a\"]",
        "\"own\": [[\"a\"]], \"temperatur\": [1]",
    ];
    for first in values {
        for second in values {
            for third in [first, second] {
                let entries = [entry(1, first), entry(2, second), entry(3, third)];
                compare("repeated", format!("[{}]", entries.join(", ")).as_bytes());
            }
        }
    }
}

#[test]
fn the_packaged_registry_is_clean_and_read_the_quick_way() {
    let registry = Registry::load_texts([("packaged", Text::Packaged)], None).unwrap();
    assert_eq!(registry.len(), entries("packaged", PACKAGED.as_bytes()).len());
    assert!(registry.warnings().problems.is_empty());
    let problems = check("packaged", PACKAGED.as_bytes(), None).problems;
    assert!(problems.iter().all(|problem| *problem.kind == clemcore::catalogue::UNRUNNABLE));
}

/// Small pieces of registries, right and wrong, to be put together at random.
fn piece() -> impl Strategy<Value = String> {
    let keys = prop_oneof![
        Just("model_name"),
        Just("backend"),
        Just("release_date"),
        Just("context_size"),
        Just("model_config"),
        Just("eos_to_cull"),
        Just("languages"),
        Just("temperature"),
        Just("own"),
        Just("temperatur"),
        Just("lookup_source"),
        Just("thinking_mode"),
        Just("api_key"),
        Just("n\\u0061me"),
        Just("é"),
        Just("reasoning_model"),
        Just("max_tokens"),
        Just("open_weight"),
        Just("license"),
        Just("key"),
    ];
    let leaf = prop_oneof![
        Just("\"m\""),
        Just("\"mock\""),
        Just("\"openai\""),
        Just("\"anthropic\""),
        Just("\"huggingface_local\""),
        Just("\"2024-01-31\""),
        Just("\"2024-02-31\""),
        Just("\"06-01-24\""),
        Just("\"128k\""),
        Just("\"lots\""),
        Just("1"),
        Just("0"),
        Just("-1"),
        Just("1.5"),
        Just("1e400"),
        Just("01"),
        Just("-0"),
        Just("1e5"),
        Just("12345678901234567890123"),
        Just("true"),
        Just("false"),
        Just("null"),
        Just("nulla"),
        Just("\"\""),
        Just("\" \""),
        Just("\"<|im_end|>\""),
        Just("\"<\\\\|im_end\\\\|>\""),
        Just("\"sk-abcdefghij0123456789abc\""),
        Just("\"$KEY\""),
        Just("\"\\ud800\""),
        Just("\"\\ud83d\\ude00\""),
        Just("\"\\q\""),
        Just("\"a\tb\""),
        Just("\"日本\""),
        Just("[]"),
        Just("[\"en\"]"),
        Just("[\"en\", 1]"),
        Just("{}"),
        Just("\"a long text that goes on\""),
    ]
    .prop_map(str::to_owned);
    let key = keys.clone();
    let value = leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((key.clone(), inner), 0..4).prop_map(|members| object(&members)),
        ]
    });
    proptest::collection::vec((keys, value), 0..4).prop_map(|members| members_of(&members))
}

fn members_of<K: AsRef<str>>(members: &[(K, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(key, value)| format!("\"{}\": {value}", key.as_ref())).collect();
    members.join(", ")
}

fn object<K: AsRef<str>>(members: &[(K, String)]) -> String {
    format!("{{{}}}", members_of(members))
}

fn entry() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("\\u0061"), Just("c")];
    let backend =
        prop_oneof![Just("mock"), Just("openai"), Just("huggingface_local"), Just("anthropic"), Just("mck")];
    (name, backend, piece(), 0..40_u8).prop_map(|(name, backend, more, odd)| {
        let comma = if more.is_empty() { "" } else { "," };
        match odd {
            0 => format!("{{{more}}}"),
            1 => format!("{{\"model_name\":\"{name}\"{comma}{more}}}"),
            2..20 => format!("{{{more}{comma}\"backend\":\"{backend}\",\"model_name\":\"{name}\"}}"),
            _ => format!("{{\"model_name\":\"{name}\",\n\"backend\" : \"{backend}\"{comma}{more}}}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_ways_agree_on_random_registries(entries in proptest::collection::vec(entry(), 0..4), end in "[ \n,\\]]{0,2}") {
        compare("r.json", format!("[{}]{end}", entries.join(",")).as_bytes());
    }
}
