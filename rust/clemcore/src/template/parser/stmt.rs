//! Statements: the tags of the language.

use std::fmt::Write as _;

use super::{MAX_NESTING, Parser};
use crate::template::ast::{Expr, For, Kind, Macro, Stmt, StmtKind, Target};
use crate::template::error::{Error, Result};
use crate::template::lexer::{Op, Tok};

impl<'s> Parser<'s> {
    /// Statements and output up to one of the `ends` (which stays the current token), or to the end of the template.
    pub(super) fn body(&mut self, ends: &'static [&'static str]) -> Result<Vec<Stmt<'s>>> {
        if self.ends.len() >= MAX_NESTING {
            return Err(Error::recursion("too many nested blocks").at(self.at()));
        }
        if !ends.is_empty() {
            self.ends.push(ends);
        }
        let mut body = Vec::new();
        let mut output: Vec<Expr<'s>> = Vec::new();
        let result = loop {
            let at = self.at();
            match self.peek() {
                Tok::Data(text) => {
                    let text = *text;
                    self.pos += 1;
                    output.push(Expr::new(Kind::Data(text), at)?);
                }
                Tok::VarBegin => {
                    self.pos += 1;
                    output.push(self.tuple(true, &[])?);
                    self.expect_end(&Tok::VarEnd)?;
                }
                Tok::BlockBegin => {
                    flush(&mut output, &mut body);
                    self.pos += 1;
                    if let Tok::Name(name) = self.peek()
                        && ends.contains(name)
                    {
                        break body;
                    }
                    self.statement(&mut body)?;
                    self.expect_end(&Tok::BlockEnd)?;
                }
                _ => {
                    flush(&mut output, &mut body);
                    if !ends.is_empty() {
                        return self.fail(self.lost(None));
                    }
                    break body;
                }
            }
        };
        if !ends.is_empty() {
            self.ends.pop();
        }
        Ok(result)
    }

    /// The body of a tag: an optional colon, the end of the tag, then statements.
    fn statements(&mut self, ends: &'static [&'static str]) -> Result<Vec<Stmt<'s>>> {
        self.skip_op(Op::Colon);
        self.expect_end(&Tok::BlockEnd)?;
        self.body(ends)
    }

    /// Like [`Self::statements`], consuming the end tag's name.
    fn closed(&mut self, ends: &'static [&'static str]) -> Result<Vec<Stmt<'s>>> {
        let body = self.statements(ends)?;
        self.pos += 1;
        Ok(body)
    }

    /// The message for an unknown or missing tag.
    fn lost(&self, name: Option<&str>) -> String {
        let mut message = match name {
            None => "Unexpected end of template.".to_owned(),
            Some(name) => format!("Encountered unknown tag '{name}'."),
        };
        if let Some(ends) = self.ends.last() {
            let looking = ends.iter().map(|e| format!("'{e}'")).collect::<Vec<_>>().join(" or ");
            let nested = name.is_some_and(|n| self.ends.iter().any(|e| e.contains(&n)));
            if nested {
                message.push_str(" You probably made a nesting mistake. Jinja is expecting this tag, but ");
                let _ = write!(message, "currently looking for {looking}.");
            } else {
                let _ = write!(message, " Jinja was looking for the following tags: {looking}.");
            }
        }
        if let Some(tag) = self.tags.last() {
            let _ = write!(message, " The innermost block that needs to be closed is '{tag}'.");
        }
        message
    }

    fn statement(&mut self, body: &mut Vec<Stmt<'s>>) -> Result<()> {
        let at = self.at();
        let Tok::Name(tag) = *self.peek() else { return self.fail("tag name expected") };
        self.tags.push(tag);
        self.pos += 1;
        let kind = match tag {
            "for" => self.for_loop()?,
            "if" => self.if_chain()?,
            "set" => self.set()?,
            "macro" => self.macro_def()?,
            "print" => self.print()?,
            "call" => self.call_block()?,
            "filter" => self.filter_block()?,
            "with" => self.with()?,
            "block" => self.block()?,
            "generation" => StmtKind::Generation(Box::new(self.anonymous(&["endgeneration"])?)),
            "break" => StmtKind::Break,
            "continue" => StmtKind::Continue,
            "extends" => StmtKind::NoLoader(self.expression(true)?, Vec::new()),
            "include" => self.include()?,
            "import" => self.import()?,
            "from" => self.import_names()?,
            "autoescape" => return Err(Error::unsupported("the autoescape tag").at(at)),
            _ => {
                self.tags.pop();
                return Err(Error::syntax(self.lost(Some(tag))).at(at));
            }
        };
        self.tags.pop();
        body.push(Stmt { kind, at });
        Ok(())
    }

    fn for_loop(&mut self) -> Result<StmtKind<'s>> {
        // jinja2 does not look for `in` and `recursive` here either: where a name may stand they are names.
        let target = self.target(false, &[])?;
        self.expect_keyword("in")?;
        let iter = self.tuple(false, &[])?;
        let test = if self.skip_name("if") { Some(self.expression(true)?) } else { None };
        let recursive = self.skip_name("recursive");
        let body = self.statements(&["endfor", "else"])?;
        let closed = self.is_name("endfor");
        self.pos += 1;
        let otherwise = if closed { Vec::new() } else { self.closed(&["endfor"])? };
        Ok(StmtKind::For(Box::new(For { target, iter, test, recursive, body, otherwise })))
    }

    fn if_chain(&mut self) -> Result<StmtKind<'s>> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false, &[])?;
            let body = self.statements(&["elif", "else", "endif"])?;
            branches.push((test, body));
            let Tok::Name(next) = self.advance() else { return self.unexpected("endif") };
            match next {
                "elif" => {}
                "else" => return Ok(StmtKind::If(branches, self.closed(&["endif"])?)),
                _ => return Ok(StmtKind::If(branches, Vec::new())),
            }
        }
    }

    fn set(&mut self) -> Result<StmtKind<'s>> {
        let target = self.target(true, &[])?;
        if self.skip_op(Op::Assign) {
            return Ok(StmtKind::Set(target, self.tuple(true, &[])?));
        }
        let filter = self.filters(None)?;
        let body = self.closed(&["endset"])?;
        Ok(StmtKind::SetBlock(target, filter, body))
    }

    /// An assignment target: names, tuples of them and, with `attrs`, `ns.name`.
    fn target(&mut self, attrs: bool, ends: &[&str]) -> Result<Target<'s>> {
        let at = self.at();
        let (mut items, is_tuple) = self.separated(ends, |parser| parser.simple_target(attrs))?;
        if is_tuple {
            return Ok(Target::Tuple(items));
        }
        let Some(target) = items.pop() else {
            let got = self.peek().describe();
            return Err(Error::syntax(format!("Expected an expression, got '{got}'")).at(at));
        };
        Ok(target)
    }

    fn simple_target(&mut self, attrs: bool) -> Result<Target<'s>> {
        if let (true, Tok::Name(name), Tok::Op(Op::Dot)) = (attrs, self.peek(), self.peek_second()) {
            let name = *name;
            if !is_constant(name) {
                self.pos += 2;
                return Ok(Target::Attr(name, self.expect_name()?));
            }
        }
        let expr = self.primary()?;
        to_target(&expr)
    }

    fn macro_def(&mut self) -> Result<StmtKind<'s>> {
        let name = self.assignable_name()?;
        let (args, defaults) = self.signature()?;
        let body = self.closed(&["endmacro"])?;
        Ok(StmtKind::Macro(Box::new(Macro { name, args, defaults, body })))
    }

    fn anonymous(&mut self, ends: &'static [&'static str]) -> Result<Macro<'s>> {
        let body = self.closed(ends)?;
        Ok(Macro { name: "", args: Vec::new(), defaults: Vec::new(), body })
    }

    fn assignable_name(&mut self) -> Result<&'s str> {
        let at = self.at();
        let name = self.expect_name()?;
        if is_constant(name) {
            return Err(Error::syntax("can't assign to 'name'").at(at));
        }
        Ok(name)
    }

    fn signature(&mut self) -> Result<(Vec<&'s str>, Vec<Expr<'s>>)> {
        let (mut args, mut defaults) = (Vec::new(), Vec::new());
        self.expect_op(Op::LParen)?;
        while !self.is_op(Op::RParen) {
            if !args.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            let name = self.assignable_name()?;
            if self.skip_op(Op::Assign) {
                defaults.push(self.expression(true)?);
            } else if !defaults.is_empty() {
                return self.fail("non-default argument follows default argument");
            }
            if args.contains(&name) {
                return self.fail(format!("duplicate argument '{name}' in function definition"));
            }
            args.push(name);
        }
        self.pos += 1;
        Ok((args, defaults))
    }

    fn call_block(&mut self) -> Result<StmtKind<'s>> {
        let (args, defaults) =
            if self.is_op(Op::LParen) { self.signature()? } else { (Vec::new(), Vec::new()) };
        let call = self.expression(true)?;
        if !matches!(call.kind, Kind::Call(..)) {
            return Err(Error::syntax("expected call").at(call.at));
        }
        let body = self.closed(&["endcall"])?;
        Ok(StmtKind::CallBlock(Box::new(Macro { name: "", args, defaults, body }), call))
    }

    fn filter_block(&mut self) -> Result<StmtKind<'s>> {
        let first = self.filter(None)?;
        let filter = self.filters(Some(first))?;
        let body = self.closed(&["endfilter"])?;
        filter.map_or_else(|| self.unexpected("name"), |filter| Ok(StmtKind::FilterBlock(body, filter)))
    }

    fn with(&mut self) -> Result<StmtKind<'s>> {
        let mut pairs = Vec::new();
        while *self.peek() != Tok::BlockEnd {
            if !pairs.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            let target = self.target(false, &[])?;
            self.expect_op(Op::Assign)?;
            pairs.push((target, self.expression(true)?));
        }
        let body = self.closed(&["endwith"])?;
        Ok(StmtKind::With(pairs, body))
    }

    fn print(&mut self) -> Result<StmtKind<'s>> {
        let mut items = Vec::new();
        while *self.peek() != Tok::BlockEnd {
            if !items.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            items.push(self.expression(true)?);
        }
        Ok(StmtKind::Output(items))
    }

    fn block(&mut self) -> Result<StmtKind<'s>> {
        let name = self.expect_name()?;
        let scoped = self.skip_name("scoped");
        let required = self.skip_name("required");
        if self.is_op(Op::Sub) {
            return self.fail("Block names in Jinja have to be valid Python identifiers");
        }
        let body = self.closed(&["endblock"])?;
        self.skip_name(name);
        Ok(StmtKind::Block { name, body, scoped, required })
    }

    fn import_context(&mut self) {
        let word = self.is_name("with") || self.is_name("without");
        if word && matches!(self.peek_second(), Tok::Name("context")) {
            self.pos += 2;
        }
    }

    fn include(&mut self) -> Result<StmtKind<'s>> {
        let template = self.expression(true)?;
        if self.is_name("ignore") && matches!(self.peek_second(), Tok::Name("missing")) {
            self.pos += 2;
        }
        self.import_context();
        Ok(StmtKind::NoLoader(template, Vec::new()))
    }

    fn import(&mut self) -> Result<StmtKind<'s>> {
        let template = self.expression(true)?;
        self.expect_keyword("as")?;
        let name = self.assignable_name()?;
        self.import_context();
        Ok(StmtKind::NoLoader(template, vec![name]))
    }

    fn import_names(&mut self) -> Result<StmtKind<'s>> {
        let template = self.expression(true)?;
        self.expect_keyword("import")?;
        let mut names = Vec::new();
        loop {
            if !names.is_empty() {
                self.expect_op(Op::Comma)?;
            }
            if !matches!(self.peek(), Tok::Name(_)) {
                self.expect_name()?;
            }
            let before = self.pos;
            self.import_context();
            if self.pos != before {
                break;
            }
            let name = self.assignable_name()?;
            if name.starts_with('_') {
                return self.fail("names starting with an underline can not be imported");
            }
            names.push(if self.skip_name("as") { self.assignable_name()? } else { name });
            let before = self.pos;
            self.import_context();
            if self.pos != before || !self.is_op(Op::Comma) {
                break;
            }
        }
        Ok(StmtKind::NoLoader(template, names))
    }
}

fn flush<'s>(output: &mut Vec<Expr<'s>>, body: &mut Vec<Stmt<'s>>) {
    if let Some(first) = output.first() {
        let at = first.at;
        body.push(Stmt { kind: StmtKind::Output(std::mem::take(output)), at });
    }
}

fn is_constant(name: &str) -> bool {
    matches!(name, "true" | "false" | "none" | "True" | "False" | "None")
}

/// Turns an expression that stands where a target must be into one.
fn to_target<'s>(expr: &Expr<'s>) -> Result<Target<'s>> {
    match &expr.kind {
        Kind::Name(name) => Ok(Target::Name(name)),
        Kind::Tuple(items) => Ok(Target::Tuple(items.iter().map(to_target).collect::<Result<_>>()?)),
        _ => Err(Error::syntax("can't assign to this expression").at(expr.at)),
    }
}
