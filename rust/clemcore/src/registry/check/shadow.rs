//! Entries that no selector can reach.
//!
//! A selector gets the first entry that does not contradict it. So an entry is out of reach exactly when an earlier
//! one says nothing that it does not say too: whatever contradicts the earlier one then contradicts the later one.
//! "Says nothing more" means, for each key of the earlier entry: an equal value, a list of the same length whose
//! items say nothing more, or an object whose keys say nothing more (so `{}` says nothing at all).
//!
//! Together, several earlier entries can hide one that none of them hides alone; that is not looked for, because a
//! selector with one more key tells them apart in practice.
use super::{Context, Entry};
use crate::catalogue as kind;
use crate::fix::Remedy;
use crate::json::{Kind, Member, Node};
use crate::registry::ALIASES;
use crate::text::Span;
use crate::unify::{ById, leaves_equal};
use hashbrown::HashMap;

/// With how many earlier entries of its name an entry is compared; more of one name are not a registry.
const COMPARED: usize = 100;
/// Objects with more keys are compared by a table of them.
const MANY_KEYS: usize = 32;

/// Reports entries that are out of reach; those with syntax faults are not judged.
pub(super) fn check<'t>(text: &'t str, entries: &[Entry<'t>], context: &mut Context<'_>) {
    // An entry without a name is an error, so only entries of one name can hide each other.
    let mut last: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
    let mut next = vec![None; entries.len()];
    let mut heads = Vec::new();
    let mut follows = vec![false; entries.len()];
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.spoiled) {
        let Some(before) = entry.name().and_then(|name| last.insert(name, at)) else { continue };
        next[before] = Some(at);
        follows[at] = true;
        if !follows[before] {
            heads.push(before);
        }
    }
    heads.sort_unstable();
    for head in heads {
        let mut earlier = Earlier::default();
        for at in std::iter::successors(Some(head), |at| next[*at]) {
            check_entry(text, entries, at, &mut earlier, context);
        }
    }
}

fn check_entry<'t>(
    text: &'t str,
    entries: &[Entry<'t>],
    at: usize,
    earlier: &mut Earlier<'t>,
    context: &mut Context<'_>,
) {
    let later = Told::new(at, entries[at].node(text));
    if let Some(hiding) = earlier.hiding(&later) {
        report(entries, hiding, &later, context);
    } else if context.thorough
        && let Some(alike) = earlier.list.iter().find(|earlier| alike(earlier, &later))
    {
        same_name(entries, alike, &later, context);
    }
    earlier.push(later);
}

/// Whether name and backend tell the two apart.
fn alike(earlier: &Told<'_>, later: &Told<'_>) -> bool {
    let backend = |told: &Told<'_>| {
        told.node.get("backend").and_then(|member| member.value.as_str().map(str::to_owned))
    };
    // An entry that says more comes first on purpose: it is for those who ask for what it says.
    backend(earlier) == backend(later) && !later.hides(earlier)
}

fn same_name(entries: &[Entry<'_>], earlier: &Told<'_>, later: &Told<'_>, context: &mut Context<'_>) {
    context.turn_to(later.at, &later.node);
    let span = entries[later.at].name.as_ref().map_or(later.node.span, |(_, span)| *span);
    let message = format_args!("entry {} has the same name and backend, and says something else", earlier.at);
    context
        .at(&kind::SAME_NAME, span, message)
        .related(entries[earlier.at].span.start)
        .help("the name alone always means the one at {place}; give this one a name of its own");
}

fn report(entries: &[Entry<'_>], earlier: &Told<'_>, later: &Told<'_>, context: &mut Context<'_>) {
    context.turn_to(later.at, &later.node);
    let start = later.node.span.start;
    let span = Span::new(start, start + 1);
    let first = entries[earlier.at].span.start;
    if later.hides(earlier) {
        let message = format_args!("this entry says the same as entry {}", earlier.at);
        context
            .at(&kind::DUPLICATE_ENTRY, span, message)
            .related(first)
            .help("remove one; the other is at {place}")
            .remedy(Some(Remedy::Remove(later.node.span)));
    } else {
        let message =
            format_args!("no selector reaches this entry: entry {} says less and comes first", earlier.at);
        context
            .at(&kind::UNREACHABLE_ENTRY, span, message)
            .related(first)
            .help("put it before the one at {place}, or let them differ in a key that both have");
    }
}

/// The first entries of a name.
#[derive(Debug, Default)]
pub(in crate::registry) struct Earlier<'t> {
    list: Vec<Told<'t>>,
}

impl<'t> Earlier<'t> {
    /// Whether one of them hides an entry, which is one of them from then on.
    pub(in crate::registry) fn hide(&mut self, at: usize, node: Node<'t>) -> bool {
        let later = Told::new(at, node);
        let hidden = self.hiding(&later).is_some();
        self.push(later);
        hidden
    }

    fn hiding(&self, later: &Told<'_>) -> Option<&Told<'t>> {
        self.list.iter().find(|earlier| earlier.hides(later))
    }

    fn push(&mut self, told: Told<'t>) {
        if self.list.len() < COMPARED {
            self.list.push(told);
        }
    }
}

/// An entry and what it says.
#[derive(Debug)]
struct Told<'t> {
    at: usize,
    node: Node<'t>,
    /// A bit for each value and where it stands: what says all of another has at least its bits.
    bits: u128,
}

impl<'t> Told<'t> {
    fn new(at: usize, node: Node<'t>) -> Self {
        let mut bits = 0;
        sign(&node, 0, &mut bits);
        Self { at, node, bits }
    }

    /// Whether every selector that fits `later` fits this one too.
    ///
    /// An entry with aliases is reached by these too, unless the earlier one has the same.
    fn hides(&self, later: &Self) -> bool {
        self.bits & !later.bits == 0
            && (self.node.get(ALIASES).is_some() || later.node.get(ALIASES).is_none())
            && says_less(&self.node, &later.node)
    }
}

/// Sets a bit for each value in a node, which stands at `place`; equal values at one place have one bit.
fn sign(node: &Node<'_>, place: u64, bits: &mut u128) {
    let value = match &node.kind {
        Kind::Object(members) => {
            return members
                .iter()
                .for_each(|member| sign(&member.value, mixed(place, member.key.text.as_bytes()), bits));
        }
        Kind::List(items) => {
            for (at, item) in items.iter().enumerate() {
                sign(item, mixed(place, &at.to_le_bytes()), bits);
            }
            mixed(place, &items.len().to_le_bytes())
        }
        Kind::String(text) => mixed(place, text.as_bytes()),
        Kind::Bool(flag) => mixed(place, &[u8::from(*flag)]),
        #[allow(clippy::cast_precision_loss, reason = "equal numbers lose the same")]
        Kind::Int(number) => mixed_number(place, *number as f64),
        Kind::BigInt(digits) => mixed_number(place, digits.parse().unwrap_or_default()),
        Kind::Float(number) => mixed_number(place, *number),
        Kind::Null | Kind::Broken => place,
    };
    // The upper bits are the best mixed.
    *bits |= 1 << (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57);
}

/// `1` equals `1.0`, and `-0.0` equals `0`.
fn mixed_number(before: u64, number: f64) -> u64 {
    mixed(before, &(number + 0.0).to_bits().to_le_bytes())
}

/// A number for some bytes after others (FNV-1a); who makes two of them collide only makes the comparison slower.
fn mixed(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before ^ 0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

fn says_less(earlier: &Node<'_>, later: &Node<'_>) -> bool {
    match (&earlier.kind, &later.kind) {
        (Kind::Object(a), Kind::Object(b)) => says_all_of(a, b),
        (Kind::List(a), Kind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| says_less(a, b)),
        (Kind::Object(_) | Kind::List(_), _) | (_, Kind::Object(_) | Kind::List(_)) => false,
        (Kind::String(a), Kind::String(b)) => a == b,
        _ => leaves_equal(&earlier.to_value(), &later.to_value(), &ById),
    }
}

fn says_all_of(earlier: &[Member<'_>], later: &[Member<'_>]) -> bool {
    if earlier.len() > later.len() {
        return false;
    }
    let says = |member: &Member<'_>, other: Option<&Member<'_>>| {
        other.is_some_and(|other| says_less(&member.value, &other.value))
    };
    if later.len() <= MANY_KEYS {
        let find = |key: &str| later.iter().find(|other| other.key.text == key);
        return earlier.iter().all(|member| says(member, find(&member.key.text)));
    }
    let table: HashMap<&str, &Member<'_>> = later.iter().map(|member| (&*member.key.text, member)).collect();
    earlier.iter().all(|member| says(member, table.get(&*member.key.text).copied()))
}
