//! What follows a value: attributes, subscripts, calls, filters and tests.

use std::borrow::Cow;

use super::Parser;
use crate::template::ast::{Args, Expr, Kind};
use crate::template::error::{Error, Result};
use crate::template::lexer::{Op, Tok};

impl<'s> Parser<'s> {
    pub(super) fn postfix(&mut self, mut expr: Expr<'s>) -> Result<Expr<'s>> {
        loop {
            expr = match self.peek() {
                Tok::Op(Op::Dot) => self.attribute(expr)?,
                Tok::Op(Op::LBracket) => self.subscript(expr)?,
                Tok::Op(Op::LParen) => self.call(expr)?,
                _ => return Ok(expr),
            };
        }
    }

    pub(super) fn filters_and_tests(&mut self, mut expr: Expr<'s>) -> Result<Expr<'s>> {
        loop {
            expr = match self.peek() {
                Tok::Op(Op::Pipe) => {
                    self.pos += 1;
                    self.filter(Some(expr))?
                }
                Tok::Name("is") => self.test(expr)?,
                Tok::Op(Op::LParen) => self.call(expr)?,
                _ => return Ok(expr),
            };
        }
    }

    /// A chain of `| filter`, on an operand or on the text of a block.
    pub(super) fn filters(&mut self, mut expr: Option<Expr<'s>>) -> Result<Option<Expr<'s>>> {
        while self.skip_op(Op::Pipe) {
            expr = Some(self.filter(expr)?);
        }
        Ok(expr)
    }

    /// One filter, its name being the current token.
    pub(super) fn filter(&mut self, operand: Option<Expr<'s>>) -> Result<Expr<'s>> {
        let at = self.at();
        let name = self.dotted_name()?;
        let args = if self.is_op(Op::LParen) { self.arguments()? } else { Args::default() };
        Expr::new(Kind::Filter(operand.map(Box::new), name, Box::new(args)), at)
    }

    fn dotted_name(&mut self) -> Result<Cow<'s, str>> {
        let mut name = Cow::Borrowed(self.expect_name()?);
        while self.skip_op(Op::Dot) {
            let part = self.expect_name()?;
            let whole = name.to_mut();
            whole.push('.');
            whole.push_str(part);
        }
        Ok(name)
    }

    fn test(&mut self, operand: Expr<'s>) -> Result<Expr<'s>> {
        let at = self.at();
        self.pos += 1;
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let mut args = Args::default();
        match self.peek() {
            Tok::Op(Op::LParen) => args = self.arguments()?,
            Tok::Name("else" | "or" | "and") => {}
            Tok::Name("is") => return self.fail("You cannot chain multiple tests with is"),
            Tok::Name(_) | Tok::Str(_) | Tok::Int(_) | Tok::Float(_) | Tok::Op(Op::LBracket | Op::LBrace) => {
                let argument = self.primary()?;
                args.pos.push(self.postfix(argument)?);
            }
            _ => {}
        }
        let test = Expr::new(Kind::Test(Box::new(operand), name, Box::new(args)), at)?;
        if negated { Expr::new(Kind::Not(Box::new(test)), at) } else { Ok(test) }
    }

    fn attribute(&mut self, operand: Expr<'s>) -> Result<Expr<'s>> {
        let at = self.at();
        self.pos += 1;
        let place = self.at();
        match self.advance() {
            Tok::Name(name) => Expr::new(Kind::Attr(Box::new(operand), name), at),
            Tok::Int(index) => {
                let index = Expr::new(Kind::Int(index), place)?;
                Expr::new(Kind::Item(Box::new(operand), Box::new(index)), at)
            }
            _ => Err(Error::syntax("expected name or number").at(place)),
        }
    }

    fn subscript(&mut self, operand: Expr<'s>) -> Result<Expr<'s>> {
        let at = self.at();
        self.pos += 1;
        let mut items = Vec::new();
        while !self.is_op(Op::RBracket) {
            if !items.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            items.push(self.index()?);
        }
        self.pos += 1;
        let index = if items.len() == 1 { items.pop() } else { None };
        let index = match index {
            Some(index) => index,
            None if items.iter().any(|x| matches!(x.kind, Kind::Slice(_))) => {
                return Err(Error::unsupported("a slice inside a tuple index").at(at));
            }
            None => Expr::new(Kind::Tuple(items), at)?,
        };
        Expr::new(Kind::Item(Box::new(operand), Box::new(index)), at)
    }

    /// One index or slice.
    fn index(&mut self) -> Result<Expr<'s>> {
        let at = self.at();
        let start = if self.is_op(Op::Colon) { None } else { Some(self.expression(true)?) };
        if !self.skip_op(Op::Colon) {
            return start.map_or_else(|| self.unexpected(":"), Ok);
        }
        let bound_ends = |p: &Self| matches!(p.peek(), Tok::Op(Op::RBracket | Op::Comma));
        let stop =
            if self.is_op(Op::Colon) || bound_ends(self) { None } else { Some(self.expression(true)?) };
        let stepped = self.skip_op(Op::Colon);
        let step = if !stepped || bound_ends(self) { None } else { Some(self.expression(true)?) };
        Expr::new(Kind::Slice([start, stop, step].map(|part| part.map(Box::new))), at)
    }

    fn call(&mut self, operand: Expr<'s>) -> Result<Expr<'s>> {
        let at = self.at();
        let args = self.arguments()?;
        Expr::new(Kind::Call(Box::new(operand), Box::new(args)), at)
    }

    pub(super) fn arguments(&mut self) -> Result<Args<'s>> {
        let start = self.at();
        self.expect_op(Op::LParen)?;
        let mut args = Args::default();
        let ensure = |ok: bool| {
            if ok {
                Ok(())
            } else {
                Err(Error::syntax("invalid syntax for function call expression").at(start))
            }
        };
        let mut first = true;
        while !self.is_op(Op::RParen) {
            if !first {
                self.expect_op(Op::Comma)?;
                if self.is_op(Op::RParen) {
                    break;
                }
            }
            first = false;
            if self.skip_op(Op::Mul) {
                ensure(args.star.is_none() && args.double_star.is_none())?;
                args.star = Some(self.expression(true)?);
            } else if self.skip_op(Op::Pow) {
                ensure(args.double_star.is_none())?;
                args.double_star = Some(self.expression(true)?);
            } else if let (Tok::Name(name), Tok::Op(Op::Assign)) = (self.peek(), self.peek_second()) {
                let name = *name;
                ensure(args.double_star.is_none())?;
                self.pos += 2;
                args.kw.push((name, self.expression(true)?));
            } else {
                ensure(args.star.is_none() && args.double_star.is_none() && args.kw.is_empty())?;
                args.pos.push(self.expression(true)?);
            }
        }
        self.pos += 1;
        Ok(args)
    }
}
