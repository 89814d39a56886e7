//! Looking at values where they lie: variables, entries of dicts, items of lists, without copying them.

use super::Vm;
use crate::template::ir::{Expr, ExprKind};
use crate::template::value::{Key, Value};

/// What an expression is, as far as that can be seen without evaluating it.
pub(super) enum Peek<'v, 'a> {
    Found(&'v Value<'a>),
    /// An undefined value; which one only evaluation tells.
    Absent,
    /// It has to be evaluated.
    Unknown,
}

impl<'a> Vm<'a> {
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
        match self.peek(owner) {
            Peek::Found(Value::Dict(dict)) => match dict.get_key(key) {
                Some(value) => Peek::Found(value),
                None if key.plain => Peek::Absent,
                None => Peek::Unknown,
            },
            _ => Peek::Unknown,
        }
    }

    fn peek_item(&self, owner: &'a Expr, index: i64) -> Peek<'_, 'a> {
        match self.peek(owner) {
            Peek::Found(Value::List(seq) | Value::Tuple(seq)) => {
                let place = usize::try_from(index).ok();
                place.and_then(|place| seq.items.get(place)).map_or(Peek::Unknown, Peek::Found)
            }
            _ => Peek::Unknown,
        }
    }

    /// The text of an expression that is one already, without evaluating it.
    #[inline]
    pub(super) fn text_of(&self, expr: &'a Expr) -> Option<&'a str> {
        if let ExprKind::Str(text) = &expr.kind {
            return Some(text);
        }
        match self.peek(expr) {
            Peek::Found(Value::Str(text)) => Some(text),
            _ => None,
        }
    }
}

#[inline]
fn seen<'v, 'a>(value: &'v Value<'a>) -> Peek<'v, 'a> {
    if matches!(value, Value::Missing) { Peek::Absent } else { Peek::Found(value) }
}
