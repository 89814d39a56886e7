//! Secrets: found by the name of the key or the look of the value, at any depth.
use super::Context;
use crate::catalogue as kind;
use crate::json::{Kind, Member, Node};
use crate::text::mask;
use std::fmt;

/// Looks through the keys of an entry.
pub(super) fn check(members: &[Member<'_>], context: &mut Context<'_>) {
    object(members, None, context);
}

/// Where a value stands; written out only where something is wrong.
#[derive(Clone, Copy)]
struct Path<'p> {
    before: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Item(usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(before) = self.before {
            before.fmt(f)?;
        }
        match self.step {
            Step::Key(key) => write!(f, "{}{key}", if self.before.is_some() { "." } else { "" }),
            Step::Item(at) => write!(f, "[{at}]"),
        }
    }
}

fn object(members: &[Member<'_>], before: Option<&Path<'_>>, context: &mut Context<'_>) {
    for member in members {
        let path = Path { before, step: Step::Key(&member.key.text) };
        match &member.value.kind {
            Kind::String(text) if mask::is_secret_name(&member.key.text) && mask::is_real_secret(text) => {
                report(&member.value, &path, context);
            }
            _ => value(&member.value, &path, context),
        }
    }
}

fn value(node: &Node<'_>, path: &Path<'_>, context: &mut Context<'_>) {
    match &node.kind {
        Kind::String(text) if mask::find_secret(text).is_some() => report(node, path, context),
        Kind::Object(members) => object(members, Some(path), context),
        Kind::List(items) => {
            for (at, item) in items.iter().enumerate() {
                value(item, &Path { before: Some(path), step: Step::Item(at) }, context);
            }
        }
        _ => {}
    }
}

fn report(node: &Node<'_>, path: &Path<'_>, context: &mut Context<'_>) {
    context
        .at(&kind::SECRET, node.span, "a registry is not a place for a secret")
        .field(format_args!("{path}"))
        .help("put it into an environment variable or key.json; if the file was ever shared, revoke it");
}
