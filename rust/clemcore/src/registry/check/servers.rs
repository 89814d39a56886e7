//! The field for addresses of servers: one, several, or a file with them.
use super::entry::Name;
use super::values::written;
use super::{Context, addresses};
use crate::catalogue as kind;
use crate::json::{Kind, Node};

/// The backend whose models can have several servers.
const SEVERAL_SERVERS: &str = "openai_compatible";

/// Checks the address of a server, the list of several, or the path of a file with addresses.
pub(super) fn check(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    if let Kind::List(items) = &node.kind {
        return addresses_of(node, items, name, context);
    }
    let Some(text) = node.as_str() else { return };
    if addresses::servers_file(text).is_some() {
        return several(node, name, "the path of a file with addresses", context);
    }
    let Some(fault) = addresses::address_fault(text) else { return };
    let meant = addresses::certain(text);
    let problem =
        context.at(&kind::ADDRESS, node.span, format_args!("{name} {fault}")).field(format_args!("{name}"));
    if let Some(meant) = &meant {
        problem.help(format_args!("write {meant:?}"));
    }
    problem.remedy(written(node, meant));
}

/// Each address of a list can be called, and is there once.
fn addresses_of(node: &Node<'_>, items: &[Node<'_>], name: Name, context: &mut Context<'_>) {
    if items.is_empty() {
        context
            .at(&kind::ADDRESS, node.span, format_args!("{name} is a list without an address"))
            .field(format_args!("{name}"))
            .help("write the address of each server into it");
        return;
    }
    several(node, name, "a list", context);
    let mut seen: Vec<String> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(text) = item.as_str() else { continue };
        let bare = addresses::address_key(text);
        let fault = if seen.contains(&bare) {
            Some("is there already".to_owned())
        } else {
            addresses::address_fault(text)
        };
        seen.push(bare);
        let Some(fault) = fault else { continue };
        let meant = addresses::certain(text);
        let problem = context
            .at(&kind::ADDRESS, item.span, format_args!("{name}[{at}] {fault}"))
            .field(format_args!("{name}"));
        if let Some(meant) = &meant {
            problem.help(format_args!("write {meant:?}"));
        }
        problem.remedy(written(item, meant));
    }
}

/// Several servers are the business of one backend.
fn several(node: &Node<'_>, name: Name, what: &str, context: &mut Context<'_>) {
    if context.backend.as_deref() == Some(SEVERAL_SERVERS) {
        return;
    }
    context
        .at(&kind::ADDRESS, node.span, format_args!("{name} must be one address here, not {what}"))
        .field(format_args!("{name}"))
        .help("only the backend openai_compatible spreads calls over several servers");
}
