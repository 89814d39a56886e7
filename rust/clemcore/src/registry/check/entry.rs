//! One entry: what must be there, and each key against the schema.
use super::{Context, MANY_KEYS, between, effect, secrets, templates, unrunnable, values};
use crate::catalogue as kind;
use crate::json::{Kind, Member, Node};
use crate::schema::{self, Field, Rule};
use crate::text::{Span, similar};
use std::fmt;

/// Checks an entry.
pub(super) fn check(node: &Node<'_>, context: &mut Context<'_>) {
    if matches!(node.kind, Kind::Broken) {
        return;
    }
    let Some(members) = node.members() else {
        let message = format_args!("an entry is an object, not {}", node.kind_name());
        context.at(&kind::NOT_AN_ENTRY, node.span, message).help("write {\"model_name\": …, \"backend\": …}");
        return;
    };
    // After a syntax fault, a key that is missing may just not have been read.
    if !context.spoiled(node.span) {
        missing_fields(node, context);
        missing_id(node, context);
    }
    if context.thorough {
        unrunnable::backend(node, context);
    }
    secrets::check(members, context);
    keys(members, "", schema::entry_field, context);
    for member in members.iter().filter(|member| member.key.text == "model_config") {
        if let Some(members) = member.value.members() {
            keys(members, "model_config.", schema::config_field, context);
        }
    }
    if context.thorough {
        between::check(node, context);
    }
    let reads_templates = schema::config_field(TEMPLATE).is_some_and(|field| {
        context.backend.as_deref().is_some_and(|backend| field.backends.contains(&backend))
    });
    if context.compiles && context.thorough && reads_templates {
        templates::check(node, node.get("model_config").map(|member| &member.value), context);
    }
}

/// The key of a chat template of one's own.
const TEMPLATE: &str = "custom_chat_template";

/// The backend has to know which model it is to run.
fn missing_id(node: &Node<'_>, context: &mut Context<'_>) {
    let Some((member, backend)) = node.get("backend").zip(context.backend.clone()) else { return };
    let backend = backend.as_str();
    let needed = |field: &&Field| field.rule == Rule::Needed && field.backends.contains(&backend);
    for field in schema::ENTRY.iter().filter(needed) {
        let given = node.get(field.name).map(|member| &member.value);
        let blank = |value: &Node<'_>| value.as_str().is_some_and(|text| text.trim().is_empty());
        if given.is_some_and(|value| !blank(value)) || near_key(node, field.name).is_some() {
            continue;
        }
        let span = given.map_or(member.value.span, |value| value.span);
        context
            .at(&kind::MISSING_ID, span, format_args!("backend {backend} needs a {}", field.name))
            .field(field.name)
            .help(format_args!("add \"{}\": \"…\". {}", field.name, field.meaning));
    }
}

fn missing_fields(node: &Node<'_>, context: &mut Context<'_>) {
    for field in schema::ENTRY.iter().filter(|field| field.rule == Rule::Required) {
        if node.get(field.name).is_none() {
            let span = Span::new(node.span.start, node.span.start + 1);
            let probably = near_key(node, field.name);
            let help = match probably {
                Some(key) => format!("is {key:?} meant to be \"{}\"?", field.name),
                None => format!("add \"{}\": \"…\"", field.name),
            };
            context
                .at(&kind::MISSING_FIELD, span, format_args!("this entry has no {}", field.name))
                .field(field.name)
                .help(help);
        }
    }
}

/// A key of the object that looks like `wanted`.
fn near_key(node: &Node<'_>, wanted: &str) -> Option<String> {
    // So many keys of one's own are not typing errors.
    let keys = node.members()?.iter().take(MANY_KEYS).map(|member| &*member.key.text);
    keys.filter(|key| schema::entry_field(key).is_none())
        .find(|key| similar::near_miss(key, [wanted]).is_some())
        .map(|key| key.chars().take(40).collect())
}

/// Checks the keys of an object, at `path`, of which `lookup` knows some.
fn keys(
    members: &[Member<'_>],
    path: &'static str,
    lookup: fn(&str) -> Option<&'static Field>,
    context: &mut Context<'_>,
) {
    for member in members {
        if let Some(known) = context.custom_key(path, &member.key.text) {
            values::custom(known, &member.value, context);
            continue;
        }
        match lookup(&member.key.text) {
            Some(field) => known_key(field, member, path, context),
            // An unknown key is legal; one that is almost known is probably a typing error.
            None if context.spoiled(member.key.span) => {}
            None if context.thorough && effect::unknown(member, path, context) => {}
            None => match near(&member.key.text, path, context) {
                // A required key that is missing was reported, and this one with it.
                Some(near) if schema::REQUIRED.contains(&near) => {}
                Some(near) => unknown_key(member, near, path, context),
                None if context.thorough => effect::strange(member, path, context),
                None => {}
            },
        }
    }
}

/// The key that an unknown one was probably meant to be: one that the schema knows, or the entry's backend.
fn near<'c>(key: &str, path: &'static str, context: &mut Context<'c>) -> Option<&'c str> {
    let own = context.custom_backend().and_then(|backend| similar::near_miss(key, backend.keys_at(path)));
    own.or_else(|| context.near_miss(key))
}

/// Checks the value of a key that the schema knows.
fn known_key(field: &'static Field, member: &Member<'_>, path: &'static str, context: &mut Context<'_>) {
    if context.thorough && effect::known(field, member, path, context) {
        return;
    }
    // Who else reads a key of that name may mean something else by it.
    let is_read = context.backend.as_deref().is_some_and(|backend| field.backends.contains(&backend));
    if !field.backends.is_empty() && !is_read {
        return;
    }
    let name = Name { path, field: field.name };
    if context.thorough && !field.deprecated.is_empty() {
        let message = format_args!("{name} is deprecated");
        context
            .at(&kind::DEPRECATED_KEY, member.key.span, message)
            .field(format_args!("{name}"))
            .help(field.deprecated);
    }
    if !values::has_type(field, &member.value, name, context) {
        return;
    }
    if context.thorough && unrunnable::key(field, member, name, context) {
        return;
    }
    if values::is_literal(field, path.is_empty()) {
        if context.thorough {
            values::literal(&member.value, name, context);
        }
        return;
    }
    context.key = member.key.span;
    values::check(field, &member.value, name, context);
}

fn unknown_key(member: &Member<'_>, near: &str, path: &str, context: &mut Context<'_>) {
    let shown: String = member.key.text.chars().take(40).collect();
    context
        .at(&kind::UNKNOWN_KEY, member.key.span, format_args!("nothing reads the key {shown:?}"))
        .field(format_args!("{path}{shown}"))
        .help(format_args!("did you mean \"{near}\"?"));
}

/// The name of a known key with where it stands; written out only where something is wrong.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) path: &'static str,
    pub(super) field: &'static str,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, self.field)
    }
}
