//! Expressions → program.

use num_traits::ToPrimitive as _;

use super::Compiler;
use super::cut::shorten;
use super::frame::Frame;
use crate::template::ast::{self, Expr as Ast, Kind};
use crate::template::builtins::methods::{Method, has_method};
use crate::template::builtins::{filters, tests};
use crate::template::error::{Error, ErrorKind, Result};
use crate::template::ir::{Args, Expr, ExprKind, Filter, Test};
use crate::template::value::{Counter, Dict, Key, Value};

/// Beyond this many constant slices no further ones are looked for.
const MAX_FOLDS: usize = 64;

/// How slices in the expression are compiled.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Look for constant parts with slices.
    Normal,
    /// Inside one: as the optimiser would fold it.
    Lenient,
    /// Inside one: as it runs.
    Strict,
}

impl<'s> Compiler<'s> {
    pub(super) fn expr(&mut self, expr: &Ast<'s>, frame: &Frame<'s>) -> Result<Expr> {
        self.lower(expr, frame, Mode::Normal)
    }

    /// An expression whose text is written: a constant one may fold to anything.
    pub(super) fn printed(&mut self, expr: &Ast<'s>, frame: &Frame<'s>) -> Result<Expr> {
        let constant = is_constant(expr);
        if constant && has_slice(expr) {
            return self.folded(expr, frame, true);
        }
        // Then nothing but its text goes into jinja2's program.
        let before = std::mem::replace(&mut self.whole, constant);
        let lowered = self.expr(expr, frame);
        self.whole = before;
        lowered
    }

    fn folded(&mut self, expr: &Ast<'s>, frame: &Frame<'s>, printed: bool) -> Result<Expr> {
        let lenient = Box::new(self.lower(expr, frame, Mode::Lenient)?);
        // The parts may fold where the whole does not. Both sides are compiled, so the number of such places is bounded.
        self.folds += 1;
        let mode = if self.folds > MAX_FOLDS { Mode::Strict } else { Mode::Normal };
        let kind = self.kind(expr, frame, mode).map_err(|e| e.at(expr.at))?;
        let strict = Box::new(Expr { kind, at: expr.at });
        Ok(Expr { kind: ExprKind::Folded(lenient, strict, printed), at: expr.at })
    }

    fn boxed(&mut self, expr: &Ast<'s>, frame: &Frame<'s>, mode: Mode) -> Result<Box<Expr>> {
        self.lower(expr, frame, mode).map(Box::new)
    }

    fn all(&mut self, items: &[Ast<'s>], frame: &Frame<'s>, mode: Mode) -> Result<Vec<Expr>> {
        items.iter().map(|item| self.lower(item, frame, mode)).collect()
    }

    fn lower(&mut self, expr: &Ast<'s>, frame: &Frame<'s>, mode: Mode) -> Result<Expr> {
        if mode == Mode::Normal && has_slice(expr) && is_constant(expr) {
            return self.folded(expr, frame, false);
        }
        let kind = self.kind(expr, frame, mode).map_err(|e| e.at(expr.at))?;
        Ok(Expr { kind: shorten(kind, expr.at), at: expr.at })
    }

    fn kind(&mut self, expr: &Ast<'s>, frame: &Frame<'s>, mode: Mode) -> Result<ExprKind> {
        if mode == Mode::Lenient && !folds(expr) {
            return Ok(ExprKind::NotConstant);
        }
        Ok(match &expr.kind {
            Kind::Name(name) => {
                let var = self.var(frame.symbols.reference(name)?, frame)?;
                let name = (*name).into();
                if var.hops == 0 { ExprKind::Local(var.slot, name) } else { ExprKind::Outer(var, name) }
            }
            Kind::Data(text) => ExprKind::Str((*text).into()),
            Kind::Str(text) => ExprKind::Str((**text).into()),
            Kind::Int(value) => value.to_i64().map_or_else(|| ExprKind::Big(value.clone()), ExprKind::Int),
            // jinja2 writes constants into a program, where infinity is a name that nobody defined.
            Kind::Float(value) if value.is_infinite() => {
                return Err(Error::unsupported("an infinite constant"));
            }
            Kind::Filter(Some(operand), name, _) if &**name == "float" && may_be_infinite(operand) => {
                return Err(Error::unsupported("a constant that may be infinite"));
            }
            Kind::Bin(op, ..) if *op != ast::BinOp::Pow && !self.whole && may_overflow(expr) => {
                return Err(Error::unsupported("a constant that may be infinite"));
            }
            Kind::Float(value) => ExprKind::Float(*value),
            Kind::Bool(value) => ExprKind::Bool(*value),
            Kind::None => ExprKind::None,
            Kind::Tuple(items) => ExprKind::Tuple(self.all(items, frame, mode)?),
            Kind::List(items) => ExprKind::List(self.all(items, frame, mode)?),
            Kind::Concat(items) => ExprKind::Concat(self.all(items, frame, mode)?),
            Kind::Dict(pairs) => {
                let mut compiled = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    // What jinja2 makes of such a key depends on what stands around it.
                    if is_constant(key) && may_be_unhashable(key) {
                        return Err(Error::unsupported("a constant key that may be no key"));
                    }
                    compiled.push((self.lower(key, frame, mode)?, self.lower(value, frame, mode)?));
                }
                ExprKind::Dict(compiled)
            }
            Kind::Attr(value, name) => ExprKind::Attr(self.boxed(value, frame, mode)?, self.key(name)),
            Kind::Item(value, index) => self.item(value, index, frame, mode)?,
            Kind::Slice(_) => return Err(Error::unsupported("a slice outside brackets")),
            Kind::Call(callee, args) => {
                ExprKind::Call(self.boxed(callee, frame, mode)?, Box::new(self.args(args, frame, mode)?))
            }
            Kind::Filter(operand, name, args) => self.filter(operand.as_deref(), name, args, frame, mode)?,
            Kind::Test(operand, name, args) => self.test(operand, name, args, frame, mode)?,
            Kind::Not(value) => ExprKind::Not(self.boxed(value, frame, mode)?),
            Kind::Neg(value) => match self.lower(value, frame, mode)? {
                Expr { kind: ExprKind::Int(int), .. } => ExprKind::Int(-int),
                value => ExprKind::Neg(Box::new(value)),
            },
            Kind::Pos(value) => ExprKind::Pos(self.boxed(value, frame, mode)?),
            Kind::Bin(ast::BinOp::Add, ..) => {
                let mut parts = Vec::new();
                self.sum(expr, frame, mode, &mut parts)?;
                match parts.pop() {
                    Some(part) if parts.is_empty() => part.kind,
                    last => {
                        parts.extend(last);
                        ExprKind::Sum(parts)
                    }
                }
            }
            Kind::Bin(op, a, b) => {
                ExprKind::Bin(*op, self.boxed(a, frame, mode)?, self.boxed(b, frame, mode)?)
            }
            Kind::And(a, b) => ExprKind::And(self.boxed(a, frame, mode)?, self.second(a, b, frame, mode)?),
            Kind::Or(a, b) => ExprKind::Or(self.boxed(a, frame, mode)?, self.second(a, b, frame, mode)?),
            Kind::Compare(first, ops) => {
                let first = self.boxed(first, frame, mode)?;
                let mut compiled = Vec::with_capacity(ops.len());
                for (op, value) in ops {
                    compiled.push((*op, self.lower(value, frame, mode)?));
                }
                ExprKind::Compare(first, compiled)
            }
            Kind::Cond { test, then, otherwise } => {
                let soft = frame.soft();
                ExprKind::Cond {
                    test: self.boxed(test, &soft, mode)?,
                    then: self.boxed(then, &soft, mode)?,
                    otherwise: match otherwise {
                        Some(otherwise) => Some(self.boxed(otherwise, &soft, mode)?),
                        // Without an `else` the optimiser gives up when it would be needed.
                        None if mode == Mode::Lenient => {
                            Some(Box::new(Expr { kind: ExprKind::NotConstant, at: expr.at }))
                        }
                        None => None,
                    },
                }
            }
        })
    }

    fn key(&mut self, name: &str) -> Key {
        Key {
            name: name.into(),
            number: self.keys.number(name),
            plain: is_plain_key(name),
            counter: Counter::of(name),
        }
    }

    /// The right side of `and` and `or`. Where the left side is constant jinja2 may never look at it.
    fn second(
        &mut self,
        left: &Ast<'s>,
        right: &Ast<'s>,
        frame: &Frame<'s>,
        mode: Mode,
    ) -> Result<Box<Expr>> {
        self.boxed(right, frame, mode).map_err(|fault| match fault.kind {
            ErrorKind::Syntax if is_constant(left) => {
                Error::unsupported("a fault in a part that may never be reached").at(right.at)
            }
            _ => fault,
        })
    }

    /// Flattens a chain of `+` that binds to the left.
    fn sum(&mut self, expr: &Ast<'s>, frame: &Frame<'s>, mode: Mode, out: &mut Vec<Expr>) -> Result<()> {
        match &expr.kind {
            Kind::Bin(ast::BinOp::Add, left, right) => {
                self.sum(left, frame, mode, out)?;
                let right = self.lower(right, frame, mode)?;
                // Adding two constant texts one after the other is adding their sum.
                if let (Some(Expr { kind: ExprKind::Str(before), .. }), ExprKind::Str(text)) =
                    (out.last_mut(), &right.kind)
                {
                    *before = format!("{before}{text}").into();
                } else {
                    out.push(right);
                }
            }
            _ => out.push(self.lower(expr, frame, mode)?),
        }
        Ok(())
    }

    fn item(&mut self, value: &Ast<'s>, index: &Ast<'s>, frame: &Frame<'s>, mode: Mode) -> Result<ExprKind> {
        let value = self.boxed(value, frame, mode)?;
        let Kind::Slice(parts) = &index.kind else {
            if let Kind::Str(text) = &index.kind {
                return Ok(ExprKind::ItemStr(value, self.key(text)));
            }
            return Ok(ExprKind::Item(value, self.boxed(index, frame, mode)?));
        };
        let mut bounds = [None, None, None];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            *bound = part.as_ref().map(|part| self.lower(part, frame, mode)).transpose()?;
        }
        let bounds = Box::new(bounds);
        Ok(if mode == Mode::Lenient {
            ExprKind::LenientSlice(value, bounds)
        } else {
            ExprKind::Slice(value, bounds)
        })
    }

    fn args(&mut self, args: &ast::Args<'s>, frame: &Frame<'s>, mode: Mode) -> Result<Args> {
        let mut kw: Vec<(Box<str>, Expr)> = Vec::with_capacity(args.kw.len());
        for (name, value) in &args.kw {
            if kw.iter().any(|(known, _)| &**known == *name) {
                return Err(Error::syntax(format!("keyword argument repeated: {name}")));
            }
            kw.push(((*name).into(), self.lower(value, frame, mode)?));
        }
        Ok(Args {
            pos: self.all(&args.pos, frame, mode)?,
            kw,
            star: args.star.as_ref().map(|x| self.lower(x, frame, mode)).transpose()?,
            double_star: args.double_star.as_ref().map(|x| self.lower(x, frame, mode)).transpose()?,
        })
    }

    fn filter(
        &mut self,
        operand: Option<&Ast<'s>>,
        name: &str,
        args: &ast::Args<'s>,
        frame: &Frame<'s>,
        mode: Mode,
    ) -> Result<ExprKind> {
        let func = filters::find(name)?;
        if func.is_none() && !frame.soft {
            return Err(Error::syntax(format!("No filter named '{name}'.")));
        }
        let operand = match operand {
            Some(operand) => self.lower(operand, frame, mode)?,
            None => Expr { kind: ExprKind::Captured, at: 0 },
        };
        let args = self.args(args, frame, mode)?;
        let is_length = matches!(name, "length" | "count") && args.is_empty();
        Ok(ExprKind::Filter(Box::new(Filter { name: name.into(), func, is_length, operand, args })))
    }

    fn test(
        &mut self,
        operand: &Ast<'s>,
        name: &str,
        args: &ast::Args<'s>,
        frame: &Frame<'s>,
        mode: Mode,
    ) -> Result<ExprKind> {
        let kind = tests::find(name);
        if kind.is_none() && !frame.soft {
            return Err(Error::syntax(format!("No test named '{name}'.")));
        }
        let operand = self.lower(operand, frame, mode)?;
        let args = self.args(args, frame, mode)?;
        Ok(ExprKind::Test(Box::new(Test { name: name.into(), kind, operand, args })))
    }
}

/// Whether a dict has nothing but entries under this name.
fn is_plain_key(name: &str) -> bool {
    let empty = Value::Dict(Dict::default().into());
    !name.starts_with('_') && has_method(&empty, name) == Method::No
}

/// Whether a constant may become infinity, or no number, by the filter `float`.
fn may_be_infinite(expr: &Ast<'_>) -> bool {
    match &expr.kind {
        Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) | Kind::None => false,
        Kind::Str(text) => text.contains('_') || text.trim().parse::<f64>().is_ok_and(|f| !f.is_finite()),
        _ => is_constant(expr),
    }
}

/// Whether arithmetic with constants may overflow to infinity, which floats do without an error.
fn may_overflow(expr: &Ast<'_>) -> bool {
    let mut size = Size::default();
    size.add(expr);
    size.float && size.decades > 300.0 && is_constant(expr)
}

/// A bound on what a product of all numbers in an expression comes to.
#[derive(Default)]
struct Size {
    /// How many digits lie between one and each number, taken together.
    decades: f64,
    /// Whether there may be floats among them.
    float: bool,
}

impl Size {
    fn add(&mut self, expr: &Ast<'_>) {
        match &expr.kind {
            Kind::Float(value) => {
                self.float = true;
                self.decades += if *value == 0.0 { 0.0 } else { value.abs().log10().abs() };
            }
            Kind::Int(value) => {
                self.decades += value.to_f64().map_or(0.0, |value| value.abs().max(1.0).log10());
            }
            Kind::Bin(op, _, right) => {
                let power = *op == ast::BinOp::Pow;
                self.float |= *op == ast::BinOp::Div || (power && matches!(right.kind, Kind::Neg(_)));
                self.decades += if power { 301.0 } else { 0.0 };
            }
            Kind::Filter(_, name, _) => {
                self.float |= matches!(&**name, "float" | "round");
                self.decades += if &**name == "float" { 301.0 } else { 0.0 };
            }
            _ => {}
        }
        expr.each_child(&mut |child| self.add(child));
    }
}

/// Whether the value of a constant may be a list or a dict.
fn may_be_unhashable(expr: &Ast<'_>) -> bool {
    match &expr.kind {
        Kind::Tuple(items) => items.iter().any(may_be_unhashable),
        Kind::List(_) | Kind::Dict(_) | Kind::Filter(..) | Kind::Item(..) | Kind::Attr(..) => true,
        Kind::And(..) | Kind::Or(..) | Kind::Cond { .. } | Kind::Bin(..) => true,
        _ => false,
    }
}

fn has_slice(expr: &Ast<'_>) -> bool {
    let mut found = matches!(expr.kind, Kind::Slice(_));
    expr.each_child(&mut |child| found = found || has_slice(child));
    found
}

/// Whether jinja2's optimiser may evaluate the expression at compile time. What it never reaches does not matter:
/// the right side of `and` and `or`, and the branch of a condition that is not taken.
fn is_constant(expr: &Ast<'_>) -> bool {
    match &expr.kind {
        Kind::And(left, _) | Kind::Or(left, _) => return is_constant(left),
        Kind::Cond { test, then, otherwise } => {
            return is_constant(test)
                && (is_constant(then) || otherwise.as_ref().is_some_and(|x| is_constant(x)));
        }
        _ => {}
    }
    let mut constant = folds(expr);
    expr.each_child(&mut |child| constant = constant && is_constant(child));
    constant
}

/// Whether a node itself can be evaluated at compile time, its parts aside.
fn folds(expr: &Ast<'_>) -> bool {
    match &expr.kind {
        Kind::Name(_) | Kind::Call(..) => false,
        Kind::Filter(operand, name, _) => {
            operand.is_some()
                && !matches!(&**name, "map" | "select" | "reject" | "selectattr" | "rejectattr" | "random")
                && matches!(filters::find(name), Ok(Some(_)))
        }
        Kind::Test(_, name, _) => tests::find(name).is_some(),
        _ => true,
    }
}
