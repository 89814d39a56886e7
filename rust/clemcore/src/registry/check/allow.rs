//! `"lint": {"allow": ["R064"]}`: complaints that the owner of an entry has seen and found right.
//!
//! Warnings and hints can be allowed, errors cannot. An allow that does nothing is reported, so that none outlives
//! what it was written for.
use super::{Context, Entry};
use crate::catalogue as kind;
use crate::json::{Kind, Node};
use crate::problem::Severity;
use std::collections::HashSet;

/// Which allows were needed: the entry and the code.
pub(super) type Used = HashSet<(usize, &'static str)>;

/// The codes and names of the complaints that the entry allows.
pub(super) fn codes(entry: &Node<'_>) -> Vec<String> {
    let texts = list(entry).into_iter().flat_map(items).filter_map(Node::as_str);
    texts.map(str::to_owned).collect()
}

/// Whether one of the codes allows complaints of the kind.
pub(super) fn allows(codes: &[String], kind: &kind::Kind) -> bool {
    kind.severity != Severity::Error && codes.iter().any(|code| names(code, kind))
}

fn names(code: &str, kind: &kind::Kind) -> bool {
    code == kind.code || code == kind.slug
}

/// What the entry says in `lint.allow`.
pub(super) fn list<'n, 't>(entry: &'n Node<'t>) -> Option<&'n Node<'t>> {
    Some(&entry.get("lint")?.value.get("allow")?.value)
}

fn items<'n, 't>(list: &'n Node<'t>) -> &'n [Node<'t>] {
    if let Kind::List(items) = &list.kind { items } else { &[] }
}

/// Reports allows without effect; to be called when all else was checked.
pub(super) fn check<'t>(text: &'t str, entries: &[Entry<'t>], context: &mut Context<'_>) {
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.allows && !entry.spoiled) {
        let entry = entry.node(text);
        let Some(list) = list(&entry) else { continue };
        context.turn_to(at, &entry);
        if !matches!(list.kind, Kind::List(_)) {
            let message = format_args!("lint.allow has to be a list of strings, not {}", list.kind_name());
            context.at(&kind::IDLE_ALLOW, list.span, message).field("lint.allow").help("write [\"R064\"]");
        }
        for (place, item) in items(list).iter().enumerate() {
            if let Some((message, help)) = idle(item, at, context) {
                context
                    .at(&kind::IDLE_ALLOW, item.span, message)
                    .field(format_args!("lint.allow[{place}]"))
                    .help(help);
            }
        }
    }
}

/// Kinds that also tell what entries are to those of other files, which may not be here now.
const ACROSS: &[&kind::Kind] = &[&kind::SAME_NAME, &kind::ALIAS_TAKEN];

/// Why an allow has no effect, and what to do.
fn idle(item: &Node<'_>, entry: usize, context: &Context<'_>) -> Option<(String, &'static str)> {
    let known = |kind: &&kind::Kind| item.as_str().is_some_and(|code| names(code, kind));
    let Some(kind) = kind::ALL.iter().copied().find(known) else {
        let help = "`clem registry explain` and `clemcore-check --help` tell the codes";
        return Some(("this is the code of no complaint".to_owned(), help));
    };
    if kind.severity == Severity::Error {
        return Some((format!("{} is an error, which cannot be allowed", kind.code), "fix the error"));
    }
    let needed = context.used.contains(&(entry, kind.code)) || ACROSS.contains(&kind);
    (!needed).then(|| (format!("nothing in this entry is {}", kind.code), "remove it from the list"))
}
