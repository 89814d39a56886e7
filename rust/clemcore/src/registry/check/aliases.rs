//! Aliases that never count: a name always comes before an alias, and of two entries with one alias the first is meant.
use super::{Context, Entry};
use crate::catalogue as kind;
use crate::json::{Kind, Node};
use crate::registry::ALIASES;
use std::collections::HashMap;

/// Reports aliases that are names, or that an earlier entry has.
pub(super) fn check<'t>(text: &'t str, entries: &[Entry<'t>], context: &mut Context<'_>) {
    if !entries.iter().any(|entry| entry.aliased) {
        return;
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Some(name) = entry.name() {
            names.entry(name).or_insert(at);
        }
    }
    // Of each alias the first entry that has it, and the place there.
    let mut known: HashMap<String, (usize, usize)> = HashMap::new();
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.aliased && !entry.spoiled) {
        let node = entry.node(text);
        context.turn_to(at, &node);
        for (place, item) in items(&node).iter().enumerate() {
            let Some(alias) = item.as_str() else { continue };
            // Entries of one name may share an alias, as they share the name.
            let is_other = |other: usize| other == at || entries[other].name() != entry.name();
            let first = known.get(alias).copied();
            if first.is_none() {
                known.insert(alias.to_owned(), (at, item.span.start));
            }
            let first = first.filter(|(other, _)| is_other(*other));
            let shown = shown(alias);
            let (message, related) = if entry.name() == Some(alias) {
                ("this is the entry's own name".to_owned(), None)
            } else if let Some(other) = names.get(alias) {
                let message =
                    format!("{shown} is the name of entry {other}, and a name comes before an alias");
                (message, Some(entries[*other].span.start))
            } else if let Some((other, first)) = first {
                let earlier = if other == at { "this entry".to_owned() } else { format!("entry {other}") };
                (format!("{shown} is an alias of {earlier} already"), Some(first))
            } else {
                continue;
            };
            let fault =
                context.at(&kind::ALIAS_TAKEN, item.span, message).field(format_args!("{ALIASES}[{place}]"));
            match related {
                Some(offset) => fault.related(offset).help("the one at {place} is meant; take this one out"),
                None => fault.help("take it out of the list"),
            };
        }
    }
}

/// The aliases of an entry.
pub(super) fn items<'n, 't>(entry: &'n Node<'t>) -> &'n [Node<'t>] {
    match entry.get(ALIASES).map(|member| &member.value.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

/// The beginning of a text, in quotes.
pub(super) fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
