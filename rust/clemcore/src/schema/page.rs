//! The schema for people: the reference page of all keys, and the page of one key.
use super::{ENTRY, Field, MODEL_CONFIG, Rule, SELECTOR, Type};
use std::fmt::Write as _;

const HEAD: &str = "\
# The keys of a model registry

This page is made by `clem registry schema --format markdown > docs/registry-fields.md`; change the tables in
`rust/clemcore/src/schema/`. `clem registry explain KEY` shows one key, `clem registry schema` prints the same facts
as JSON Schema (`docs/model_registry.schema.json`) for editors.

A registry is a list of objects. Unknown keys are legal everywhere: backends of your own may read them. A key that
only some backends read is judged only in their entries.
";

/// The reference page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "Keys of an entry", "", ENTRY);
    let config = "In entries in the layout of 2024 they stand beside `model_name`. A flat `eos_to_cull` is plain text, a nested one\n\
                  a regular expression.\n";
    section(&mut page, "Keys of `model_config`", config, MODEL_CONFIG);
    section(&mut page, "Keys of a selector", "They stand in what is asked for, never in a file.\n", SELECTOR);
    page
}

fn section(page: &mut String, title: &str, text: &str, fields: &[Field]) {
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {title}\n\n{text}");
    page.push_str(if text.is_empty() { "" } else { "\n" });
    page.push_str("| key | type | unit | missing means | read by | meaning |\n|---|---|---|---|---|---|\n");
    for field in fields {
        let cells = [
            format!("`{}`{}", field.name, need(field)),
            types(field),
            dash(field.unit),
            dash(field.default),
            readers(field),
            meaning(field),
        ];
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

const fn need(field: &Field) -> &'static str {
    match field.rule {
        Rule::Required => " (required)",
        Rule::Needed => " (needed by its readers)",
        _ => "",
    }
}

fn dash(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.to_owned() }
}

/// `a string or null`.
fn types(field: &Field) -> String {
    let words: Vec<_> = field.types.iter().map(|of| of.words()).collect();
    words.join(" or ")
}

fn readers(field: &Field) -> String {
    if field.backends.is_empty() { "all".to_owned() } else { field.backends.join(", ") }
}

/// The sentence, the values and the keys beneath, and what to write instead of a key that is refused or old.
pub(super) fn meaning(field: &Field) -> String {
    let mut text = field.meaning.to_owned();
    if !field.values.is_empty() {
        let values: Vec<_> = field.values.iter().map(|value| format!("`{value}`")).collect();
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    if !field.keys.is_empty() {
        let keys: Vec<_> = field.keys.iter().map(|(key, meaning)| format!("`{key}`: {meaning}")).collect();
        let _ = write!(text, " It holds {}.", keys.join("; "));
    }
    if !field.refused.is_empty() {
        let _ = write!(text, " Not supported: {}.", field.refused);
    }
    if !field.deprecated.is_empty() {
        let _ = write!(text, " Deprecated: {}.", field.deprecated);
    }
    text
}

/// The page of one key, as plain text, for each place where it is known; `None` for an unknown key.
///
/// ```
/// let page = clemcore::schema::explain("model_config.dtype").unwrap();
/// assert!(page.starts_with("model_config.dtype: a string\n"));
/// assert!(clemcore::schema::explain("dtypo").is_none());
/// ```
#[must_use]
pub fn explain(key: &str) -> Option<String> {
    let places = [("", ENTRY), ("model_config.", MODEL_CONFIG), ("selector: ", SELECTOR)];
    let pages: Vec<_> = places
        .iter()
        .flat_map(|(path, fields)| fields.iter().map(move |field| (*path, field)))
        .filter(|(path, field)| field.name == key || key.strip_prefix(path) == Some(field.name))
        .map(|(path, field)| entry_of(path, field))
        .collect();
    (!pages.is_empty()).then(|| pages.join("\n"))
}

fn entry_of(path: &str, field: &Field) -> String {
    let mut text = format!("{path}{}: {}\n\n    {}\n", field.name, types(field), meaning(field));
    let readers = readers(field);
    for (title, value) in [
        ("needed", need(field).trim()),
        ("unit", field.unit),
        ("missing means", field.default),
        ("read by", readers.as_str()),
        ("example", example(field)),
    ] {
        if !value.is_empty() {
            let _ = write!(text, "\n    {:<15}{value}", format!("{title}:"));
        }
    }
    text.push('\n');
    text
}

/// A value as it is written, where the type alone shows it.
fn example(field: &Field) -> &'static str {
    match (field.rule, field.types) {
        (Rule::Date, _) => "\"2024-01-31\"",
        (Rule::Size, _) => "\"128k\"",
        (Rule::Bytes, _) => "\"4GB\"",
        (Rule::Limits, _) => "{\"0\": \"20GB\", \"cpu\": \"60GB\"}",
        (Rule::Languages, _) => "[\"en\", \"pt-BR\"]",
        (Rule::Pattern, _) => "\"<\\\\|im_end\\\\|>\"",
        (_, [Type::Bool, ..]) => "true",
        _ => "",
    }
}
