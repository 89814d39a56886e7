//! Keys that have no effect where they stand.
use super::Context;
use crate::catalogue as kind;
use crate::json::Member;
use crate::schema::{self, Field};

/// Backends that refuse every key of `model_config` that they do not read.
const STRICT: &[&str] = &["huggingface_local"];

/// Backends that stand in for others, and so take their settings.
const STAND_INS: &[&str] = &["human", "mock", "replay", "_player_human", "_player_programmed"];

/// Reports a known key that nothing looks for where it stands; whether it is one.
pub(super) fn known(field: &Field, member: &Member<'_>, path: &str, context: &mut Context<'_>) -> bool {
    let Some(backend) = context.known_backend() else { return false };
    let is_nested = !path.is_empty();
    if is_nested && schema::misplaced(field.name).is_some() {
        misplaced(field.name, field.is_argument, member, context);
        return true;
    }
    let is_sent = schema::senders(field.name).is_some_and(|senders| senders.contains(&backend));
    if field.backends.is_empty()
        || field.is_read_by(backend)
        || (!is_nested && (is_sent || is_of_entry(field)))
    {
        return false;
    }
    if STRICT.contains(&backend) {
        if is_nested {
            no_setting(backend, member, context);
        }
        return false;
    }
    let readers: Vec<_> =
        field.backends.iter().copied().filter(|name| schema::BACKENDS.contains(name)).collect();
    // A key that no included backend reads is a note.
    if readers.is_empty() || STAND_INS.contains(&backend) {
        return false;
    }
    let name = format!("{}{}", if is_nested { "model_config." } else { "" }, field.name);
    context
        .at(
            &kind::NO_EFFECT,
            member.key.span,
            format_args!("{name} has no effect: {backend} does not read it"),
        )
        .field(format_args!("{name}"))
        .help(format_args!("leave it out; it is read by {}", readers.join(", ")));
    true
}

/// Whether a key belongs to the entry itself: there it may describe the model for whoever reads the registry.
fn is_of_entry(field: &Field) -> bool {
    schema::ENTRY.iter().any(|known| known.name == field.name)
}

/// Reports a key that the schema does not know, and that has no effect here; whether it is one.
pub(super) fn unknown(member: &Member<'_>, path: &str, context: &mut Context<'_>) -> bool {
    let Some(backend) = context.known_backend() else { return false };
    let name = &*member.key.text;
    match schema::senders(name) {
        Some(_) if !path.is_empty() => misplaced(name, true, member, context),
        Some(senders) if !senders.contains(&backend) => {
            let message =
                format_args!("{name} has no effect: {backend} does not send this generation argument");
            let help = format_args!("leave it out; it is sent by {}", senders.join(", "));
            context.at(&kind::NO_EFFECT, member.key.span, message).field(name).help(help);
        }
        _ => return false,
    }
    true
}

/// Reports an unknown key of `model_config` that is like no known one, where the backend refuses it.
pub(super) fn strange(member: &Member<'_>, path: &str, context: &mut Context<'_>) {
    if let Some(backend) = context.known_backend().filter(|name| !path.is_empty() && STRICT.contains(name)) {
        no_setting(backend, member, context);
    }
}

fn misplaced(name: &str, is_argument: bool, member: &Member<'_>, context: &mut Context<'_>) {
    let (of, what) = if is_argument {
        (&kind::MISPLACED, "a generation argument stands in the entry itself")
    } else {
        (&kind::NO_EFFECT, "the key stands in the entry itself")
    };
    let message = format_args!("model_config.{name} has no effect: {what}");
    context
        .at(of, member.key.span, message)
        .field(format_args!("model_config.{name}"))
        .help(format_args!("write \"{name}\" beside \"model_config\", not in it"));
}

fn no_setting(backend: &str, member: &Member<'_>, context: &mut Context<'_>) {
    let shown: String = member.key.text.chars().take(40).collect();
    let mut names: Vec<_> = schema::settings(backend)
        .iter()
        .filter(|setting| setting.is_nested && setting.field.refused.is_empty())
        .map(|setting| setting.field.name)
        .collect();
    names.sort_unstable();
    context
        .at(&kind::NO_EFFECT, member.key.span, format_args!("{backend} has no setting model_config.{shown}"))
        .field(format_args!("model_config.{shown}"))
        .help(format_args!("leave it out; known are {}", names.join(", ")));
}

/// Whether the full check may have something to say about a known key.
pub(in crate::registry) fn may_concern_known(field: &Field, is_nested: bool) -> bool {
    let is_of_some = !field.backends.is_empty() && (is_nested || !is_of_entry(field));
    is_of_some || (is_nested && schema::misplaced(field.name).is_some())
}

/// Whether the full check may have something to say about a key that the schema does not know.
pub(in crate::registry) fn may_concern(key: &str, is_nested: bool) -> bool {
    is_nested || schema::senders(key).is_some()
}
