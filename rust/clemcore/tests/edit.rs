//! Putting an entry into a file: the entry is there, everything else is as it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::edit::{Position, Refused, upsert, upsert_all};
use clemcore::registry::Registry;
use clemcore::value::{Dict, Value};

fn new() -> Dict {
    [("model_name", Value::from("new")), ("backend", "mock".into()), ("languages", vec!["en".into()].into())]
        .into_iter()
        .collect()
}

fn put(text: &str, position: Position) -> String {
    upsert("r.json", Some(text.as_bytes()), &new(), position).unwrap()
}

fn names(text: &str) -> Vec<String> {
    let registry = Registry::load(&[("r.json", text)], None).unwrap();
    (0..registry.len())
        .map(|at| registry.entry(at).unwrap().get("model_name").unwrap().as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_new_file_is_a_list_of_one() {
    let text = upsert("r.json", None, &new(), Position::Front).unwrap();
    assert_eq!(
        text,
        "[\n  {\n    \"model_name\": \"new\",\n    \"backend\": \"mock\",\n    \"languages\": [\"en\"]\n  }\n]\n"
    );
}

#[test]
fn the_front_gets_the_style_of_the_file() {
    let cases = [
        ("[]", "[\n  {N\n  }\n]"),
        ("[ \n ]\n", "[\n  {N\n  }\n]\n"),
        (
            "[\n\t{\"model_name\": \"a\",   \"backend\":\"mock\"}\n]\n",
            "[\n\t{N\n\t},\n\t{\"model_name\": \"a\",   \"backend\":\"mock\"}\n]\n",
        ),
    ];
    for (before, after) in cases {
        let indent = if before.contains('\t') { "\t\t" } else { "    " };
        let fields = ["\"model_name\": \"new\"", "\"backend\": \"mock\"", "\"languages\": [\"en\"]"];
        let body: Vec<_> = fields.iter().map(|field| format!("\n{indent}{field}")).collect();
        assert_eq!(put(before, Position::Front), after.replace('N', &body.join(",")));
    }
}

#[test]
fn every_other_byte_stays() {
    let before = "\u{feff}[\r\n    {\"backend\": \"mock\", \"model_name\": \"a\", \"x\": 1.50, \"y\": \"\\u00e9\"} ,\r\n\r\n    \
                  {  \"model_name\":\"b\",\"backend\":\"mock\"}]  \r\n";
    for (index, (start, end)) in [
        (before.find("{\"b").unwrap(), before.find(" ,").unwrap()),
        (before.find("{  ").unwrap(), before.find("]  ").unwrap()),
    ]
    .into_iter()
    .enumerate()
    {
        let after = put(before, Position::Replace(index));
        assert!(after.starts_with(&before[..start]));
        assert!(after.ends_with(&before[end..]));
        assert_eq!(names(&after)[index], "new");
        assert!(!after.replace("\r\n", "").contains('\n'));
    }
    let front = put(before, Position::Front);
    assert!(front.ends_with(&before[before.find("{\"b").unwrap()..]));
    assert_eq!(names(&front), ["new", "a", "b"]);
}

#[test]
fn every_valid_file_can_be_edited_at_every_place() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/registries/valid");
    for file in std::fs::read_dir(folder).unwrap() {
        let before = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let old = names(&before);
        assert_eq!(names(&put(&before, Position::Front)), [&["new".to_owned()], &old[..]].concat());
        for index in 0..old.len() {
            let mut expected = old.clone();
            expected[index] = "new".to_owned();
            assert_eq!(names(&put(&before, Position::Replace(index))), expected);
        }
    }
}

#[test]
fn the_entry_reads_back_as_it_was() {
    let mut entry = new();
    entry.insert("big", Value::BigInt("123456789012345678901234567890".into()));
    entry.insert("float", Value::Float(1e22));
    entry.insert("tiny", Value::Float(5e-324));
    entry.insert("text", Value::from("é \" \\ \n \u{1} \u{1f600}"));
    entry.insert("nested", Value::List(vec![Value::Null, Value::Dict(new()), Value::List(vec![])]));
    entry.insert("lookup_source", Value::from("r.json"));
    let text = upsert("r.json", None, &entry, Position::Front).unwrap();
    assert!(!text.contains("lookup_source"));
    assert_eq!(Registry::load(&[("r.json", text)], None).unwrap().entry(0), Some(entry));
}

#[test]
fn what_cannot_be_done_is_refused() {
    let broken = upsert("r.json", Some(b"[{},]"), &new(), Position::Front);
    assert!(matches!(broken, Err(Refused::Broken(report)) if report.problems.len() == 3));
    let missing = upsert("r.json", Some(b"[]"), &new(), Position::Replace(0));
    assert_eq!(missing, Err(Refused::NoSuchEntry { index: 0, entries: 0 }));
    assert_eq!(
        upsert("r.json", None, &new(), Position::Replace(3)),
        Err(Refused::NoSuchEntry { index: 3, entries: 0 })
    );
    for value in [Value::Opaque(0), Value::Float(f64::NAN), Value::List(vec![Value::Opaque(0)])] {
        let mut entry = new();
        entry.insert("x", value);
        assert_eq!(upsert("r.json", None, &entry, Position::Front), Err(Refused::NotJson("x".to_owned())));
    }
}

#[test]
fn several_entries_go_in_as_one_after_the_other() {
    let entry = |name: &str| [("model_name", name), ("backend", "mock")].into_iter().collect::<Dict>();
    let texts = [
        None,
        Some("[]"),
        Some("{\"model_name\": \"a\", \"backend\": \"mock\"}"),
        Some(
            "\u{feff}[\r\n\t{\"model_name\": \"a\",   \"backend\":\"mock\"} ,{\"model_name\": \"b\", \"backend\": \"mock\"}]",
        ),
    ];
    let front = Position::Front;
    let orders: [&[Position]; 6] = [
        &[front, front, front],
        &[front, Position::Replace(0), front, Position::Replace(1), Position::Replace(2)],
        &[Position::Replace(0), front, Position::Replace(1), front],
        &[Position::Replace(1), Position::Replace(1), front, Position::Replace(2), Position::Replace(7)],
        &[Position::Replace(0), Position::Replace(0)],
        &[],
    ];
    for text in texts {
        for order in orders {
            let names = ["x", "y", "z", "u", "v"];
            let edits: Vec<_> = order.iter().zip(names).map(|(at, name)| (entry(name), *at)).collect();
            let one_by_one = edits.iter().try_fold(text.map(str::to_owned), |text, (entry, at)| {
                upsert("r.json", text.as_deref().map(str::as_bytes), entry, *at).map(Some)
            });
            let at_once = upsert_all("r.json", text.map(str::as_bytes), edits);
            match one_by_one {
                Ok(Some(text)) => assert_eq!(at_once.unwrap(), text),
                Ok(None) => assert_eq!(at_once.unwrap(), "[]\n"),
                Err(refused) => assert_eq!(at_once.unwrap_err(), refused),
            }
        }
    }
}
