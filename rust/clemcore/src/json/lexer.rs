//! From text to tokens. Whatever is not a token is reported and skipped or replaced.
use super::outlook::Outlooks;
use crate::catalogue as kind;
use crate::problem::Faults;
use crate::text::{Span, mask};
use std::borrow::Cow;

/// The two kinds of brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Square,
    Curly,
}

impl Bracket {
    pub(super) const fn open(self) -> char {
        if matches!(self, Self::Square) { '[' } else { '{' }
    }

    pub(super) const fn close(self) -> char {
        if matches!(self, Self::Square) { ']' } else { '}' }
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    Open(Bracket),
    Close(Bracket),
    Colon,
    Comma,
    /// Text, and whether its end was found.
    String(Cow<'t, str>, bool),
    Int(i64),
    BigInt(&'t str),
    Float(f64),
    /// A number that is none; reported.
    BadNumber,
    /// Letters without quotes; the parser decides what they were meant to be.
    Word(&'t str),
    /// Other characters; not yet reported.
    Junk,
    End,
}

/// Reads tokens one by one.
pub(super) struct Lexer<'t, 'f> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) faults: &'f mut Faults,
    /// Whether the first side of a merge conflict is being read.
    pub(super) in_conflict: bool,
    /// Where strings that lack their end may go on.
    pub(super) outlooks: Outlooks,
}

impl<'t, 'f> Lexer<'t, 'f> {
    pub(super) fn new(text: &'t str, at: usize, faults: &'f mut Faults) -> Self {
        Self { text, at, faults, in_conflict: false, outlooks: Outlooks::default() }
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The next token and its place.
    pub(super) fn next(&mut self) -> (Token<'t>, Span) {
        self.skip_blank();
        let start = self.at;
        let Some(byte) = self.byte(start) else { return (Token::End, Span::at(start)) };
        let token = match byte {
            b'[' => self.single(Token::Open(Bracket::Square)),
            b']' => self.single(Token::Close(Bracket::Square)),
            b'{' => self.single(Token::Open(Bracket::Curly)),
            b'}' => self.single(Token::Close(Bracket::Curly)),
            b':' => self.single(Token::Colon),
            b',' => self.single(Token::Comma),
            b'"' => self.string(1, "\""),
            b'-' | b'+' | b'.' | b'0'..=b'9' => self.number(),
            _ => self.other(),
        };
        let span = Span::new(start, self.at);
        if let Token::String(text, _) = &token
            && mask::find_secret(text).is_some()
        {
            self.faults.hide(span);
        }
        (token, span)
    }

    fn single(&mut self, token: Token<'t>) -> Token<'t> {
        self.at += 1;
        token
    }

    /// Words, strings in the wrong quotes, and what is left.
    fn other(&mut self) -> Token<'t> {
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else { return Token::End };
        let close = match first {
            '\'' => "'",
            '`' => "`",
            '“' | '”' | '„' => "”",
            '‘' | '’' | '‚' => "’",
            _ if is_word(first) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                return self.word(&rest[..end]);
            }
            _ => return self.junk(rest),
        };
        let start = self.at;
        let token = self.string(first.len_utf8(), close);
        let span = Span::new(start, self.at);
        self.faults
            .at(
                &kind::QUOTES,
                span,
                format!("a JSON string stands in double quotes, not in {}", quote_name(first)),
            )
            .help("write \"…\"");
        token
    }

    /// A word; one with a quote right after it is a string that lacks the quote before.
    fn word(&mut self, word: &'t str) -> Token<'t> {
        let start = self.at;
        self.at += word.len();
        if self.byte(self.at) != Some(b'"') {
            return Token::Word(word);
        }
        self.at += 1;
        let span = Span::new(start, self.at);
        self.faults.at(&kind::QUOTES, span, "a string without an opening quote").help("write \" before it");
        Token::String(Cow::Borrowed(word), true)
    }

    /// Takes everything up to the next character that can begin a token.
    fn junk(&mut self, rest: &'t str) -> Token<'t> {
        let begins =
            |c: char| is_word(c) || is_invisible(c) || " \t\r\n[]{}:,\"'-+.0123456789/#`“”„‘’‚".contains(c);
        let first = rest.chars().next().map_or(0, char::len_utf8);
        self.at += first + rest[first..].find(begins).unwrap_or(rest.len() - first);
        Token::Junk
    }

    /// Passes whitespace, comments and the lines of merge conflicts.
    fn skip_blank(&mut self) {
        loop {
            while matches!(self.byte(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
                self.at += 1;
            }
            if !self.skip_comment() && !self.skip_invisible() && !self.skip_conflict() {
                return;
            }
        }
    }

    /// Passes characters that look like whitespace but are not in JSON; they are invisible, so they are named.
    fn skip_invisible(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !is_invisible(c)).unwrap_or(rest.len());
        let Some(first) = rest[..end].chars().next() else { return false };
        let span = Span::new(self.at, self.at + end);
        let message = format!("the invisible character U+{:04X} outside of a string", u32::from(first));
        self.faults.at(&kind::UNEXPECTED, span, message).help("remove it");
        self.at += end;
        true
    }

    fn skip_comment(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let line_end = || rest.find(['\n', '\r']).unwrap_or(rest.len());
        let (length, closed) = match rest.as_bytes() {
            [b'#', ..] | [b'/', b'/', ..] => (line_end(), true),
            [b'/', b'*', ..] => match rest[2..].find("*/") {
                Some(end) => (end + 4, true),
                None => (rest.len(), false),
            },
            _ => return false,
        };
        let span = Span::new(self.at, self.at + length);
        let message =
            if closed { "JSON has no comments" } else { "a comment that never ends; JSON has none" };
        self.faults
            .at(&kind::COMMENT, span, message)
            .help("remove it, or keep the remark as a key: \"comment\": \"…\"");
        self.at += length;
        true
    }
}

fn quote_name(quote: char) -> &'static str {
    match quote {
        '\'' => "single quotes",
        '`' => "backticks",
        _ => "typographic quotes",
    }
}

fn is_invisible(c: char) -> bool {
    let blank = c.is_whitespace() && !matches!(c, ' ' | '\t' | '\n' | '\r');
    blank
        || c.is_control() && !c.is_whitespace()
        || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

/// Characters of words without quotes: enough for `None`, `model_name`, `gpt-4o` and paths.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '@' | '-' | '.')
}
