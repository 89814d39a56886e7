//! Values of known keys: their type, and what the type alone does not say.
use super::entry::Name;
use super::{Context, addresses, dates, forms, languages, patterns, prices, servers, sizes};
use crate::catalogue as kind;
use crate::fix::Remedy;
use crate::json::{Kind, Node};
use crate::schema::{self, CustomKey, Field, Rule, Type};
use crate::text::{Span, similar};

/// Whether the value is of a type that the key takes; reports it if not.
pub(super) fn has_type(field: &Field, node: &Node<'_>, name: Name, context: &mut Context<'_>) -> bool {
    if matches!(node.kind, Kind::Broken) || context.spoiled(node.span) {
        return false;
    }
    if field.types.iter().any(|of| is_of(*of, node)) {
        return true;
    }
    if let (true, Kind::List(items)) = (field.types.contains(&Type::Strings), &node.kind) {
        for (at, item) in items.iter().enumerate().filter(|(_, item)| !may_be_string(item)) {
            let message = format_args!("{name}[{at}] must be a string, not {}", item.kind_name());
            context.at(&kind::WRONG_TYPE, item.span, message).field(format_args!("{name}[{at}]"));
        }
        return false;
    }
    let words: Vec<_> = field.types.iter().filter(|of| **of != Type::Null).map(|of| of.words()).collect();
    let message = format_args!("{name} must be {}, not {}", words.join(" or "), node.kind_name());
    let help = forms::device_help(field, node).or_else(|| type_help(field.types[0], node));
    let fault = context.at(&kind::WRONG_TYPE, node.span, message).field(format_args!("{name}"));
    fault.remedy(type_remedy(field.types[0], node));
    if let Some(help) = help {
        fault.help(help);
    }
    false
}

fn is_of(of: Type, node: &Node<'_>) -> bool {
    match (of, &node.kind) {
        (Type::Strings, Kind::List(items)) => items.iter().all(may_be_string),
        (Type::Bool, Kind::Bool(_))
        | (Type::Int, Kind::Int(_) | Kind::BigInt(_))
        | (Type::Number, Kind::Int(_) | Kind::BigInt(_) | Kind::Float(_))
        | (Type::String, Kind::String(_))
        | (Type::List, Kind::List(_))
        | (Type::Object, Kind::Object(_))
        | (Type::Null, Kind::Null) => true,
        _ => false,
    }
}

/// Whether an item can be a string: of one that could not be read nothing is known. It was reported, or it is a
/// Python object.
fn may_be_string(item: &Node<'_>) -> bool {
    matches!(item.kind, Kind::Broken) || is_of(Type::String, item)
}

/// The value that is meant, where only one can be.
fn type_remedy(wanted: Type, node: &Node<'_>) -> Option<Remedy> {
    let text = node.as_str()?;
    let meant = match wanted {
        Type::Bool if text.eq_ignore_ascii_case("true") => "true".to_owned(),
        Type::Bool if text.eq_ignore_ascii_case("false") => "false".to_owned(),
        Type::Int if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) => text.to_owned(),
        Type::Number if serde_json::from_str::<serde_json::Number>(text).is_ok() => text.trim().to_owned(),
        _ => return None,
    };
    Some(Remedy::Write(node.span, meant))
}

/// Checks the value of a key that a custom backend describes.
pub(super) fn custom(key: &CustomKey, node: &Node<'_>, context: &mut Context<'_>) {
    if matches!(node.kind, Kind::Broken) || context.spoiled(node.span) {
        return;
    }
    let path = &key.path;
    if !key.types.is_empty() && !key.types.iter().any(|of| is_of(*of, node)) {
        let words: Vec<_> = key.types.iter().map(|of| of.words()).collect();
        let message = format_args!("{path} must be {}, not {}", words.join(" or "), node.kind_name());
        let help = type_help(key.types[0], node);
        let fault = context.at(&kind::WRONG_TYPE, node.span, message).field(path.as_str());
        if let Some(help) = help {
            fault.help(help);
        }
        return;
    }
    let Some(text) = node.as_str().filter(|_| !key.values.is_empty()) else { return };
    if !key.values.iter().any(|value| value == text) {
        let shown: String = text.chars().take(40).collect();
        let message = format_args!("{path} must be one of {}, not {shown:?}", key.values.join(", "));
        let fault = context.at(&kind::UNKNOWN_VALUE, node.span, message).field(path.as_str());
        if let Some(near) = similar::near_miss(text, key.values.iter().map(String::as_str)) {
            fault.help(format_args!("did you mean \"{near}\"?"));
        }
    }
}

/// How the value was probably meant.
fn type_help(wanted: Type, node: &Node<'_>) -> Option<String> {
    let text = node.as_str().map(str::trim);
    match (wanted, &node.kind, text) {
        (Type::Bool, Kind::Int(0), _) => Some("write false".to_owned()),
        (Type::Bool, Kind::Int(1), _) => Some("write true".to_owned()),
        (Type::Bool, _, Some(word)) => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some("write true".to_owned()),
            "false" | "no" | "off" | "0" => Some("write false".to_owned()),
            _ => None,
        },
        (Type::Int | Type::Number, _, Some(digits)) if digits.parse::<f64>().is_ok_and(f64::is_finite) => {
            Some("write the number without quotes".to_owned())
        }
        (Type::String, Kind::Int(_) | Kind::BigInt(_) | Kind::Float(_), _) => {
            Some("put it into double quotes".to_owned())
        }
        (Type::Strings, _, Some(_)) => Some("put it into a list: […]".to_owned()),
        (_, Kind::Null, _) => Some("leave the key out where there is nothing to say".to_owned()),
        _ => None,
    }
}

/// Checks what a value of the right type says.
pub(super) fn check(field: &Field, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    match field.rule {
        Rule::Plain => known_value(field, node, name, context),
        Rule::Needed => id(field, node, name, context),
        Rule::Prices if context.thorough => {
            prices::check(node, name, context);
            forms::listed(field, node, name, context);
        }
        Rule::Listed => forms::listed(field, node, name, context),
        Rule::Address if context.thorough => servers::check(node, name, context),
        Rule::Template | Rule::Prices | Rule::Address | Rule::Device => {}
        Rule::Languages => languages::check(node, name, context),
        Rule::Positive => positive(field, node, name, context),
        Rule::Within(least, most) => within(least, most, node, name, context),
        Rule::Bytes => forms::bytes(node, name, context),
        Rule::Filled => {
            forms::filled(node, name, context);
        }
        Rule::Devices => forms::devices(node, name, context),
        Rule::Limits => forms::limits(node, name, context),
        Rule::Reasoning => forms::reasoning(node, name, context),
        Rule::Required => required(field, node, name, context),
        Rule::Date => {
            let is_wrong = node.as_str().is_some_and(|text| !dates::is_right(text));
            if is_wrong && context.tallies(&kind::RELEASE_DATE) {
                return;
            }
            if let Some((message, help)) = node.as_str().and_then(dates::fault) {
                let meant = node.as_str().and_then(dates::certain);
                context
                    .at(&kind::RELEASE_DATE, node.span, message)
                    .field(format_args!("{name}"))
                    .help(help)
                    .remedy(written(node, meant));
            }
        }
        Rule::Size => {
            if let Some((message, help)) = sizes::fault(node) {
                let meant = node.as_str().and_then(sizes::certain);
                context
                    .at(&kind::CONTEXT_SIZE, node.span, message)
                    .field(format_args!("{name}"))
                    .help(help)
                    .remedy(written(node, meant));
            }
        }
        Rule::Pattern => pattern(node, name, context),
        Rule::Presence => {
            if matches!(node.kind, Kind::Bool(false)) {
                let member = Span::new(context.key.start, node.span.end);
                let message = format_args!("older readers take {name} for true as soon as it is there");
                context
                    .at(&kind::FALSE_FLAG, node.span, message)
                    .field(format_args!("{name}"))
                    .help("leave it out")
                    .remedy(Some(Remedy::Remove(member)));
            }
        }
    }
}

/// The text that is meant in place of the value.
pub(super) fn written(node: &Node<'_>, meant: Option<String>) -> Option<Remedy> {
    meant.map(|text| Remedy::Write(node.span, serde_json::Value::from(text).to_string()))
}

/// Whether a text is one of those that the key takes.
fn known_value(field: &Field, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let is_unknown = |text: &&str| !field.values.is_empty() && !field.values.contains(text);
    let Some(text) = node.as_str().filter(is_unknown) else { return };
    let shown: String = text.chars().take(40).collect();
    let words = if field.values.len() > 1 { "one of " } else { "" };
    let message = format_args!("{name} must be {words}{}, not {shown:?}", field.values.join(", "));
    let fault = context.at(&kind::UNKNOWN_VALUE, node.span, message).field(format_args!("{name}"));
    match similar::near_miss(text, field.values.iter().copied()) {
        Some(near) => {
            fault.help(format_args!("did you mean \"{near}\"?"));
        }
        // Why a key takes one value only is part of what it means.
        None if field.values.len() == 1 => {
            fault.help(field.meaning.trim_end_matches('.'));
        }
        None => {}
    }
}

/// Counts and times are more than nothing.
fn positive(field: &Field, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let shown = match &node.kind {
        Kind::Int(number) if *number <= 0 => number.to_string(),
        Kind::Float(number) if *number <= 0.0 || !number.is_finite() => format!("{number:?}"),
        _ => return,
    };
    let of = if field.unit.is_empty() { String::new() } else { format!(" of {}", field.unit) };
    context
        .at(&kind::NOT_POSITIVE, node.span, format_args!("{name} must be a positive number{of}, not {shown}"))
        .field(format_args!("{name}"))
        .help("write a number above zero, or leave the key out where there is no limit");
}

/// Shares and penalties have ends on both sides.
fn within(least: Option<i32>, most: Option<i32>, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let (number, shown) = match &node.kind {
        #[allow(clippy::cast_precision_loss, reason = "what is lost lies far outside of every range")]
        Kind::Int(number) => (*number as f64, number.to_string()),
        Kind::Float(number) => (*number, format!("{number:?}")),
        _ => return,
    };
    if least.is_none_or(|least| number >= f64::from(least))
        && most.is_none_or(|most| number <= f64::from(most))
    {
        return;
    }
    let message = format_args!("{name} must be {}, not {shown}", schema::range_words(least, most));
    let fault = context.at(&kind::OUT_OF_RANGE, node.span, message).field(format_args!("{name}"));
    if (least, most) == (Some(0), Some(1)) && (1.0..=100.0).contains(&number) {
        fault.help(format_args!("for {shown} percent, write {}", number / 100.0));
    }
}

fn required(field: &Field, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let Some(text) = node.as_str() else { return };
    if text.trim().is_empty() {
        context
            .at(&kind::EMPTY_FIELD, node.span, format_args!("{name} is empty"))
            .field(format_args!("{name}"));
    } else if field.name == "backend" {
        backend(text, node, context);
    } else if context.thorough {
        whitespace(text, node, name, context);
    }
}

/// Whether the entry's backend exists. One that clemcore does not include is reported by [`super::unrunnable`].
fn backend(backend: &str, node: &Node<'_>, context: &mut Context<'_>) {
    if context.known_backends().any(|known| known == backend) {
        return;
    }
    if context.tallies(&kind::UNKNOWN_BACKEND) {
        return;
    }
    if let Some(sentence) = schema::absence(backend) {
        context.at(&kind::UNKNOWN_BACKEND, node.span, sentence).field("backend");
        return;
    }
    let shown: String = backend.chars().take(40).collect();
    let help = known_backends(backend, context);
    context
        .at(&kind::UNKNOWN_BACKEND, node.span, format_args!("no backend is called {shown:?}"))
        .field("backend")
        .help(help);
}

/// Which backend was probably meant, or which ones there are.
fn known_backends(unknown: &str, context: &Context<'_>) -> String {
    let is_ours = |name: &&str| !name.starts_with('_') && schema::absence(name).is_none();
    let known: Vec<_> = context.known_backends().filter(is_ours).collect();
    if let Some(near) = similar::near_miss(unknown, known.iter().copied()) {
        return format!("did you mean \"{near}\"?");
    }
    format!("known are {}; a NAME_api.py in the working directory can provide others", known.join(", "))
}

/// The id under which a backend knows a model.
fn id(field: &Field, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let Some(text) = node.as_str().filter(|text| context.thorough && !text.trim().is_empty()) else { return };
    let fault = if field.name == "huggingface_id" { addresses::hub_id_fault(text) } else { None };
    let Some(fault) = fault else { return whitespace(text, node, name, context) };
    let meant = addresses::certain_hub_id(text);
    let help = meant.as_ref().map_or_else(|| "write OWNER/NAME".to_owned(), |id| format!("write {id:?}"));
    context
        .at(&kind::HUB_ID, node.span, format_args!("{name} {fault}"))
        .field(format_args!("{name}"))
        .help(help)
        .remedy(written(node, meant));
}

/// Nobody writes the whitespace around a name when he asks for it.
fn whitespace(text: &str, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let plain = text.trim();
    if plain != text {
        context
            .at(&kind::WHITESPACE, node.span, format_args!("{name} begins or ends with whitespace"))
            .field(format_args!("{name}"))
            .help("remove the whitespace")
            .remedy(written(node, Some(plain.to_owned())));
    }
}

/// Whether a pattern stands where it is plain text: a flat `eos_to_cull` of 2024.
pub(in crate::registry) fn is_literal(field: &Field, is_flat: bool) -> bool {
    is_flat && field.name == "eos_to_cull"
}

/// Plain text with the backslashes of a pattern is never found in an answer.
pub(super) fn literal(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let Some(text) = node.as_str() else { return };
    let Some(plain) = patterns::unescaped(text) else { return };
    context
        .at(
            &kind::ESCAPED_TEXT,
            node.span,
            format_args!("{name} is plain text in the flat layout, but is escaped like a pattern"),
        )
        .field(format_args!("{name}"))
        .help(format_args!("write {}", serde_json::Value::from(plain.as_str())))
        .remedy(written(node, Some(plain)));
}

fn pattern(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let Some(text) = node.as_str() else { return };
    if let Some(message) = patterns::fault(text) {
        context
            .at(&kind::BAD_PATTERN, node.span, format_args!("{name} is not a regular expression: {message}"))
            .field(format_args!("{name}"))
            .help("put \\\\ before a character that stands for itself");
    } else if let Some((message, help)) = patterns::looseness(text) {
        context
            .at(&kind::LOOSE_PATTERN, node.span, format_args!("{name} {message}"))
            .field(format_args!("{name}"))
            .help(help)
            .remedy(written(node, patterns::tightened(text)));
    }
}
