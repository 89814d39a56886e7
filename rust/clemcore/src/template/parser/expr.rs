//! Expressions, from the loosest binding (conditional) to the tightest (literal).

use num_bigint::BigInt;

use super::{MAX_BRACKETS, Parser};
use crate::template::ast::{BinOp, CmpOp, Expr, Kind};
use crate::template::error::{Error, Result};
use crate::template::lexer::{Op, Tok};

impl<'s> Parser<'s> {
    pub(super) fn at_tuple_end(&self, ends: &[&str]) -> bool {
        match self.peek() {
            Tok::VarEnd | Tok::BlockEnd | Tok::Op(Op::RParen) => true,
            Tok::Name(name) => ends.contains(name),
            _ => false,
        }
    }

    /// One expression, or a tuple without brackets. `conditional`: whether `a if b else c` may stand here.
    pub(super) fn tuple(&mut self, conditional: bool, ends: &[&str]) -> Result<Expr<'s>> {
        self.tuple_in(conditional, ends, false)
    }

    fn tuple_in(&mut self, conditional: bool, ends: &[&str], parenthesised: bool) -> Result<Expr<'s>> {
        let at = self.at();
        let (mut items, is_tuple) = self.separated(ends, |parser| parser.expression(conditional))?;
        if !is_tuple {
            if let Some(only) = items.pop() {
                return Ok(only);
            }
            if !parenthesised {
                let got = self.peek().describe();
                return self.fail(format!("Expected an expression, got '{got}'"));
            }
        }
        Expr::new(Kind::Tuple(items), at)
    }

    /// Items with commas between them, and whether there was one: also after the last item, which makes a tuple of it.
    pub(super) fn separated<T>(
        &mut self,
        ends: &[&str],
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<(Vec<T>, bool)> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            if !items.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            if self.at_tuple_end(ends) {
                break;
            }
            items.push(item(self)?);
            if !self.is_op(Op::Comma) {
                break;
            }
            is_tuple = true;
        }
        Ok((items, is_tuple))
    }

    pub(super) fn expression(&mut self, conditional: bool) -> Result<Expr<'s>> {
        self.brackets += 1;
        if self.brackets > MAX_BRACKETS {
            return Err(Error::recursion("the expression is nested too deeply").at(self.at()));
        }
        let result = if conditional { self.conditional() } else { self.or() };
        self.brackets -= 1;
        result
    }

    fn conditional(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let mut then = self.or()?;
        while self.skip_name("if") {
            let test = Box::new(self.or()?);
            let otherwise =
                if self.skip_name("else") { Some(Box::new(self.expression(true)?)) } else { None };
            then = Expr::new(Kind::Cond { test, then: Box::new(then), otherwise }, at)?;
        }
        Ok(then)
    }

    fn or(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let mut left = self.and()?;
        while self.skip_name("or") {
            let right = self.and()?;
            left = Expr::new(Kind::Or(Box::new(left), Box::new(right)), at)?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let mut left = self.not()?;
        while self.skip_name("and") {
            let right = self.not()?;
            left = Expr::new(Kind::And(Box::new(left), Box::new(right)), at)?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let mut count = 0;
        while self.skip_name("not") {
            count += 1;
        }
        let mut expr = self.compare()?;
        for _ in 0..count {
            expr = Expr::new(Kind::Not(Box::new(expr)), at)?;
        }
        Ok(expr)
    }

    fn compare(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let first = self.sum()?;
        let mut ops = Vec::new();
        while let Some(op) = self.comparison() {
            ops.push((op, self.sum()?));
        }
        if ops.is_empty() {
            return Ok(first);
        }
        Expr::new(Kind::Compare(Box::new(first), ops), at)
    }

    fn comparison(&mut self) -> Option<CmpOp> {
        let op = match self.peek() {
            Tok::Op(Op::Eq) => CmpOp::Eq,
            Tok::Op(Op::Ne) => CmpOp::Ne,
            Tok::Op(Op::Lt) => CmpOp::Lt,
            Tok::Op(Op::Le) => CmpOp::Le,
            Tok::Op(Op::Gt) => CmpOp::Gt,
            Tok::Op(Op::Ge) => CmpOp::Ge,
            Tok::Name("in") => CmpOp::In,
            Tok::Name("not") if matches!(self.peek_second(), Tok::Name("in")) => {
                self.pos += 1;
                CmpOp::NotIn
            }
            _ => return None,
        };
        self.pos += 1;
        Some(op)
    }

    fn sum(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let mut left = self.concat()?;
        loop {
            let op = match self.peek() {
                Tok::Op(Op::Add) => BinOp::Add,
                Tok::Op(Op::Sub) => BinOp::Sub,
                _ => return Ok(left),
            };
            self.pos += 1;
            let right = self.concat()?;
            left = Expr::new(Kind::Bin(op, Box::new(left), Box::new(right)), at)?;
        }
    }

    fn concat(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let first = self.product()?;
        if !self.is_op(Op::Tilde) {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.skip_op(Op::Tilde) {
            items.push(self.product()?);
        }
        Expr::new(Kind::Concat(items), at)
    }

    fn product(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let mut left = self.power()?;
        loop {
            let op = match self.peek() {
                Tok::Op(Op::Mul) => BinOp::Mul,
                Tok::Op(Op::Div) => BinOp::Div,
                Tok::Op(Op::FloorDiv) => BinOp::FloorDiv,
                Tok::Op(Op::Mod) => BinOp::Mod,
                _ => return Ok(left),
            };
            self.pos += 1;
            let right = self.power()?;
            left = Expr::new(Kind::Bin(op, Box::new(left), Box::new(right)), at)?;
        }
    }

    fn power(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let mut left = self.unary(true)?;
        while self.skip_op(Op::Pow) {
            let right = self.unary(true)?;
            left = Expr::new(Kind::Bin(BinOp::Pow, Box::new(left), Box::new(right)), at)?;
        }
        Ok(left)
    }

    /// A sign binds tighter than a filter: `-x|abs` is `(-x)|abs`.
    fn unary(&mut self, with_filters: bool) -> Result<Expr<'s>> {
        let at = self.at();
        let expr = match self.peek() {
            Tok::Op(op @ (Op::Sub | Op::Add)) => {
                let negative = *op == Op::Sub;
                self.pos += 1;
                self.brackets += 1;
                if self.brackets > MAX_BRACKETS {
                    return Err(Error::recursion("the expression is nested too deeply").at(at));
                }
                let inner = Box::new(self.unary(false)?);
                self.brackets -= 1;
                Expr::new(if negative { Kind::Neg(inner) } else { Kind::Pos(inner) }, at)?
            }
            _ => self.primary()?,
        };
        let expr = self.postfix(expr)?;
        if with_filters { self.filters_and_tests(expr) } else { Ok(expr) }
    }

    pub(super) fn primary(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        match self.peek() {
            Tok::Name(_) | Tok::Str(_) | Tok::Int(_) | Tok::Float(_) => self.atom(at),
            Tok::Op(Op::LParen) => {
                self.pos += 1;
                let inner = self.tuple_in(true, &[], true)?;
                self.expect_op(Op::RParen)?;
                Ok(inner)
            }
            Tok::Op(Op::LBracket) => self.list(at),
            Tok::Op(Op::LBrace) => self.dict(at),
            other => {
                let shown = other.describe();
                self.fail(format!("unexpected '{shown}'"))
            }
        }
    }

    fn atom(&mut self, at: u32) -> Result<Expr<'s>> {
        let kind = match self.advance() {
            Tok::Name("true" | "True") => Kind::Bool(true),
            Tok::Name("false" | "False") => Kind::Bool(false),
            Tok::Name("none" | "None") => Kind::None,
            Tok::Name(name) => Kind::Name(name),
            Tok::Int(value) => Kind::Int(value),
            Tok::Float(value) => Kind::Float(value),
            Tok::Str(mut text) => {
                // Adjacent literals are one, as in Python.
                while matches!(self.peek(), Tok::Str(_)) {
                    if let Tok::Str(more) = self.advance() {
                        text.to_mut().push_str(&more);
                    }
                }
                Kind::Str(text)
            }
            _ => Kind::Int(BigInt::from(0)),
        };
        Expr::new(kind, at)
    }

    fn list(&mut self, at: u32) -> Result<Expr<'s>> {
        self.pos += 1;
        let mut items = Vec::new();
        while !self.is_op(Op::RBracket) {
            if !items.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            if self.is_op(Op::RBracket) {
                break;
            }
            items.push(self.expression(true)?);
        }
        self.pos += 1;
        Expr::new(Kind::List(items), at)
    }

    fn dict(&mut self, at: u32) -> Result<Expr<'s>> {
        self.pos += 1;
        let mut items = Vec::new();
        while !self.is_op(Op::RBrace) {
            if !items.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            if self.is_op(Op::RBrace) {
                break;
            }
            let key = self.expression(true)?;
            self.expect_op(Op::Colon)?;
            items.push((key, self.expression(true)?));
        }
        self.pos += 1;
        Expr::new(Kind::Dict(items), at)
    }
}
