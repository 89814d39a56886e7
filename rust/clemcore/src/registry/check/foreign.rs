//! Files that hold no list of entries, but something that was meant as one.
use crate::catalogue as kind;
use crate::json::{Kind, Node};
use crate::problem::Faults;
use crate::text::Span;

/// Reports a text that is YAML; whether it is.
pub(super) fn check(text: &str, faults: &mut Faults) -> bool {
    let Some(span) = yaml(text) else { return false };
    faults
        .at(&kind::YAML, span, "this is YAML, and a registry is JSON")
        .help("write [{\"model_name\": \"…\", \"backend\": \"…\"}]");
    true
}

/// The first line that only YAML has, where a text begins with one.
fn yaml(text: &str) -> Option<Span> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim();
        if shown.is_empty() || shown.starts_with('#') || shown.starts_with('%') {
            start += line.len();
            continue;
        }
        let at = start + line.len() - line.trim_start().len();
        let is_yaml = shown == "---" || is_pair(shown.trim_start_matches("- ").trim_start());
        return is_yaml.then(|| Span::new(at, at + shown.len()));
    }
    None
}

/// Whether a line begins with a bare key and its colon, and has no bracket before.
fn is_pair(line: &str) -> bool {
    let Some((key, value)) = line.split_once(':') else { return false };
    let mut letters = key.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
        && (value.is_empty() || value.starts_with(' '))
}

/// Whether an object is no entry but holds entries: under their names, or in a list under one key.
pub(super) fn is_no_entry(node: &Node<'_>) -> bool {
    let Some(members) = node.members().filter(|members| !members.is_empty()) else { return false };
    let is_object = |node: &Node<'_>| matches!(node.kind, Kind::Object(_));
    let is_known = |key: &str| crate::schema::entry_field(key).is_some();
    let is_keyed = members.iter().all(|member| is_object(&member.value) && !is_known(&member.key.text));
    is_keyed || list_in(node).is_some()
}

/// The key of the only list of objects in an object of a few keys that no entry has.
fn list_in<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    let members = node.members()?;
    if members.iter().any(|member| crate::schema::entry_field(&member.key.text).is_some()) {
        return None;
    }
    let holds_entries = |node: &Node<'_>| match &node.kind {
        Kind::List(items) => !items.is_empty() && items.iter().all(|item| item.get("model_name").is_some()),
        _ => false,
    };
    members.iter().find(|member| holds_entries(&member.value)).map(|member| &*member.key.text)
}

/// Reports such an object.
pub(super) fn report(node: &Node<'_>, faults: &mut Faults) {
    let span = Span::new(node.span.start, node.span.start + 1);
    if let Some(key) = list_in(node) {
        let key: String = key.chars().take(40).collect();
        faults
            .at(
                &kind::NOT_A_LIST,
                span,
                format_args!("a registry is a list of entries, not an object that holds one"),
            )
            .help(format_args!("write only the list that stands under {key:?}"));
        return;
    }
    let name = node.members().and_then(<[_]>::first).map_or("…", |member| &*member.key.text);
    let name: String = name.chars().take(40).collect();
    faults
        .at(&kind::NOT_A_LIST, span, "a registry is a list of entries, not an object keyed by names")
        .help(format_args!("write [{{\"model_name\": {name:?}, …}}, …]"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_told_from_json_with_faults() {
        for text in
            ["- model_name: m\n", "---\n- x", "# models\n\nmodels:\n  - a", "model_name: m", "-   key-1:\n"]
        {
            assert!(yaml(text).is_some(), "{text}");
        }
        for text in [
            "",
            "[]",
            "{model_name: m}",
            "\"model_name\": \"m\"",
            "-0",
            "-",
            "nonsense",
            "http://h",
            "- 5",
            "a b: c",
        ] {
            assert!(yaml(text).is_none(), "{text}");
        }
    }
}
