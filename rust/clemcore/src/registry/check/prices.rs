//! Prices: numbers of USD per million tokens, and tiers of them.
use super::Context;
use super::entry::Name;
use crate::catalogue as kind;
use crate::fix::Remedy;
use crate::json::{Kind, Node};

/// One dollar for a token; what is above is not a price.
const HIGHEST: f64 = 1e6;
/// No model is as cheap as this for a million tokens; a price per token is.
const PER_TOKEN: f64 = 0.000_5;

/// Checks the prices of an entry.
pub(super) fn check(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    three(node, &name.to_string(), context);
    let Some(tiers) = node.get("tiers").map(|member| &member.value) else { return };
    let items = match &tiers.kind {
        Kind::List(items) => items,
        Kind::Null => return,
        Kind::Broken if context.spoiled(tiers.span) => return,
        _ => {
            let message = format_args!("{name}.tiers must be a list of prices, not {}", tiers.kind_name());
            report(tiers, format!("{name}.tiers"), message, context)
                .help("write [{\"above\": 200000, \"input\": 6, \"output\": 22.5}]");
            return;
        }
    };
    for (at, tier) in items.iter().enumerate() {
        let place = format!("{name}.tiers[{at}]");
        if context.spoiled(tier.span) {
            continue;
        }
        if !matches!(tier.kind, Kind::Object(_)) {
            let message = format_args!("{place} must be an object, not {}", tier.kind_name());
            report(tier, place.clone(), message, context);
            continue;
        }
        let above = tier.get("above").map_or(tier, |member| &member.value);
        if !matches!(above.kind, Kind::Int(tokens) if tokens > 0) {
            let message = format_args!("{place}.above must be a positive number of tokens");
            report(above, format!("{place}.above"), message, context);
        }
        three(tier, &place, context);
    }
}

/// The prices of input, output and cached input, which stand in an object.
fn three(node: &Node<'_>, place: &str, context: &mut Context<'_>) {
    for field in ["input", "output", "cached_input"] {
        match node.get(field).map(|member| &member.value) {
            Some(price) if matches!(price.kind, Kind::Null) && field == "cached_input" => {}
            Some(price) => one(price, &format!("{place}.{field}"), context),
            None if field == "cached_input" => {}
            None => {
                let message = format_args!("{place}.{field} is missing");
                report(node, format!("{place}.{field}"), message, context)
                    .help("write USD per million tokens");
            }
        }
    }
}

fn one(node: &Node<'_>, place: &str, context: &mut Context<'_>) {
    #[allow(clippy::cast_precision_loss, reason = "a price is not that exact")]
    let price = match &node.kind {
        Kind::Broken if context.spoiled(node.span) => return,
        Kind::Int(number) => Some(*number as f64),
        Kind::Float(number) => Some(*number).filter(|number| number.is_finite()),
        _ => None,
    };
    let Some(price) = price.filter(|price| (0.0..=HIGHEST).contains(price)) else {
        let message = format_args!(
            "{place} must be a number from 0 to 1,000,000 (USD per million tokens), not {}",
            shown(node)
        );
        let meant = node.as_str().and_then(amount);
        let fault = report(node, place.to_owned(), message, context);
        fault.remedy(meant.as_ref().map(|meant| Remedy::Write(node.span, meant.clone())));
        if let Some(meant) = meant {
            fault.help(format_args!("write {meant}"));
        }
        return;
    };
    if price > 0.0 && price < PER_TOKEN {
        let million = price * 1e6;
        let message =
            format_args!("{place} is {price:?} USD per million tokens, which looks like a price per token");
        context
            .at(&kind::PRICE_UNIT, node.span, message)
            .field(place)
            .help(format_args!("write {} for a price per million tokens", rounded(million)));
    }
}

fn report<'c>(
    node: &Node<'_>,
    field: String,
    message: std::fmt::Arguments<'_>,
    context: &'c mut Context<'_>,
) -> &'c mut crate::problem::Fault {
    context.at(&kind::PRICE, node.span, message).field(field)
}

fn shown(node: &Node<'_>) -> String {
    match &node.kind {
        Kind::String(text) => format!("{:?}", text.chars().take(20).collect::<String>()),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => format!("{number:?}"),
        Kind::BigInt(digits) => format!("a number of {} digits", digits.trim_start_matches('-').len()),
        _ => node.kind_name().to_owned(),
    }
}

/// The number in a text such as `$0.55`, where only one can be meant.
fn amount(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_prefix('$').or_else(|| text.strip_prefix("USD")).unwrap_or(text).trim();
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_json = serde_json::from_str::<serde_json::Number>(digits).is_ok();
    (is_plain && is_json).then(|| digits.to_owned())
}

/// A price without the digits that the multiplication makes up.
fn rounded(price: f64) -> f64 {
    (price * 1e6).round() / 1e6
}
