//! Tokens → syntax tree, by the grammar of jinja2 3.1 with the `generation` tag and loop controls.
//!
//! Knows the grammar and its error messages; does not know scopes, filters or values. Statements are in [`stmt`],
//! expressions in [`expr`], call arguments, filters and tests in [`postfix`].

mod expr;
mod postfix;
mod stmt;

use super::ast::Stmt;
use super::error::{Error, Result};
use super::lexer::{Op, Tok, Token};

/// Blocks may nest this deep; Python itself refuses more than 100 levels of indentation.
const MAX_NESTING: usize = 90;
/// Brackets may nest this deep; jinja2's own parser ends with a `RecursionError` at about 70.
const MAX_BRACKETS: usize = 90;

/// Parses a whole template.
pub(crate) fn parse(tokens: Vec<Token<'_>>) -> Result<Vec<Stmt<'_>>> {
    let mut parser = Parser { tokens, pos: 0, tags: Vec::new(), ends: Vec::new(), brackets: 0 };
    parser.body(&[])
}

pub(super) struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    pos: usize,
    /// The open tags, for messages.
    tags: Vec<&'s str>,
    /// What each open block waits for, for messages.
    ends: Vec<&'static [&'static str]>,
    brackets: usize,
}

const EOF: Tok<'static> = Tok::Eof;

impl<'s> Parser<'s> {
    fn peek(&self) -> &Tok<'s> {
        self.tokens.get(self.pos).map_or(&EOF, |t| &t.tok)
    }

    fn peek_second(&self) -> &Tok<'s> {
        self.tokens.get(self.pos + 1).map_or(&EOF, |t| &t.tok)
    }

    fn at(&self) -> u32 {
        self.tokens.get(self.pos).or(self.tokens.last()).map_or(0, |t| t.at)
    }

    fn advance(&mut self) -> Tok<'s> {
        let tok = self.tokens.get_mut(self.pos).map_or(Tok::Eof, |t| match &t.tok {
            // Names and operators may be looked at again; texts are moved out.
            Tok::Str(_) | Tok::Int(_) => std::mem::replace(&mut t.tok, Tok::Eof),
            other => other.clone(),
        });
        self.pos += 1;
        tok
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Error::syntax(message).at(self.at()))
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Tok::Name(found) if *found == name)
    }

    fn is_op(&self, op: Op) -> bool {
        *self.peek() == Tok::Op(op)
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.pos += usize::from(found);
        found
    }

    fn skip_op(&mut self, op: Op) -> bool {
        let found = self.is_op(op);
        self.pos += usize::from(found);
        found
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T> {
        if *self.peek() == Tok::Eof {
            return self.fail(format!("unexpected end of template, expected '{expected}'."));
        }
        self.fail(format!("expected token '{expected}', got '{}'", self.peek().describe()))
    }

    fn expect_op(&mut self, op: Op) -> Result<()> {
        if self.skip_op(op) { Ok(()) } else { self.unexpected(op.text()) }
    }

    fn expect_keyword(&mut self, name: &str) -> Result<()> {
        if self.skip_name(name) { Ok(()) } else { self.unexpected(name) }
    }

    fn expect_name(&mut self) -> Result<&'s str> {
        if let Tok::Name(name) = *self.peek() {
            self.pos += 1;
            return Ok(name);
        }
        self.unexpected("name")
    }

    fn expect_end(&mut self, end: &Tok<'s>) -> Result<()> {
        if self.peek() == end {
            self.pos += 1;
            return Ok(());
        }
        self.unexpected(&end.describe())
    }
}
