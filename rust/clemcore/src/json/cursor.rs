//! A quick reader of JSON that has no fault; at the first doubt it gives up and tells nothing.
//!
//! Whatever it accepts, the parser of this module accepts without a word, and reads the same from it: texts with
//! escapes and numbers that are not short integers are handed to the very same lexer. What it gives up on may be right
//! all the same; then somebody slower has to look.
use super::lexer::{Lexer, Token};
use super::{Kind, MAX_DEPTH};
use crate::problem::Faults;
use crate::value::{Dict, Value};
use std::borrow::Cow;

/// Integers of so many digits fit 64 bits for certain.
const SAFE_DIGITS: usize = 18;
/// Numbers of so many characters without an exponent are finite for certain.
const FINITE: usize = 300;

/// A place in a text.
pub(crate) struct Cursor<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: usize,
}

/// A number as far as its kind goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Int,
    Float,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t str, at: usize) -> Self {
        Self { text, at }
    }

    #[inline]
    pub(crate) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes whitespace; gives what comes then.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
            if byte == b'\n' {
                self.skip_indent();
            }
        }
    }

    /// Passes spaces, eight at a time: half of an indented file is indentation.
    #[inline]
    fn skip_indent(&mut self) {
        while let Some(chunk) = self.text.as_bytes().get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let spaces = (u64::from_le_bytes(*chunk) ^ (ONES * 0x20)).trailing_zeros() as usize / 8;
            self.at += spaces;
            if spaces < 8 {
                return;
            }
        }
    }

    /// Passes one certain character, and whitespace before it.
    #[inline]
    pub(crate) fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then(|| self.at += 1)
    }

    /// After an item: whether another follows; passes the comma or the closing bracket.
    #[inline]
    pub(crate) fn goes_on(&mut self, close: u8) -> Option<bool> {
        let byte = self.next()?;
        self.at += 1;
        if byte == b',' { Some(true) } else { (byte == close).then_some(false) }
    }

    /// After an opening bracket: whether it is closed at once; passes the closing one then.
    #[inline]
    pub(crate) fn closes(&mut self, close: u8) -> Option<bool> {
        let closed = self.next()? == close;
        self.at += usize::from(closed);
        Some(closed)
    }

    /// Reads a string; the cursor stands on its opening quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Cow<'t, str>> {
        let start = self.at + 1;
        let end = plain_end(self.text.as_bytes(), start)?;
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return self.text.get(start..end).map(Cow::Borrowed);
        }
        match self.lexed()? {
            Token::String(text, true) => Some(text),
            _ => None,
        }
    }

    /// Reads a string without escapes; the cursor stands on its opening quote.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Option<&'t str> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let end = plain_end(bytes, start)?;
        self.at = end + 1;
        (bytes.get(end) == Some(&b'"')).then(|| self.text.get(start..end)).flatten()
    }

    /// Passes a string; gives its text as it is written, and whether every escape in it is known and is not a letter.
    ///
    /// Where one may be, the string has yet to be read by [`Cursor::string`].
    #[inline]
    pub(crate) fn raw_string(&mut self) -> Option<(&'t str, bool)> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let (mut at, mut known) = (start, true);
        loop {
            at = plain_end(bytes, at)?;
            match *bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    known &=
                        matches!(bytes.get(at + 1)?, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't');
                    at += 2;
                }
                _ => return None,
            }
        }
        self.at = at + 1;
        Some((self.text.get(start..at)?, known))
    }

    /// Passes a number.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<Number> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |from: usize| {
            bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count())
        };
        let first = start + usize::from(self.byte()? == b'-');
        let whole = digits(first);
        let mut end = first + whole;
        let mut kind = Number::Int;
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            end += 1 + fraction;
            kind = Number::Float;
            if fraction == 0 || end - start > FINITE {
                return self.odd_number();
            }
        }
        let leading_zero = whole > 1 && bytes.get(first) == Some(&b'0');
        let too_long = kind == Number::Int && whole > SAFE_DIGITS;
        let ends = matches!(bytes.get(end), Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
        if whole == 0 || leading_zero || too_long || !ends {
            return self.odd_number();
        }
        self.at = end;
        Some(kind)
    }

    #[cold]
    fn odd_number(&mut self) -> Option<Number> {
        match self.lexed()? {
            Token::Int(_) | Token::BigInt(_) => Some(Number::Int),
            Token::Float(_) => Some(Number::Float),
            _ => None,
        }
    }

    /// Reads one token as the parser does, if nothing is to be said about it.
    fn lexed(&mut self) -> Option<Token<'t>> {
        let mut faults = Faults::default();
        let mut lexer = Lexer::new(self.text, self.at, &mut faults);
        let (token, span) = lexer.next();
        self.at = span.end;
        faults.list.is_empty().then_some(token)
    }

    /// Passes `true`, `false` or `null`.
    #[inline]
    pub(crate) fn word(&mut self) -> Option<Kind<'static>> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let (length, kind) = if rest.starts_with(b"true") {
            (4, Kind::Bool(true))
        } else if rest.starts_with(b"false") {
            (5, Kind::Bool(false))
        } else if rest.starts_with(b"null") {
            (4, Kind::Null)
        } else {
            return None;
        };
        self.at += length;
        // `true1` and `nulla` are other words.
        matches!(rest.get(length), Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')).then_some(kind)
    }

    /// Reads a value of a text that was read before.
    pub(crate) fn value(&mut self, depth: usize) -> Option<Value> {
        match self.next()? {
            b'"' => self.string().map(|text| Value::String(text.into_owned())),
            b'{' => self.dict(depth).map(Value::Dict),
            b'[' => self.list(depth),
            b't' | b'f' | b'n' => match self.word()? {
                Kind::Bool(flag) => Some(Value::Bool(flag)),
                _ => Some(Value::Null),
            },
            _ => match self.lexed()? {
                Token::Int(number) => Some(Value::Int(number)),
                Token::BigInt(digits) => Some(Value::BigInt(digits.into())),
                Token::Float(number) => Some(Value::Float(number)),
                _ => None,
            },
        }
    }

    /// Reads an object of a text that was read before; the cursor stands on its opening bracket.
    pub(crate) fn dict(&mut self, depth: usize) -> Option<Dict> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let mut dict = Dict::with_capacity(if depth == 0 { 16 } else { 4 });
        self.expect(b'{')?;
        if self.closes(b'}')? {
            return Some(dict);
        }
        loop {
            (self.next()? == b'"').then_some(())?;
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            dict.insert(key, value);
            if !self.goes_on(b'}')? {
                return Some(dict);
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let mut items = Vec::new();
        self.expect(b'[')?;
        if self.closes(b']')? {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.goes_on(b']')? {
                return Some(Value::List(items));
            }
        }
    }

    /// Passes a value of a text that was read before, without looking into it.
    pub(crate) fn skip(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.next()? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    open = open.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    let rest = self.text.as_bytes().get(self.at..)?;
                    let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t');
                    self.at += rest.iter().position(ends)?;
                }
            }
            if open == 0 {
                return Some(());
            }
        }
    }

    /// Passes a value that was not read before; gives up on what is not JSON, as reading it would.
    pub(crate) fn pass(&mut self, depth: usize) -> Option<()> {
        match self.next()? {
            b'"' => self.pass_string(),
            b'{' => self.pass_items(b'}', depth),
            b'[' => self.pass_items(b']', depth),
            b't' | b'f' | b'n' => self.word().map(|_| ()),
            _ => self.number().map(|_| ()),
        }
    }

    fn pass_items(&mut self, close: u8, depth: usize) -> Option<()> {
        (depth < MAX_DEPTH).then_some(())?;
        self.at += 1;
        if self.closes(close)? {
            return Some(());
        }
        loop {
            if close == b'}' {
                (self.next()? == b'"').then_some(())?;
                self.pass_string()?;
                self.expect(b':')?;
            }
            self.pass(depth + 1)?;
            if !self.goes_on(close)? {
                return Some(());
            }
        }
    }

    #[inline]
    fn pass_string(&mut self) -> Option<()> {
        let start = self.at;
        let (_, is_known) = self.raw_string()?;
        if !is_known {
            self.at = start;
            self.string()?; // an escape by its number, which may be half a character
        }
        Some(())
    }

    fn skip_string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        loop {
            at = plain_end(bytes, at)?;
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(())
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first quote, backslash or control character from `at` on.
///
/// Eight bytes at a time: strings of registries are short, and calling a search for long ones costs more than it saves.
#[inline]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5C);
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
        // A borrow can only mark a byte above one that is rightly marked, and the lowest mark counts.
        let marks = (below(quote, 1) | below(backslash, 1) | below(word, 0x20)) & HIGH;
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F)).map(|found| at + found)
}
