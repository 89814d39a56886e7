//! Values that have a form of their own: sizes in bytes, limits by device, objects that must hold something, and what
//! an entry says about reasoning.
use super::Context;
use super::entry::Name;
use crate::catalogue as kind;
use crate::json::{Kind, Node};
use crate::schema::{Field, Rule};
use crate::text::similar;

/// What may follow where reasoning has used up its tokens.
const ON_EXCEED: [&str; 3] = ["close", "empty", "error"];
/// The keys of an object about reasoning.
const REASONING: [&str; 4] = ["effort", "budget", "on_exceed", "closing"];
/// A place for layers where nothing is computed.
const DISK: &str = "disk";

/// Checks a size of memory: bytes, or a text such as `24GB`.
pub(super) fn bytes(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    size(node, &name.to_string(), context);
}

fn size(node: &Node<'_>, place: &str, context: &mut Context<'_>) {
    let is_size = match &node.kind {
        Kind::Int(number) => *number >= 0,
        Kind::BigInt(digits) => !digits.starts_with('-'),
        Kind::String(text) => is_size(text),
        Kind::Broken => true,
        _ => false,
    };
    if !is_size {
        let message = format_args!(
            "{place} must be bytes (a whole number ≥ 0) or a size like '24GB', not {}",
            shown(node)
        );
        report(node, place, message, context);
    }
}

/// Whether a text is a number and a unit of bytes: `B`, `kB`, `MB`, `GB`, `TB`, or `KiB` to `TiB`, in any case.
fn is_size(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix('b') else { return false };
    let number = match number.strip_suffix('i') {
        Some(binary) => match binary.strip_suffix(['k', 'm', 'g', 't']) {
            Some(number) => number,
            None => return false,
        },
        None => number.strip_suffix(['k', 'm', 'g', 't']).unwrap_or(number),
    };
    let (whole, fraction) = number.trim_end().split_once('.').unwrap_or((number.trim_end(), "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(fraction)
}

/// Checks that an object holds something: an empty one would be without effect.
pub(super) fn filled(node: &Node<'_>, name: Name, context: &mut Context<'_>) -> bool {
    let is_empty = matches!(&node.kind, Kind::Object(members) if members.is_empty());
    if is_empty {
        report(node, &name.to_string(), format_args!("{name} is empty, and so has no effect"), context)
            .help("remove it, or write what it is to hold");
    }
    !is_empty
}

/// Checks the devices of modules: at least one of them computes.
pub(super) fn devices(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let Kind::Object(members) = &node.kind else { return };
    if filled(node, name, context) && members.iter().all(|member| member.value.as_str() == Some(DISK)) {
        report(node, &name.to_string(), format_args!("{name} puts every module on the disk"), context)
            .help("name a device that computes, as \"cpu\", for some of them");
    }
}

/// How a number that stands for a device is written.
pub(super) fn device_help(field: &Field, node: &Node<'_>) -> Option<String> {
    let number = match node.kind {
        Kind::Int(number) if number >= 0 => number,
        Kind::Int(_) | Kind::BigInt(_) | Kind::Float(_) => 0,
        _ => return None,
    };
    match field.rule {
        Rule::Device => Some(format!("write the kind of device too, as \"cuda:{number}\"")),
        Rule::Devices => Some(format!(
            "write \"auto\", or leave device_map out and name one device for all layers in device, as \"cuda:{number}\""
        )),
        _ => None,
    }
}

/// Checks how much memory may be used of each device.
pub(super) fn limits(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let Kind::Object(members) = &node.kind else { return };
    if !filled(node, name, context) {
        return;
    }
    for member in members {
        let device = member.key.text.as_ref();
        let number = device.rsplit(':').next().unwrap_or(device);
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if device != DISK && device != "cpu" && !is_number {
            let message = format_args!("{name} must have devices like '0' or 'cpu' as keys, not {device:?}");
            report(&member.value, &name.to_string(), message, context);
        }
        size(&member.value, &format!("{name}.{device}"), context);
    }
    if members.iter().all(|member| member.key.text == DISK) {
        report(node, &name.to_string(), format_args!("{name} leaves no device that computes"), context)
            .help("give a limit for \"cpu\" or for an accelerator, as \"0\"");
    }
}

/// Checks that an object has no keys but those that the field lists. Only a custom backend can read others.
pub(super) fn listed(field: &Field, node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    if context.backend.is_some() && context.known_backend().is_none() {
        return;
    }
    let known = || field.keys.iter().map(|(key, _)| *key);
    for member in node.members().unwrap_or_default() {
        let key = member.key.text.as_ref();
        if known().any(|listed| listed == key) || context.spoiled(member.key.span) {
            continue;
        }
        let shown: String = key.chars().take(40).collect();
        if let Some(near) = similar::near_miss(key, known()) {
            context
                .at(&kind::UNKNOWN_KEY, member.key.span, format_args!("nothing reads the key {shown:?}"))
                .field(format_args!("{name}.{shown}"))
                .help(format_args!("did you mean \"{near}\"?"));
        } else if context.thorough {
            let listed = known().collect::<Vec<_>>().join(", ");
            context
                .at(
                    &kind::NO_EFFECT,
                    member.key.span,
                    format_args!("{name}.{shown} has no effect: nothing reads it"),
                )
                .field(format_args!("{name}.{shown}"))
                .help(format_args!("leave it out; {name} holds {listed}"));
        }
    }
}

/// Checks what an entry says about reasoning.
pub(super) fn reasoning(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    if !filled(node, name, context) {
        return;
    }
    let Kind::Object(members) = &node.kind else { return };
    for member in members {
        let key = member.key.text.as_ref();
        if !REASONING.contains(&key) {
            let message =
                format_args!("{name} holds 'effort' or 'budget', 'on_exceed' and 'closing', not {key:?}");
            let fault = report(&member.value, &format!("{name}.{key}"), message, context);
            if let Some(near) = similar::near_miss(key, REASONING) {
                fault.help(format_args!("did you mean \"{near}\"?"));
            }
        }
    }
    let of = |key: &str| node.get(key).map(|member| &member.value).filter(|value| !is_absent(value));
    if let (Some(_), Some(budget)) = (of("effort"), of("budget")) {
        let message = format_args!("{name}.effort and {name}.budget both say how much: keep one");
        report(budget, &format!("{name}.budget"), message, context);
    }
    for (key, is_right, form) in [
        ("effort", is_text as fn(&Node<'_>) -> bool, "a word such as 'low'"),
        ("budget", is_count, "a number of tokens"),
        ("on_exceed", is_on_exceed, "'close', 'empty' or 'error'"),
        ("closing", is_text, "a sentence"),
    ] {
        let Some(value) = of(key).filter(|value| !is_right(value)) else { continue };
        let message = format_args!("{name}.{key} must be {form}, not {}", shown(value));
        let fault = report(value, &format!("{name}.{key}"), message, context);
        let near = value.as_str().filter(|_| key == "on_exceed");
        if let Some(near) = near.and_then(|text| similar::near_miss(text, ON_EXCEED)) {
            fault.help(format_args!("did you mean \"{near}\"?"));
        }
    }
}

fn is_absent(node: &Node<'_>) -> bool {
    matches!(node.kind, Kind::Null | Kind::Broken)
}

fn is_text(node: &Node<'_>) -> bool {
    node.as_str().is_some_and(|text| !text.is_empty())
}

fn is_count(node: &Node<'_>) -> bool {
    matches!(node.kind, Kind::Int(number) if number >= 0)
}

fn is_on_exceed(node: &Node<'_>) -> bool {
    node.as_str().is_some_and(|text| ON_EXCEED.contains(&text))
}

fn report<'c>(
    node: &Node<'_>,
    field: &str,
    message: std::fmt::Arguments<'_>,
    context: &'c mut Context<'_>,
) -> &'c mut crate::problem::Fault {
    context.at(&kind::UNKNOWN_VALUE, node.span, message).field(field)
}

fn shown(node: &Node<'_>) -> String {
    match &node.kind {
        Kind::String(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => format!("{number:?}"),
        Kind::Bool(value) => value.to_string(),
        _ => node.kind_name().to_owned(),
    }
}
