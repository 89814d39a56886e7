//! Strings: escapes, surrogates, and where a string ends that has no end.
use super::lexer::{Lexer, Token};
use crate::catalogue as kind;
use crate::text::Span;
use std::borrow::Cow;

impl<'t> Lexer<'t, '_> {
    /// Reads a string whose opening quote has `open` bytes and which ends with `close`.
    pub(super) fn string(&mut self, open: usize, close: &'static str) -> Token<'t> {
        let opened = self.at;
        let body = opened + open;
        let mut decoded: Option<String> = None;
        let mut run = body;
        let mut told = false;
        // Up to where a closing quote is known to follow, so that no line is looked at twice.
        let mut sure = body;
        let mut at = body;
        let whole = loop {
            let Some(byte) = self.byte(at) else { break false };
            match byte {
                _ if byte == close.as_bytes()[0] && self.text[at..].starts_with(close) => break true,
                b'\\' => {
                    let text = decoded.get_or_insert_default();
                    text.push_str(&self.text[run..at]);
                    let (character, end) = self.escape(at);
                    text.push(character);
                    (at, run) = (end, end);
                }
                b'\n' | b'\r' if at >= sure && !self.outlooks.goes_on(self.text, at, close, &mut sure) => {
                    break false;
                }
                0x00..=0x1F => {
                    if !told {
                        self.control_character(at, byte);
                        told = true;
                    }
                    at += 1;
                }
                0x20..=0x7F => at += 1,
                lead => at += utf8_length(lead),
            }
        };
        let end = if whole { at } else { body + self.text[body..at].trim_end().len() };
        let text = match decoded {
            Some(mut text) => {
                text.push_str(&self.text[run..at]);
                Cow::Owned(text)
            }
            None => Cow::Borrowed(&self.text[body..end]),
        };
        if whole {
            self.at = at + close.len();
        } else {
            self.at = end;
            self.faults
                .at(&kind::UNTERMINATED_STRING, Span::new(opened, end), "this string never ends")
                .help(format!("close it with {close}"));
        }
        Token::String(text, whole)
    }

    fn control_character(&mut self, at: usize, byte: u8) {
        let (name, escape) = match byte {
            b'\n' | b'\r' => ("line break", "\\n".to_owned()),
            b'\t' => ("tab", "\\t".to_owned()),
            _ => ("control character", format!("\\u{byte:04x}")),
        };
        self.faults
            .at(&kind::CONTROL_CHARACTER, Span::new(at, at + 1), format!("a raw {name} inside a string"))
            .help(format!("write {escape}"));
    }

    /// Decodes the escape at `at`; gives the character and the offset after it.
    fn escape(&mut self, at: usize) -> (char, usize) {
        let character = match self.byte(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(at),
            _ => return self.bad_escape(at),
        };
        (character, at + 2)
    }

    fn bad_escape(&mut self, at: usize) -> (char, usize) {
        let next = self.text[at + 1..].chars().next();
        // The end of the line or file is the next step's to judge.
        let Some(next) = next.filter(|next| !matches!(next, '\n' | '\r')) else {
            let span = Span::new(at, at + 1);
            self.faults.at(&kind::BAD_ESCAPE, span, "a backslash with nothing after it").help("write \\\\");
            return ('\\', at + 1);
        };
        let end = at + 1 + next.len_utf8();
        if self.faults.overfull() {
            return (next, end);
        }
        let help = match next {
            '\'' => "a single quote needs no backslash".to_owned(),
            'x' => "write \\u00 and the two digits".to_owned(),
            _ => format!("for a backslash and {next}, as in a regular expression, write \\\\{next}"),
        };
        self.faults
            .at(&kind::BAD_ESCAPE, Span::new(at, end), format!("\\{next} is not a JSON escape"))
            .help(help);
        (next, end)
    }

    fn unicode_escape(&mut self, at: usize) -> (char, usize) {
        let Some(unit) = self.hex4(at + 2) else {
            let digits = self.text[at + 2..].bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
            let end = at + 2 + digits;
            self.faults.at(&kind::BAD_ESCAPE, Span::new(at, end), "\\u needs four hexadecimal digits");
            return (char::REPLACEMENT_CHARACTER, end);
        };
        if let Some(character) = char::from_u32(unit) {
            return (character, at + 6);
        }
        if (0xD800..0xDC00).contains(&unit)
            && self.text[at + 6..].starts_with("\\u")
            && let Some(low) = self.hex4(at + 8).filter(|low| (0xDC00..0xE000).contains(low))
            && let Some(character) = char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        {
            return (character, at + 12);
        }
        let message = format!("\\u{unit:04x} is one half of a surrogate pair");
        self.faults
            .at(&kind::LONE_SURROGATE, Span::new(at, at + 6), message)
            .help("write both halves, or the character itself");
        (char::REPLACEMENT_CHARACTER, at + 6)
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.text.as_bytes().get(at..at + 4)?;
        digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
    }
}

const fn utf8_length(lead: u8) -> usize {
    match lead {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    }
}
