//! Numbers and truth values that can be had without evaluating anything that may fail or has an effect.
//!
//! They are handed over in registers, which a [`Value`] is not, and conditions are full of them. `None` means that the
//! expression has to be evaluated.

use super::Vm;
use super::peek::Peek;
use crate::template::ast::{BinOp, CmpOp};
use crate::template::builtins::tests::TestKind;
use crate::template::ir::{Expr, ExprKind};
use crate::template::ops::compare::same_text;
use crate::template::ops::number::fast;
use crate::template::value::{Counter, Key, LoopState, Object, Value};

/// A namespace of more names is searched where the search is paid for.
const MANY: usize = 32;

impl<'a> Vm<'a> {
    /// An integer, which is not a bool.
    pub(super) fn int_of(&self, expr: &'a Expr) -> Option<i64> {
        match &expr.kind {
            ExprKind::Int(int) => Some(*int),
            ExprKind::Bin(op, left, right) => fast(*op, self.int_of(left)?, self.int_of(right)?),
            ExprKind::Sum(parts) => {
                let (first, rest) = parts.split_first()?;
                rest.iter()
                    .try_fold(self.int_of(first)?, |sum, part| fast(BinOp::Add, sum, self.int_of(part)?))
            }
            ExprKind::Filter(filter) if filter.is_length => match self.peek(&filter.operand) {
                Peek::Found(Value::List(seq) | Value::Tuple(seq)) => i64::try_from(seq.items.len()).ok(),
                _ => None,
            },
            ExprKind::Attr(owner, key) => match self.entry(owner, key)? {
                Entry::Loop(state) => match key.counter? {
                    Counter::Index => i64::try_from(state.index.get()).ok(),
                    Counter::Index0 => i64::try_from(state.index.get().saturating_sub(1)).ok(),
                    _ => None,
                },
                Entry::Int(int) => Some(int),
                Entry::Bool(_) => None,
            },
            _ => match self.peek(expr) {
                Peek::Found(Value::Int(int)) => Some(*int),
                _ => None,
            },
        }
    }

    /// A bool.
    pub(super) fn bool_of(&self, expr: &'a Expr) -> Option<bool> {
        match &expr.kind {
            ExprKind::Bool(flag) => Some(*flag),
            ExprKind::Not(value) => self.bool_of(value).map(|flag| !flag),
            ExprKind::Compare(first, ops) => match &ops[..] {
                [(op, right)] => self.compared(*op, first, right),
                _ => None,
            },
            ExprKind::Test(test) => match (test.kind, test.args.is_empty()) {
                (Some(TestKind::Check(check)), true) => match self.peek(&test.operand) {
                    Peek::Found(value) => Some(check(value)),
                    Peek::Absent => Some(check(&Value::Missing)),
                    Peek::Unknown => None,
                },
                _ => None,
            },
            ExprKind::Affix(affix) => self.affix(affix),
            ExprKind::Attr(owner, key) => match self.entry(owner, key)? {
                Entry::Loop(state) => match state.count(key.counter?)? {
                    Value::Bool(flag) => Some(flag),
                    _ => None,
                },
                Entry::Bool(flag) => Some(flag),
                Entry::Int(_) => None,
            },
            _ => match self.peek(expr) {
                Peek::Found(Value::Bool(flag)) => Some(*flag),
                _ => None,
            },
        }
    }

    fn compared(&self, op: CmpOp, left: &'a Expr, right: &'a Expr) -> Option<bool> {
        if let (ExprKind::Str(text), CmpOp::Eq | CmpOp::Ne) = (&right.kind, op) {
            return Some(same(self.text_of(left)?, text) == (op == CmpOp::Eq));
        }
        if !matches!(op, CmpOp::In | CmpOp::NotIn)
            && let Some(a) = self.int_of(left)
        {
            let order = a.cmp(&self.int_of(right)?);
            return Some(match op {
                CmpOp::Eq => order.is_eq(),
                CmpOp::Ne => order.is_ne(),
                CmpOp::Lt => order.is_lt(),
                CmpOp::Le => order.is_le(),
                CmpOp::Gt => order.is_gt(),
                _ => order.is_ge(),
            });
        }
        match op {
            CmpOp::Eq | CmpOp::Ne => {
                let equal = match self.text_of(left) {
                    Some(text) => same(text, self.text_of(right)?),
                    None => self.bool_of(left)? == self.bool_of(right)?,
                };
                Some(equal == (op == CmpOp::Eq))
            }
            _ => None,
        }
    }

    /// What an attribute of a loop, a namespace or a dict is.
    fn entry(&self, owner: &'a Expr, key: &'a Key) -> Option<Entry<'_, 'a>> {
        let Peek::Found(owner) = self.peek(owner) else { return None };
        let scalar = |value: &Value<'a>| match value {
            Value::Int(int) => Some(Entry::Int(*int)),
            Value::Bool(flag) => Some(Entry::Bool(*flag)),
            _ => None,
        };
        match owner {
            Value::Dict(dict) if key.plain => scalar(dict.get_key(key)?),
            Value::Object(object) => match &**object {
                Object::Loop(state) => Some(Entry::Loop(state)),
                Object::Namespace(attrs, _) if key.plain => {
                    let attrs = attrs.borrow();
                    if attrs.len() > MANY {
                        return None;
                    }
                    scalar(&attrs.iter().find(|(name, _)| name.as_str() == Some(&key.name))?.1)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// `a == b` for texts that are short, as roles and types are.
#[inline]
fn same(x: &str, y: &str) -> bool {
    let (a, b) = (x.as_bytes(), y.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        4..=8 => a.first_chunk::<4>() == b.first_chunk::<4>() && a.last_chunk::<4>() == b.last_chunk::<4>(),
        9..=16 => a.first_chunk::<8>() == b.first_chunk::<8>() && a.last_chunk::<8>() == b.last_chunk::<8>(),
        _ => same_text(x, y),
    }
}

enum Entry<'v, 'a> {
    Loop(&'v LoopState<'a>),
    Int(i64),
    Bool(bool),
}
