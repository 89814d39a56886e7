//! Entries that this version of clemcore cannot run: their backend is not included, or it refuses one of their keys.
use super::Context;
use super::entry::Name;
use crate::catalogue as kind;
use crate::json::{Kind, Member, Node};
use crate::schema::{self, Field, Rule};

/// Reports a backend that clemcore does not include, unless a custom backend has this name.
pub(super) fn backend(entry: &Node<'_>, context: &mut Context<'_>) {
    let Some(member) = entry.get("backend") else { return };
    let Some(name) = member.value.as_str().filter(|name| is_not_included(name)) else { return };
    if context.backends.into_iter().flatten().any(|backend| backend.name == name) {
        return;
    }
    if let Some(sentence) = schema::absence(name) {
        context.at(&kind::UNRUNNABLE, member.value.span, sentence).field("backend");
    }
}

/// Whether entries of a backend are known although clemcore does not include it.
pub(in crate::registry) fn is_not_included(backend: &str) -> bool {
    schema::NOT_INCLUDED.iter().any(|(name, _)| *name == backend)
}

/// Reports a key that the entry's backend refuses; whether it does.
pub(super) fn key(field: &Field, member: &Member<'_>, name: Name, context: &mut Context<'_>) -> bool {
    // `false` is the same as no key, except where the key counts by being there.
    let is_off = matches!(member.value.kind, Kind::Bool(false)) && field.rule != Rule::Presence;
    if field.refused.is_empty() || is_off {
        return false;
    }
    let backend = context.backend.clone().unwrap_or_default();
    let message = format_args!("{backend} does not support {name}: {}", field.refused);
    context.at(&kind::UNRUNNABLE, member.key.span, message).field(format_args!("{name}"));
    true
}
