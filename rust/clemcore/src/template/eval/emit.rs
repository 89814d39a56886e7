//! Printing: the text of an expression goes straight to the output, without a string in between where that can be.

use super::Vm;
use crate::template::budget::too_long;
use crate::template::error::Result;
use crate::template::ir::{Expr, ExprKind};
use crate::template::text::repr::write_str;
use crate::template::value::Value;

impl<'a> Vm<'a> {
    /// Writes `str(value)`.
    pub(super) fn print(&mut self, value: &Value<'a>) -> Result<()> {
        if let Some(text) = value.as_str() {
            return self.write(text);
        }
        write_str(value, &mut self.out)?;
        if self.out.len() > self.longest {
            return Err(too_long());
        }
        Ok(())
    }

    /// Writes the text of an expression.
    pub(super) fn emit(&mut self, expr: &'a Expr) -> Result<()> {
        self.emit_kind(expr).map_err(|e| e.at(expr.at))
    }

    fn emit_kind(&mut self, expr: &'a Expr) -> Result<()> {
        match &expr.kind {
            ExprKind::Str(text) => self.write(text),
            ExprKind::Sum(parts) => self.emit_sum(parts),
            _ => match self.text_of(expr) {
                Some(text) => self.write(text),
                None => self.emit_other(expr),
            },
        }
    }

    fn emit_other(&mut self, expr: &'a Expr) -> Result<()> {
        match &expr.kind {
            ExprKind::Concat(items) => {
                // Every operand is computed before any is turned into text, so only plain ones may be written at once.
                if items.iter().all(simple) {
                    return items.iter().try_for_each(|item| self.emit(item));
                }
                self.emit_value(expr)
            }
            ExprKind::Cond { test, then, otherwise: Some(otherwise) } => {
                let chosen = if self.test(test)? { then } else { otherwise };
                self.emit(chosen)
            }
            ExprKind::Call(callee, args) => self.emit_call(expr, callee, args),
            _ => self.emit_value(expr),
        }
    }

    fn emit_value(&mut self, expr: &'a Expr) -> Result<()> {
        let value = self.eval(expr)?;
        self.print(&value)
    }

    /// `a + b + c`: as long as all parts are strings they are written one after the other.
    fn emit_sum(&mut self, parts: &'a [Expr]) -> Result<()> {
        let start = self.out.len();
        // Nearly always every part is a text that is there already.
        let mut rest = parts;
        while let Some((part, others)) = rest.split_first() {
            let text = match &part.kind {
                ExprKind::Str(text) => text,
                _ => match self.text_of(part) {
                    Some(text) => text,
                    None => break,
                },
            };
            self.write(text)?;
            rest = others;
        }
        if rest.is_empty() {
            return Ok(());
        }
        match self.add_up(rest, start, rest.len() < parts.len())? {
            Some(value) => self.print(&value),
            None => Ok(()),
        }
    }
}

/// An expression that has no effect and whose text cannot fail after a later operand did.
pub(super) fn simple(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Str(_) | ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::None => true,
        ExprKind::Local(..) | ExprKind::Outer(..) => true,
        ExprKind::Attr(value, ..) | ExprKind::ItemStr(value, _) => simple(value),
        _ => false,
    }
}
