//! One entry: what must be there, and each key against the schema.
use super::{Context, secrets, values};
use crate::catalogue as kind;
use crate::json::{Kind, Member, Node};
use crate::schema::{self, Field, Trait};
use crate::text::{Span, similar};

/// Checks an entry.
pub(super) fn check(node: &Node<'_>, context: &mut Context<'_>) {
    if matches!(node.kind, Kind::Broken) {
        return;
    }
    let Some(members) = node.members() else {
        let message = format!("an entry is an object, not {}", node.to_value().kind_name());
        context.at(&kind::NOT_AN_ENTRY, node.span, message).help("write {\"model_name\": …, \"backend\": …}");
        return;
    };
    // After a syntax fault, a key that is missing may just not have been read.
    if !context.spoiled(node.span) {
        missing_fields(node, context);
    }
    secrets::check(members, "", context);
    for member in members {
        match schema::entry_field(&member.key.text) {
            Some(field) => known_key(field, member, "", context),
            None => unknown_key(member, members, "", context),
        }
        if member.key.text == "model_config" {
            model_config(&member.value, context);
        }
    }
}

fn missing_fields(node: &Node<'_>, context: &mut Context<'_>) {
    for field in schema::ENTRY.iter().filter(|field| field.trait_ == Trait::Required) {
        if node.get(field.name).is_none() {
            let span = Span::new(node.span.start, node.span.start + 1);
            let probably = near_key(node, field.name);
            let help = match probably {
                Some(key) => format!("is {key:?} meant to be \"{}\"?", field.name),
                None => format!("add \"{}\": \"…\"", field.name),
            };
            context
                .at(&kind::MISSING_FIELD, span, format!("this entry has no {}", field.name))
                .field(field.name)
                .help(help);
        }
    }
}

/// A key of the object that looks like `wanted`.
fn near_key(node: &Node<'_>, wanted: &str) -> Option<String> {
    let keys = node.members()?.iter().map(|member| &*member.key.text);
    keys.filter(|key| schema::entry_field(key).is_none())
        .find(|key| similar::near_miss(key, [wanted]).is_some())
        .map(|key| key.chars().take(40).collect())
}

fn model_config(config: &Node<'_>, context: &mut Context<'_>) {
    let Some(members) = config.members() else { return };
    for member in members {
        match schema::config_field(&member.key.text) {
            Some(field) => known_key(field, member, "model_config.", context),
            None => unknown_key(member, members, "model_config.", context),
        }
    }
}

/// Checks the value of a key that the schema knows.
fn known_key(field: &'static Field, member: &Member<'_>, path: &str, context: &mut Context<'_>) {
    let name = format!("{path}{}", field.name);
    if !values::has_type(field, &member.value, &name, context) {
        return;
    }
    // A flat `eos_to_cull` of 2024 is plain text, not a pattern.
    if field.trait_ == Trait::Pattern && path.is_empty() {
        return;
    }
    values::check(field, &member.value, &name, context);
}

/// A key that nobody knows is legal; one that is almost known is probably a typing error.
fn unknown_key(member: &Member<'_>, members: &[Member<'_>], path: &str, context: &mut Context<'_>) {
    let key = &*member.key.text;
    if context.spoiled(member.key.span) {
        return;
    }
    // A required key that is missing was reported, and this one with it.
    let is_reported = |near: &&str| schema::REQUIRED.contains(near);
    let near = context.near_miss(key).filter(|near| !is_reported(near));
    let Some(near) = near.filter(|near| !members.iter().any(|other| other.key.text == *near)) else { return };
    let shown: String = key.chars().take(40).collect();
    context
        .at(&kind::UNKNOWN_KEY, member.key.span, format!("nothing reads the key {shown:?}"))
        .field(format!("{path}{shown}"))
        .help(format!("did you mean \"{near}\"?"));
}
