//! One token inside a tag: names, numbers, strings, operators.

use std::borrow::Cow;

use num_bigint::BigInt;
use num_traits::Num;

use super::literals::{NameLookup, string};
use crate::template::error::{Error, Result};

/// A token and the byte offset where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Token<'s> {
    pub(crate) tok: Tok<'s>,
    pub(crate) at: u32,
}

impl<'s> Token<'s> {
    /// The name that it is, if it is one.
    pub(crate) fn name(&self) -> Option<&'s str> {
        if let Tok::Name(name) = self.tok { Some(name) } else { None }
    }
}

/// The kinds of token that the parser sees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tok<'s> {
    Data(&'s str),
    BlockBegin,
    BlockEnd,
    VarBegin,
    VarEnd,
    Name(&'s str),
    Str(Cow<'s, str>),
    Int(BigInt),
    Float(f64),
    Op(Op),
    Eof,
}

/// The operators and brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Div,
    FloorDiv,
    Mul,
    Mod,
    Pow,
    Tilde,
    LBracket,
    RBracket,
    LParen,
    RParen,
    LBrace,
    RBrace,
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Assign,
    Dot,
    Colon,
    Pipe,
    Comma,
    Semicolon,
}

/// Two-character operators stand before their prefixes.
const OPERATORS: [(&str, Op); 26] = [
    ("//", Op::FloorDiv),
    ("**", Op::Pow),
    ("==", Op::Eq),
    ("!=", Op::Ne),
    (">=", Op::Ge),
    ("<=", Op::Le),
    ("+", Op::Add),
    ("-", Op::Sub),
    ("/", Op::Div),
    ("*", Op::Mul),
    ("%", Op::Mod),
    ("~", Op::Tilde),
    ("[", Op::LBracket),
    ("]", Op::RBracket),
    ("(", Op::LParen),
    (")", Op::RParen),
    ("{", Op::LBrace),
    ("}", Op::RBrace),
    (">", Op::Gt),
    ("<", Op::Lt),
    ("=", Op::Assign),
    (".", Op::Dot),
    (":", Op::Colon),
    ("|", Op::Pipe),
    (",", Op::Comma),
    (";", Op::Semicolon),
];

impl Tok<'_> {
    /// How jinja2 names the token in its messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Tok::Data(_) => "template data / text".into(),
            Tok::BlockBegin => "begin of statement block".into(),
            Tok::BlockEnd => "end of statement block".into(),
            Tok::VarBegin => "begin of print statement".into(),
            Tok::VarEnd => "end of print statement".into(),
            Tok::Name(name) => (*name).into(),
            Tok::Str(_) => "string".into(),
            Tok::Int(_) => "integer".into(),
            Tok::Float(_) => "float".into(),
            Tok::Op(op) => op.text().into(),
            Tok::Eof => "end of template".into(),
        }
    }
}

impl Op {
    pub(crate) fn text(self) -> &'static str {
        OPERATORS.iter().find(|(_, op)| *op == self).map_or("", |(text, _)| text)
    }
}

/// The token at the start of `rest` and its length in bytes. `after_dot`: a number here is not a float (`x.0.y`).
pub(super) fn next<'s>(
    rest: &'s str,
    after_dot: bool,
    at: usize,
    names: NameLookup<'_>,
) -> Result<(Tok<'s>, usize)> {
    let bytes = rest.as_bytes();
    let first = bytes[0];
    if first.is_ascii_digit() {
        return number(rest, after_dot);
    }
    if first.is_ascii_alphabetic() || first == b'_' || !first.is_ascii() {
        return name(rest);
    }
    if (first == b'\'' || first == b'"')
        && let Some(length) = string_length(bytes)
    {
        let text = string(&rest[1..length - 1], names)?;
        return Ok((Tok::Str(text), length));
    }
    for (text, op) in OPERATORS {
        if rest.starts_with(text) {
            return Ok((Tok::Op(op), text.len()));
        }
    }
    let shown = rest.chars().next().unwrap_or(' ');
    Err(Error::syntax(format!("unexpected char '{shown}' at {at}")).at(u32::try_from(at).unwrap_or(u32::MAX)))
}

fn name(rest: &str) -> Result<(Tok<'_>, usize)> {
    let end =
        rest.find(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let name = &rest[..end];
    if name.is_ascii() {
        return Ok((Tok::Name(name), end));
    }
    // Identifiers beyond ASCII need Python's identifier tables; no chat template has one.
    Err(Error::unsupported("a name with characters beyond ASCII"))
}

/// The length of a quoted string with its quotes, or `None` when it does not end.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let quote = bytes[0];
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b if b == quote => return Some(i + 1),
            _ => i += 1,
        }
    }
    None
}

/// Digits with single underscores between them: the length of the longest run, 0 for none.
fn digits(bytes: &[u8], is_digit: fn(u8) -> bool) -> usize {
    let mut end = 0;
    let mut i = 0;
    while i < bytes.len() {
        if is_digit(bytes[i]) {
            i += 1;
            end = i;
        } else if bytes[i] == b'_' && i > 0 && end == i && bytes.get(i + 1).copied().is_some_and(is_digit) {
            i += 1;
        } else {
            break;
        }
    }
    end
}

fn is_decimal(b: u8) -> bool {
    b.is_ascii_digit()
}

/// How many decimal digits an integer may have.
const MAX_DIGITS: usize = 4300;

fn number(rest: &str, after_dot: bool) -> Result<(Tok<'_>, usize)> {
    let bytes = rest.as_bytes();
    if !after_dot {
        let length = float_length(bytes);
        if length > 0 {
            let text = rest[..length].replace('_', "");
            let value = text.parse().map_err(|_| Error::syntax("malformed number"))?;
            return Ok((Tok::Float(value), length));
        }
    }
    let (radix, prefix, run): (u32, usize, usize) = match (bytes[0], bytes.get(1).map(u8::to_ascii_lowercase))
    {
        (b'0', Some(b'b')) => (2, 2, prefixed(&bytes[2..], |b| matches!(b, b'0' | b'1'))),
        (b'0', Some(b'o')) => (8, 2, prefixed(&bytes[2..], |b| matches!(b, b'0'..=b'7'))),
        (b'0', Some(b'x')) => (16, 2, prefixed(&bytes[2..], |b| b.is_ascii_hexdigit())),
        _ => (10, 0, 0),
    };
    let (radix, prefix, run) = if prefix == 2 && run == 0 { (10, 0, 0) } else { (radix, prefix, run) };
    let run = match (prefix, bytes[0]) {
        (0, b'0') => digits(bytes, |b| b == b'0'),
        (0, _) => digits(bytes, is_decimal),
        _ => run,
    };
    let text = rest[prefix..prefix + run].replace('_', "");
    // Python's own bound on what it reads.
    if radix == 10 && text.len() > MAX_DIGITS {
        return Err(Error::syntax("Exceeds the limit (4300 digits) for integer string conversion"));
    }
    let value = BigInt::from_str_radix(&text, radix).map_err(|_| Error::syntax("malformed number"))?;
    Ok((Tok::Int(value), prefix + run))
}

/// Digits after a radix prefix, where the first underscore may come at once (`0x_1f`).
fn prefixed(bytes: &[u8], is_digit: fn(u8) -> bool) -> usize {
    let lead = usize::from(bytes.first() == Some(&b'_') && bytes.get(1).copied().is_some_and(is_digit));
    let run = digits(&bytes[lead..], is_digit);
    if run == 0 { 0 } else { lead + run }
}

fn float_length(bytes: &[u8]) -> usize {
    let whole = digits(bytes, is_decimal);
    let mut end = whole;
    if bytes.get(whole) == Some(&b'.') {
        let fraction = digits(&bytes[whole + 1..], is_decimal);
        if fraction == 0 {
            return exponent(bytes, whole);
        }
        end = whole + 1 + fraction;
    }
    let with_exponent = exponent(bytes, end);
    if with_exponent > 0 {
        with_exponent
    } else if end > whole {
        end
    } else {
        0
    }
}

/// The whole length when an exponent stands at `from`, else 0.
fn exponent(bytes: &[u8], from: usize) -> usize {
    if !matches!(bytes.get(from), Some(b'e' | b'E')) {
        return 0;
    }
    let sign = usize::from(matches!(bytes.get(from + 1), Some(b'+' | b'-')));
    let start = from + 1 + sign;
    let run = bytes.get(start..).map_or(0, |rest| digits(rest, is_decimal));
    if run == 0 { 0 } else { start + run }
}
