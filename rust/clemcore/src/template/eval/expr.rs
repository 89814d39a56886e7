//! Expressions.

use super::Vm;
use super::emit::simple;
use super::iterate::iterate;
use super::peek::Peek;
use crate::template::ast::{BinOp, CmpOp};
use crate::template::budget::{BYTES_PER_UNIT, spend};
use crate::template::builtins::admit;
use crate::template::builtins::tests::TestKind;
use crate::template::error::{Error, ErrorKind, Result};
use crate::template::ir::{Expr, ExprKind, Test};
use crate::template::ops::compare::{compare, equals};
use crate::template::ops::index::{get_attr, get_item, get_item_str};
use crate::template::ops::number::{binary, signed};
use crate::template::ops::slice::slice;
use crate::template::ops::truth::truthy;
use crate::template::value::{Dict, Key, Object, Undef, Value};

impl<'a> Vm<'a> {
    pub(crate) fn eval(&mut self, expr: &'a Expr) -> Result<Value<'a>> {
        match &expr.kind {
            ExprKind::Str(text) => return Ok(Value::Str(text)),
            ExprKind::Int(int) => return Ok(Value::Int(*int)),
            ExprKind::Local(..) | ExprKind::Attr(..) | ExprKind::ItemStr(..) | ExprKind::Item(..) => {
                if let Peek::Found(value) = self.peek(expr) {
                    return Ok(value.clone());
                }
            }
            ExprKind::Bin(..) => {
                if let Some(int) = self.int_of(expr) {
                    return Ok(Value::Int(int));
                }
            }
            ExprKind::Part(part) => {
                return match self.text_of(expr) {
                    Some(text) => Ok(Value::Str(text)),
                    None => self.eval(&part.whole),
                };
            }
            _ => {}
        }
        // Written so that the result stays where it is: moving it costs as much as making it.
        let mut result = self.eval_kind(expr);
        if let Err(error) = &mut result {
            error.locate(expr.at);
        }
        result
    }

    /// The branch that a conditional expression takes.
    pub(super) fn settled(&mut self, expr: &'a Expr) -> Result<&'a Expr> {
        let mut expr = expr;
        while let ExprKind::Cond { test, then, otherwise: Some(otherwise) } = &expr.kind {
            expr = if self.test(test)? { then } else { otherwise };
        }
        Ok(expr)
    }

    /// The truth of an expression.
    pub(super) fn test(&mut self, expr: &'a Expr) -> Result<bool> {
        self.test_kind(expr).map_err(|e| e.at(expr.at))
    }

    fn test_kind(&mut self, expr: &'a Expr) -> Result<bool> {
        match &expr.kind {
            ExprKind::Not(value) => return Ok(!self.test(value)?),
            ExprKind::And(left, right) => return Ok(self.test(left)? && self.test(right)?),
            ExprKind::Or(left, right) => return Ok(self.test(left)? || self.test(right)?),
            _ => {}
        }
        if let Some(flag) = self.bool_of(expr) {
            return Ok(flag);
        }
        match &expr.kind {
            ExprKind::Compare(first, ops) => self.compare_chain(first, ops),
            ExprKind::Test(test) => self.run_test(test),
            ExprKind::Affix(affix) => self.test(&affix.whole),
            ExprKind::Part(..) => Ok(match self.text_of(expr) {
                Some(text) => !text.is_empty(),
                None => truthy(&self.eval(expr)?),
            }),
            _ => Ok(match self.peek(expr) {
                Peek::Found(value) => truthy(value),
                Peek::Absent => false,
                Peek::Unknown => truthy(&self.eval_kind(expr)?),
            }),
        }
    }

    fn run_test(&mut self, test: &'a Test) -> Result<bool> {
        if let (Some(TestKind::Check(check)), true) = (test.kind, test.args.is_empty()) {
            return Ok(match self.peek(&test.operand) {
                Peek::Found(value) => check(value),
                Peek::Absent => check(&Value::Missing),
                Peek::Unknown => check(&self.eval(&test.operand)?),
            });
        }
        let operand = self.eval(&test.operand)?;
        let args = self.args(&test.args)?;
        let Some(kind) = test.kind else {
            return Err(Error::runtime(format!("No test named '{}' found.", test.name)));
        };
        admit(self, &operand, &args)?;
        kind.call(self, &operand, args)
    }

    #[inline(never)]
    fn eval_kind(&mut self, expr: &'a Expr) -> Result<Value<'a>> {
        Ok(match &expr.kind {
            ExprKind::None => Value::None,
            ExprKind::Bool(b) => Value::Bool(*b),
            ExprKind::Int(i) => Value::Int(*i),
            ExprKind::Big(i) => Value::big(i.clone()),
            ExprKind::Float(f) => Value::Float(*f),
            ExprKind::Str(s) => Value::Str(s),
            ExprKind::Local(slot, name) => defined(&self.slots[self.base + *slot as usize], name),
            ExprKind::Outer(var, name) => defined(&self.slots[self.outer(*var)], name),
            ExprKind::Tuple(items) => Value::tuple(self.all(items)?)?,
            ExprKind::List(items) => Value::list(self.all(items)?)?,
            ExprKind::Dict(pairs) => {
                let mut dict = Dict::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let key = self.eval(key)?;
                    let value = self.eval(value)?;
                    self.pay(1)?;
                    dict.insert(key, value)?;
                }
                Value::Dict(dict.into())
            }
            ExprKind::Attr(value, key) => return self.attr(value, key),
            ExprKind::Sum(parts) => return self.sum(parts),
            ExprKind::ItemStr(value, key) => return self.item_str(value, key),
            ExprKind::Item(value, index) => {
                let value = self.eval(value)?;
                let index = self.eval(index)?;
                if let Value::Object(object) = &value
                    && let (Object::Loop(_), Some(name)) = (&**object, index.as_str())
                {
                    let name = name.to_owned();
                    return self.loop_attr(object, &name);
                }
                get_item(&value, &index)?
            }
            ExprKind::Slice(value, bounds) => {
                let value = self.eval(value)?;
                let bounds = self.bounds(bounds)?;
                slice(&value, &bounds)?
            }
            ExprKind::LenientSlice(value, bounds) => {
                let value = self.eval(value)?;
                value.defined()?;
                let bounds = self.bounds(bounds)?;
                match slice(&value, &bounds) {
                    Err(error) if error.kind == ErrorKind::Type => {
                        Value::undefined_hint("the slice is undefined")
                    }
                    result => result?,
                }
            }
            ExprKind::Folded(lenient, strict, printed) => match self.eval(lenient) {
                Ok(value) if *printed || literal(&value) => value,
                _ => self.eval(strict)?,
            },
            ExprKind::Call(callee, args) => return self.call_expr(callee, args),
            ExprKind::Filter(filter) => {
                let operand = self.eval(&filter.operand)?;
                let args = self.args(&filter.args)?;
                let Some(func) = filter.func else {
                    return Err(Error::runtime(format!("No filter named '{}' found.", filter.name)));
                };
                admit(self, &operand, &args)?;
                func(self, operand, args)?
            }
            ExprKind::Test(_) | ExprKind::Not(_) | ExprKind::Compare(..) | ExprKind::Affix(_) => {
                Value::Bool(self.test_kind(expr)?)
            }
            ExprKind::Neg(value) => signed(&self.eval(value)?, true)?,
            ExprKind::Pos(value) => signed(&self.eval(value)?, false)?,
            ExprKind::Bin(op, left, right) => {
                let left = self.eval(left)?;
                let right = self.eval(right)?;
                binary(*op, &left, &right)?
            }
            ExprKind::And(left, right) => {
                let left = self.eval(left)?;
                if truthy(&left) { self.eval(right)? } else { left }
            }
            ExprKind::Or(left, right) => {
                let left = self.eval(left)?;
                if truthy(&left) { left } else { self.eval(right)? }
            }
            ExprKind::Concat(items) => return self.concat(items),
            ExprKind::Cond { test, then, otherwise } => {
                if self.test(test)? {
                    self.eval(then)?
                } else if let Some(otherwise) = otherwise {
                    self.eval(otherwise)?
                } else {
                    Value::Undefined(
                        Undef::Hint(
                            "the inline if-expression evaluated to false and no else section was defined."
                                .into(),
                        )
                        .into(),
                    )
                }
            }
            ExprKind::Part(part) => return self.eval(&part.whole),
            ExprKind::NotConstant => return Err(Error::runtime("not a constant")),
            ExprKind::Captured => self.captured.last().cloned().unwrap_or(Value::Str("")),
        })
    }

    pub(super) fn all(&mut self, items: &'a [Expr]) -> Result<Vec<Value<'a>>> {
        self.pay(items.len())?;
        items.iter().map(|item| self.eval(item)).collect()
    }

    fn bounds(&mut self, bounds: &'a [Option<Expr>; 3]) -> Result<[Value<'a>; 3]> {
        let mut values = [Value::Missing, Value::Missing, Value::Missing];
        for (value, bound) in values.iter_mut().zip(bounds) {
            if let Some(bound) = bound {
                *value = self.eval(bound)?;
            }
        }
        Ok(values)
    }

    fn attr(&mut self, value: &'a Expr, key: &'a Key) -> Result<Value<'a>> {
        let name = &*key.name;
        let owned;
        let value = match self.peek(value) {
            Peek::Found(value) => value,
            _ => {
                owned = self.eval(value)?;
                &owned
            }
        };
        if let (true, Value::Dict(dict)) = (key.plain, value) {
            return Ok(match dict.get_key(key) {
                Some(found) => found.clone(),
                None => Value::missing_element(value, Value::Str(name)),
            });
        }
        if let Value::Object(object) = value {
            if let Object::Loop(state) = &**object {
                if let Some(value) = key.counter.and_then(|counter| state.count(counter)) {
                    return Ok(value);
                }
                let object = object.clone();
                return self.loop_attr(&object, name);
            }
            if let Object::Macro { id, .. } = &**object {
                return self.macro_attr(*id, name);
            }
        }
        get_attr(value, name, || Value::Str(name))
    }

    fn item_str(&mut self, value: &'a Expr, key: &'a Key) -> Result<Value<'a>> {
        let value = self.eval(value)?;
        let key = &*key.name;
        if let Value::Object(object) = &value {
            match &**object {
                Object::Loop(_) => return self.loop_attr(object, key),
                Object::Macro { id, .. } => return self.macro_attr(*id, key),
                _ => {}
            }
        }
        get_item_str(&value, key)
    }

    fn compare_chain(&mut self, first: &'a Expr, ops: &'a [(CmpOp, Expr)]) -> Result<bool> {
        if let [(op @ (CmpOp::In | CmpOp::NotIn), right)] = ops
            && let Some(part) = self.text_of(first)
        {
            if let Some(text) = self.text_of(right) {
                self.pay(text.len() / BYTES_PER_UNIT)?;
                return Ok(text.contains(part) == (*op == CmpOp::In));
            }
            if let Peek::Found(Value::Dict(dict)) = self.peek(right) {
                return Ok(dict.get_str(part).is_some() == (*op == CmpOp::In));
            }
        }
        let mut left = self.eval(first)?;
        if let [(op, right)] = ops {
            let right = self.eval(right)?;
            return self.compare_values(*op, &left, &right);
        }
        for (op, right) in ops {
            let right = self.eval(right)?;
            if !self.compare_values(*op, &left, &right)? {
                return Ok(false);
            }
            left = right;
        }
        Ok(true)
    }

    pub(crate) fn compare_values(&mut self, op: CmpOp, left: &Value<'a>, right: &Value<'a>) -> Result<bool> {
        if let (CmpOp::In | CmpOp::NotIn, Value::Object(object)) = (op, right)
            && let Object::Gen(..) = &**object
        {
            let mut iter = iterate(right.clone())?;
            while let Some(item) = self.next(&mut iter)? {
                if equals(&item, left) {
                    return Ok(op == CmpOp::In);
                }
            }
            return Ok(op == CmpOp::NotIn);
        }
        compare(op, left, right)
    }

    /// A chain of `+`. Strings are put together at the end of the output, which serves as scratch paper.
    fn sum(&mut self, parts: &'a [Expr]) -> Result<Value<'a>> {
        let start = self.out.len();
        match self.add_up(parts, start, false)? {
            Some(value) => Ok(value),
            None => Ok(self.take_text(start)),
        }
    }

    /// Adds up a chain; `None` when the sum is a string, which then stands in the output from `start` on.
    /// With `begun` the sum of earlier parts, a string, stands there already.
    pub(super) fn add_up(
        &mut self,
        parts: &'a [Expr],
        start: usize,
        begun: bool,
    ) -> Result<Option<Value<'a>>> {
        let mut total = None;
        // What a part writes while it is computed is not yet output.
        self.captures.push(start);
        for (i, part) in parts.iter().enumerate() {
            if total.is_none()
                && let Some(text) = self.text_of(part)
            {
                self.write(text)?;
                continue;
            }
            let right = self.eval(part)?;
            if i == 0 && !begun || total.is_none() && matches!(right, Value::Str(_) | Value::Owned(_)) {
                total = self.put_if_text(right)?;
                continue;
            }
            let left = total.take().unwrap_or_else(|| self.take_text(start));
            total = self.put_if_text(binary(BinOp::Add, &left, &right)?)?;
        }
        self.captures.pop();
        Ok(total)
    }

    fn put_if_text(&mut self, value: Value<'a>) -> Result<Option<Value<'a>>> {
        match &value {
            Value::Str(text) => self.write(text)?,
            Value::Owned(text) => self.write(text)?,
            _ => return Ok(Some(value)),
        }
        Ok(None)
    }

    fn concat(&mut self, items: &'a [Expr]) -> Result<Value<'a>> {
        if items.iter().all(simple) {
            let start = self.out.len();
            items.iter().try_for_each(|item| self.emit(item))?;
            return Ok(self.take_text(start));
        }
        let values = self.all(items)?;
        let start = self.out.len();
        values.iter().try_for_each(|value| self.print(value))?;
        Ok(self.take_text(start))
    }
}

/// The value of a variable, undefined when it has none.
fn defined<'a>(value: &Value<'a>, name: &'a str) -> Value<'a> {
    match value {
        Value::Missing => Value::undefined_name(name),
        value => value.clone(),
    }
}

/// Whether a value can be written as a literal, so that jinja2's optimiser keeps it.
fn literal(value: &Value<'_>) -> bool {
    match value {
        Value::Missing | Value::Undefined(_) => false,
        Value::List(seq) | Value::Tuple(seq) => {
            spend(seq.items.len()).is_ok() && seq.items.iter().all(literal)
        }
        Value::Dict(dict) => {
            spend(dict.len()).is_ok()
                && dict.entries().iter().all(|(key, value)| literal(key) && literal(value))
        }
        Value::Object(object) => matches!(&**object, Object::Range { .. }),
        _ => true,
    }
}
