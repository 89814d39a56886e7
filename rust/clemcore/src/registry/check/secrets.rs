//! Secrets: found by the name of the key or the look of the value, at any depth.
use super::Context;
use crate::catalogue as kind;
use crate::json::{Kind, Member, Node};
use crate::text::mask;

/// Looks through the keys of an object; `path` is where it stands.
pub(super) fn check(members: &[Member<'_>], path: &str, context: &mut Context<'_>) {
    for member in members {
        let key = &member.key.text;
        match &member.value.kind {
            Kind::String(text) if mask::is_secret_name(key) && mask::is_real_secret(text) => {
                report(&member.value, &join(path, key), context);
            }
            Kind::String(_) | Kind::Object(_) | Kind::List(_) => value(&member.value, path, key, context),
            _ => {}
        }
    }
}

fn value(node: &Node<'_>, path: &str, key: &str, context: &mut Context<'_>) {
    match &node.kind {
        Kind::String(text) if mask::find_secret(text).is_some() => report(node, &join(path, key), context),
        Kind::Object(members) => check(members, &join(path, key), context),
        Kind::List(items) => {
            for (at, item) in items.iter().enumerate() {
                value(item, path, &format!("{key}[{at}]"), context);
            }
        }
        _ => {}
    }
}

fn report(node: &Node<'_>, field: &str, context: &mut Context<'_>) {
    context
        .at(&kind::SECRET, node.span, "a registry is no place for a secret")
        .field(field)
        .help("put it into an environment variable or key.json; if the file was ever shared, revoke it");
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
