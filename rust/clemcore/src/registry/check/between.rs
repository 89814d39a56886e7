//! Rules between the keys of one entry, as a table.
//!
//! A rule looks at the keys that the entry's backend reads, wherever they stand: in `model_config` or, in the layout of
//! 2024, in the entry itself.
use super::Context;
use super::sizes::tokens_of;
use crate::catalogue as kind;
use crate::json::{Kind, Member, Node};
use crate::schema::{self, Field};
use crate::text::Span;

/// A rule between keys.
struct Rule {
    kind: &'static kind::Kind,
    /// Without this key the rule says nothing.
    key: &'static str,
    /// What is wrong.
    find: fn(&Keys<'_, '_>) -> Option<Found>,
}

const fn rule(
    kind: &'static kind::Kind,
    key: &'static str,
    find: fn(&Keys<'_, '_>) -> Option<Found>,
) -> Rule {
    Rule { kind, key, find }
}

const RULES: &[Rule] = &[
    rule(&kind::CONTRADICTION, "load_in_4bit", two_quantisations),
    rule(&kind::CONTRADICTION, "custom_chat_template", two_templates),
    rule(&kind::CONTRADICTION, "torch_dtype", two_types),
    rule(&kind::CONTRADICTION, "timeout", two_timeouts),
    rule(&kind::CONTRADICTION, "verify_tls", unverified_authority),
    rule(&kind::CONTRADICTION, "slurk_host", two_hosts),
    rule(&kind::INCOMPLETE, "cot_output", no_end_of_thinking),
    rule(&kind::INCOMPLETE, "cot_start_tag", no_end_of_tag),
    rule(&kind::INCOMPLETE, "premade_chat_template", no_template),
    rule(&kind::SIZE_CONFLICT, "max_output_tokens", output_over_context),
    rule(&kind::SIZE_CONFLICT, "max_input_tokens", input_over_context),
    rule(&kind::SIZE_CONFLICT, "max_tokens", answer_over_output),
];

/// Whether a rule may have something to say about an entry with this key; `is_true` is whether its value is `true`.
pub(in crate::registry) fn may_concern(key: &str, is_true: bool) -> bool {
    !(is_true && key == "premade_chat_template") && RULES.iter().any(|rule| rule.key == key)
}

/// Applies the rules to an entry.
pub(super) fn check(entry: &Node<'_>, context: &mut Context<'_>) {
    let Some(backend) = context.backend.clone() else { return };
    let keys =
        Keys { entry, config: entry.get("model_config").map(|member| &member.value), backend: &backend };
    for rule in RULES {
        let found = keys.get(rule.key).and_then(|_| (rule.find)(&keys));
        if let Some(Found { place, field, message, help }) =
            found.filter(|found| !context.spoiled(found.place))
        {
            let fault = context.at(rule.kind, place, message).field(field);
            if !help.is_empty() {
                fault.help(help);
            }
        }
    }
    in_both_places(&keys, context);
}

/// A key that stands in both layouts has one value.
fn in_both_places(keys: &Keys<'_, '_>, context: &mut Context<'_>) {
    for nested in keys.config.and_then(Node::members).unwrap_or_default() {
        let name = &*nested.key.text;
        let is_read = keys.reads(name) && schema::misplaced(name).is_none();
        let Some(flat) = keys.entry.get(name).filter(|_| is_read) else { continue };
        if context.spoiled(nested.value.span) || nested.value.to_value() == flat.value.to_value() {
            continue;
        }
        let message = format_args!("{name} has one value in the entry and another in model_config");
        context
            .at(&kind::CONTRADICTION, nested.key.span, message)
            .field(format_args!("model_config.{name}"))
            .help("keep one of them");
    }
}

/// The keys of an entry.
struct Keys<'n, 't> {
    entry: &'n Node<'t>,
    config: Option<&'n Node<'t>>,
    backend: &'n str,
}

/// A key, and where it stands.
struct Place<'n, 't> {
    path: &'static str,
    member: &'n Member<'t>,
}

impl<'n, 't> Keys<'n, 't> {
    fn reads(&self, name: &str) -> bool {
        let reads = |field: &Field| field.backends.is_empty() || field.is_read_by(self.backend);
        schema::config_field(name).or_else(|| schema::entry_field(name)).is_some_and(reads)
    }

    fn get(&self, name: &str) -> Option<Place<'n, 't>> {
        if !self.reads(name) {
            return None;
        }
        let nested = self.config.and_then(|config| config.get(name)).map(|member| ("model_config.", member));
        let (path, member) = nested.or_else(|| self.entry.get(name).map(|member| ("", member)))?;
        (!matches!(member.value.kind, Kind::Null)).then_some(Place { path, member })
    }

    fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.member.value.kind {
            Kind::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// The text of a key, if it says something.
    fn text(&self, name: &str) -> Option<&'n str> {
        self.get(name)?.member.value.as_str().filter(|text| !text.is_empty())
    }

    fn tokens(&self, name: &str) -> Option<u64> {
        tokens_of(&self.get(name)?.member.value)
    }
}

/// What a rule found.
struct Found {
    place: Span,
    field: String,
    message: String,
    help: &'static str,
}

impl Place<'_, '_> {
    fn found(&self, message: String, help: &'static str) -> Found {
        let field = format!("{}{}", self.path, self.member.key.text);
        Found {
            place: Span::new(self.member.key.span.start, self.member.value.span.end),
            field,
            message,
            help,
        }
    }
}

fn two_quantisations(keys: &Keys<'_, '_>) -> Option<Found> {
    let both = keys.flag("load_in_4bit")? && keys.flag("load_in_8bit")?;
    let message = || "load_in_4bit and load_in_8bit exclude each other".to_owned();
    both.then(|| Some(keys.get("load_in_4bit")?.found(message(), "keep one of them")))?
}

fn two_templates(keys: &Keys<'_, '_>) -> Option<Found> {
    keys.text("custom_chat_template")?;
    let message = || "premade_chat_template is true and custom_chat_template is given".to_owned();
    keys.flag("premade_chat_template")?
        .then(|| Some(keys.get("custom_chat_template")?.found(message(), "keep one of them")))?
}

fn two_types(keys: &Keys<'_, '_>) -> Option<Found> {
    let message = || "dtype and torch_dtype are two names of one setting and differ".to_owned();
    (keys.text("dtype")? != keys.text("torch_dtype")?)
        .then(|| Some(keys.get("torch_dtype")?.found(message(), "keep dtype")))?
}

fn two_timeouts(keys: &Keys<'_, '_>) -> Option<Found> {
    keys.get("total_timeout")?;
    let message = "timeout and total_timeout mean the same".to_owned();
    Some(keys.get("timeout")?.found(message, "keep one of them"))
}

fn unverified_authority(keys: &Keys<'_, '_>) -> Option<Found> {
    keys.text("ca_file")?;
    let message = || "ca_file names an authority, but verify_tls is false".to_owned();
    (!keys.flag("verify_tls")?).then(|| {
        Some(
            keys.get("verify_tls")?
                .found(message(), "leave out verify_tls: with the file, the certificate can be verified"),
        )
    })?
}

fn two_hosts(keys: &Keys<'_, '_>) -> Option<Found> {
    let (host, url) = (keys.text("slurk_host")?, keys.text("base_url")?);
    let message = || "the entry has both slurk_host and base_url, and they differ".to_owned();
    (host.trim_end_matches('/') != url.trim_end_matches('/'))
        .then(|| Some(keys.get("slurk_host")?.found(message(), "keep one of them")))?
}

fn no_end_of_thinking(keys: &Keys<'_, '_>) -> Option<Found> {
    let message = || "cot_output needs cot_end_tag, the pattern that ends the thinking".to_owned();
    (keys.flag("cot_output")? && keys.text("cot_end_tag").is_none())
        .then(|| Some(keys.get("cot_output")?.found(message(), "add \"cot_end_tag\": \"…\"")))?
}

fn no_end_of_tag(keys: &Keys<'_, '_>) -> Option<Found> {
    keys.text("cot_start_tag")?;
    let message = || "cot_start_tag needs cot_end_tag, the pattern that ends the thinking".to_owned();
    keys.text("cot_end_tag")
        .is_none()
        .then(|| Some(keys.get("cot_start_tag")?.found(message(), "add \"cot_end_tag\": \"…\"")))?
}

fn no_template(keys: &Keys<'_, '_>) -> Option<Found> {
    let message = || "premade_chat_template is false, so a custom_chat_template is needed".to_owned();
    (!keys.flag("premade_chat_template")? && keys.text("custom_chat_template").is_none()).then(|| {
        Some(
            keys.get("premade_chat_template")?
                .found(message(), "add \"custom_chat_template\": \"…\", or leave the key out"),
        )
    })?
}

fn output_over_context(keys: &Keys<'_, '_>) -> Option<Found> {
    over(keys, "max_output_tokens", "context_size")
}

fn input_over_context(keys: &Keys<'_, '_>) -> Option<Found> {
    over(keys, "max_input_tokens", "context_size")
}

fn answer_over_output(keys: &Keys<'_, '_>) -> Option<Found> {
    over(keys, "max_tokens", "max_output_tokens").or_else(|| over(keys, "max_tokens", "context_size"))
}

/// Whether a number of tokens is larger than the one that bounds it.
fn over(keys: &Keys<'_, '_>, part: &str, whole: &str) -> Option<Found> {
    let (tokens, limit) = (keys.tokens(part)?, keys.tokens(whole)?);
    let message = || format!("{part} is {tokens}, but {whole} is only {limit} tokens");
    (tokens > limit).then(|| Some(keys.get(part)?.found(message(), "correct one of the two numbers")))?
}
