//! Template text → tokens, by jinja2's rules with `trim_blocks` and `lstrip_blocks` on.
//!
//! Knows whitespace control, comments, raw blocks and the tokens inside tags. Does not know any grammar.
//! The source given here is already normalised ([`normalise`]): only `\n` newlines, one trailing newline removed.

mod literals;
mod token;

use super::error::{Error, Result};
use super::text::space::{is_space, trim_end};
pub(crate) use literals::NameLookup;
pub(crate) use token::{Op, Tok, Token};

/// All newlines become `\n` and one trailing newline goes, as the environment of transformers has it.
pub(crate) fn normalise(source: &str) -> String {
    let mut text = if source.contains('\r') {
        source.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        source.to_owned()
    };
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

/// Splits a normalised source into tokens; the last one is [`Tok::Eof`].
pub(crate) fn tokenize<'s>(source: &'s str, names: NameLookup<'_>) -> Result<Vec<Token<'s>>> {
    let mut lexer = Lexer { src: source, pos: 0, line_starting: true, tokens: Vec::with_capacity(64), names };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'s, 'n> {
    src: &'s str,
    pos: usize,
    /// Whether the last match ended with a newline: `lstrip_blocks` applies to a tag at the start of a line.
    line_starting: bool,
    tokens: Vec<Token<'s>>,
    names: NameLookup<'n>,
}

/// What opens at a place in the text.
#[derive(Clone, Copy, PartialEq)]
enum Opening {
    Comment,
    Block,
    Variable,
    /// A raw block whose opening tag is this many bytes long.
    Raw(usize),
}

impl<'s> Lexer<'s, '_> {
    fn run(&mut self) -> Result<()> {
        loop {
            let Some((start, opening)) = self.find_opening() else {
                let rest = &self.src[self.pos..];
                self.data(rest, self.pos);
                self.push(Tok::Eof, self.src.len());
                return Ok(());
            };
            let sign = self.src[start + 2..].chars().next().filter(|c| matches!(c, '-' | '+'));
            let text = self.strip_before(self.pos, start, sign, opening != Opening::Variable);
            self.data(text, self.pos);
            self.pos = start + 2 + usize::from(sign.is_some());
            match opening {
                Opening::Comment => self.comment(start)?,
                Opening::Raw(length) => {
                    self.pos = start + length;
                    self.line_starting = self.src[..self.pos].ends_with('\n');
                    self.raw(start)?;
                }
                Opening::Block => {
                    self.push(Tok::BlockBegin, start);
                    self.tag(true)?;
                }
                Opening::Variable => {
                    self.push(Tok::VarBegin, start);
                    self.tag(false)?;
                }
            }
        }
    }

    fn push(&mut self, tok: Tok<'s>, at: usize) {
        self.tokens.push(Token { tok, at: u32::try_from(at).unwrap_or(u32::MAX) });
    }

    fn data(&mut self, text: &'s str, at: usize) {
        if !text.is_empty() {
            self.push(Tok::Data(text), at);
        }
    }

    fn find_opening(&self) -> Option<(usize, Opening)> {
        let bytes = self.src.as_bytes();
        let mut from = self.pos;
        loop {
            let start = from + self.src[from..].find('{')?;
            match bytes.get(start + 1) {
                Some(b'#') => return Some((start, Opening::Comment)),
                Some(b'{') => return Some((start, Opening::Variable)),
                Some(b'%') => {
                    let raw = self.raw_begin(start);
                    return Some((start, raw.map_or(Opening::Block, Opening::Raw)));
                }
                _ => from = start + 1,
            }
        }
    }

    /// The length of a raw opening tag at `start`, with the whitespace that `-%}` takes along.
    fn raw_begin(&self, start: usize) -> Option<usize> {
        let tag = &self.src[start + 2..];
        let inner = tag.strip_prefix(['-', '+']).unwrap_or(tag);
        let inner = inner.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
        let rest = match inner.strip_prefix("-%}") {
            Some(rest) => rest.trim_start_matches(is_space),
            None => inner.strip_prefix("%}")?,
        };
        Some(self.src.len() - start - rest.len())
    }

    /// The text before a tag, after `-`, `+` or `lstrip_blocks` had their say.
    fn strip_before(&self, from: usize, to: usize, sign: Option<char>, block: bool) -> &'s str {
        let text = &self.src[from..to];
        match sign {
            Some('-') => trim_end(text),
            None if block => {
                let line = text.rfind('\n').map_or(0, |i| i + 1);
                let blank = line < text.len() && text[line..].chars().all(is_space);
                if blank && (line > 0 || self.line_starting) { &text[..line] } else { text }
            }
            _ => text,
        }
    }

    fn comment(&mut self, start: usize) -> Result<()> {
        let Some(length) = self.src[self.pos..].find("#}") else {
            if self.pos == self.src.len() {
                return Ok(());
            }
            return Err(Error::syntax("Missing end of comment tag").at(offset(start)));
        };
        let end = self.pos + length;
        // `{#-#}`: the sign may have been read as the opening one already.
        let dash = length > 0 && self.src[..end].ends_with('-');
        let plus = length > 0 && self.src[..end].ends_with('+');
        self.pos = end + 2;
        self.after_end(dash, plus);
        Ok(())
    }

    /// Whitespace after a closing tag: `-` takes all of it, a plain end takes one newline, `+` takes nothing.
    fn after_end(&mut self, dash: bool, plus: bool) {
        let rest = &self.src[self.pos..];
        if dash {
            self.pos = self.src.len() - rest.trim_start_matches(is_space).len();
        } else if !plus && rest.starts_with('\n') {
            self.pos += 1;
        }
        self.line_starting = self.src[..self.pos].ends_with('\n');
    }

    fn raw(&mut self, start: usize) -> Result<()> {
        let body = self.pos;
        let mut from = body;
        while let Some(found) = self.src[from..].find("{%") {
            let tag = from + found;
            from = tag + 2;
            let inside = &self.src[from..];
            let sign = inside.chars().next().filter(|c| matches!(c, '-' | '+'));
            let name = inside[usize::from(sign.is_some())..].trim_start_matches(is_space);
            let Some(rest) = name.strip_prefix("endraw") else { continue };
            let rest = rest.trim_start_matches(is_space);
            let (dash, plus) = (rest.starts_with("-%}"), rest.starts_with("+%}"));
            if !dash && !plus && !rest.starts_with("%}") {
                continue;
            }
            let text = self.strip_before(body, tag, sign, true);
            self.data(text, body);
            self.pos = self.src.len() - rest.len() + 2 + usize::from(dash || plus);
            self.after_end(dash, plus);
            return Ok(());
        }
        if body == self.src.len() {
            return Ok(()); // jinja2 misses the end only when something follows
        }
        Err(Error::syntax("Missing end of raw directive").at(offset(start)))
    }

    /// The tokens of one `{% … %}` (`block`) or `{{ … }}`.
    fn tag(&mut self, block: bool) -> Result<()> {
        let mut open: Vec<char> = Vec::new();
        loop {
            let rest = &self.src[self.pos..];
            let Some(c) = rest.chars().next() else { return Ok(()) };
            if open.is_empty() && self.tag_end(rest, block) {
                return Ok(());
            }
            if is_space(c) {
                self.pos += c.len_utf8();
                continue;
            }
            let at = self.pos;
            let (tok, length) = token::next(rest, self.src[..at].ends_with('.'), at, self.names)?;
            if let Tok::Op(op) = &tok {
                balance(*op, &mut open).map_err(|e| e.at(offset(at)))?;
            }
            self.push(tok, at);
            self.pos += length;
        }
    }

    /// Consumes the end of the tag, if it is here.
    fn tag_end(&mut self, rest: &str, block: bool) -> bool {
        let close = if block { "%}" } else { "}}" };
        let dash = rest.starts_with('-') && rest[1..].starts_with(close);
        let plus = block && rest.starts_with('+') && rest[1..].starts_with(close);
        if !dash && !plus && !rest.starts_with(close) {
            return false;
        }
        self.push(if block { Tok::BlockEnd } else { Tok::VarEnd }, self.pos);
        self.pos += 2 + usize::from(dash || plus);
        // A plain `}}` never takes the newline after it; only blocks and comments are trimmed.
        self.after_end(dash, plus || !block);
        true
    }
}

fn balance(op: Op, open: &mut Vec<char>) -> Result<()> {
    let closing = match op {
        Op::LBrace => Some('}'),
        Op::LParen => Some(')'),
        Op::LBracket => Some(']'),
        _ => None,
    };
    if let Some(close) = closing {
        open.push(close);
        return Ok(());
    }
    let found = match op {
        Op::RBrace => '}',
        Op::RParen => ')',
        Op::RBracket => ']',
        _ => return Ok(()),
    };
    match open.pop() {
        None => Err(Error::syntax(format!("unexpected '{found}'"))),
        Some(expected) if expected != found => {
            Err(Error::syntax(format!("unexpected '{found}', expected '{expected}'")))
        }
        Some(_) => Ok(()),
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
