//! Looking at values where they lie: variables, entries of dicts, items of lists, without copying them.

use super::Vm;
use crate::template::budget::look;
use crate::template::ir::{Affix, Cut, Expr, ExprKind, Part};
use crate::template::text::space::strip_range;
use crate::template::value::{Key, Value};

/// What an expression is, as far as that can be seen without evaluating it.
pub(super) enum Peek<'v, 'a> {
    Found(&'v Value<'a>),
    /// An undefined value; which one only evaluation tells.
    Absent,
    /// It has to be evaluated.
    Unknown,
}

/// Shorter affixes are looked for without paying.
const LONG: usize = 1024;

impl<'a> Vm<'a> {
    /// The text in a variable, or in an entry of a dict in a variable, which is what most of a chat template asks for.
    #[inline]
    fn usual_text(&self, expr: &'a Expr) -> Option<&'a str> {
        let value = match &expr.kind {
            ExprKind::ItemStr(owner, key) | ExprKind::Attr(owner, key) => {
                let (ExprKind::Local(slot, _), true) = (&owner.kind, key.plain) else { return None };
                match &self.slots[self.base + *slot as usize] {
                    Value::Dict(dict) => dict.get_key(key)?,
                    _ => return None,
                }
            }
            ExprKind::Local(slot, _) => &self.slots[self.base + *slot as usize],
            _ => return None,
        };
        if let Value::Str(text) = value { Some(text) } else { None }
    }

    #[inline]
    pub(super) fn peek(&self, expr: &'a Expr) -> Peek<'_, 'a> {
        match &expr.kind {
            ExprKind::Local(slot, _) => seen(&self.slots[self.base + *slot as usize]),
            ExprKind::Outer(var, _) => seen(&self.slots[self.outer(*var)]),
            ExprKind::ItemStr(owner, key) => self.peek_entry(owner, key),
            ExprKind::Attr(owner, key) if key.plain => self.peek_entry(owner, key),
            ExprKind::Item(owner, index) => match index.kind {
                ExprKind::Int(index) => self.peek_item(owner, index),
                _ => Peek::Unknown,
            },
            _ => Peek::Unknown,
        }
    }

    fn peek_entry(&self, owner: &'a Expr, key: &'a Key) -> Peek<'_, 'a> {
        let owner = match &owner.kind {
            ExprKind::Local(slot, _) => &self.slots[self.base + *slot as usize],
            _ => match self.peek(owner) {
                Peek::Found(value) => value,
                _ => return Peek::Unknown,
            },
        };
        let Value::Dict(dict) = owner else { return Peek::Unknown };
        match dict.get_key(key) {
            Some(value) => Peek::Found(value),
            None if key.plain => Peek::Absent,
            None => Peek::Unknown,
        }
    }

    fn peek_item(&self, owner: &'a Expr, index: i64) -> Peek<'_, 'a> {
        match self.peek(owner) {
            Peek::Found(Value::List(seq) | Value::Tuple(seq)) => {
                let back = || seq.items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
                let place = usize::try_from(index).ok().or_else(back);
                place.and_then(|place| seq.items.get(place)).map_or(Peek::Unknown, Peek::Found)
            }
            _ => Peek::Unknown,
        }
    }

    /// The text of an expression that is one already, or a part of one, without evaluating it.
    #[inline]
    pub(super) fn text_of(&self, expr: &'a Expr) -> Option<&'a str> {
        self.usual_text(expr).or_else(|| self.other_text(expr))
    }

    #[inline(never)]
    fn other_text(&self, expr: &'a Expr) -> Option<&'a str> {
        match &expr.kind {
            ExprKind::Str(text) => Some(text),
            ExprKind::Part(part) => self.part(part),
            _ => match self.peek(expr) {
                Peek::Found(Value::Str(text)) => Some(text),
                _ => None,
            },
        }
    }

    #[inline(never)]
    fn part(&self, part: &'a Part) -> Option<&'a str> {
        let text = self.text_of(part.whole.subject()?)?;
        // A refused payment leaves it to evaluation, which reports it.
        look(text.len()).ok()?;
        match &part.cut {
            Cut::Strip(left, right, chars) => {
                let (start, end) = strip_range(text, chars.as_deref(), *left, *right);
                Some(&text[start..end])
            }
            Cut::Lower => text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()).then_some(text),
            Cut::Before(separator) => Some(text.split_once(&**separator).map_or(text, |(head, _)| head)),
            // From the left, because separators may overlap.
            Cut::After(separator) => text.split(&**separator).last(),
        }
    }

    /// Whether a text starts or ends as asked, if it is a plain one.
    pub(super) fn affix(&self, affix: &'a Affix) -> Option<bool> {
        let text = self.text_of(affix.whole.subject()?)?;
        if affix.with.len() > LONG {
            look(affix.with.len()).ok()?;
        }
        Some(if affix.at_end { text.ends_with(&*affix.with) } else { text.starts_with(&*affix.with) })
    }
}

#[inline]
fn seen<'v, 'a>(value: &'v Value<'a>) -> Peek<'v, 'a> {
    if matches!(value, Value::Missing) { Peek::Absent } else { Peek::Found(value) }
}
