//! What the parser says about faults of the grammar, and how it guesses its way past them.
//!
//! A good guess is what keeps one fault from looking like five. A bad one only costs a second message, for the file
//! is refused anyway.
use super::brackets::{Verdict, judge};
use super::lexer::{Bracket, Token};
use super::node::{Key, Kind, Member};
use super::parser::Parser;
use crate::catalogue as kind;
use crate::text::Span;
use std::borrow::Cow;
use std::collections::HashMap;

impl<'t> Parser<'t, '_> {
    pub(super) fn missing_value(&mut self) {
        if std::mem::take(&mut self.derailed) {
            return;
        }
        let (token, span) = self.peek().clone();
        if token == Token::End {
            // The brackets around say it.
            if self.open.is_empty() {
                self.lexer.faults.at(&kind::MISSING_VALUE, span, "a value has to stand here");
            }
            return;
        }
        let message = format!("a value has to stand before this {}", &self.lexer.text[span.start..span.end]);
        self.lexer
            .faults
            .at(&kind::MISSING_VALUE, span, message)
            .help("write it, or remove what is too much");
        if token == Token::Colon {
            self.take();
        }
    }

    /// A key is followed by the end of its item.
    pub(super) fn key_alone(&mut self, key: &Key<'t>) {
        if self.derailed {
            return;
        }
        let message = format!("the key {} has no value", quoted(&key.text));
        let help = "write : and the value after it";
        self.lexer.faults.at(&kind::MISSING_VALUE, key.span, message).help(help);
    }

    /// Reports a missing colon; an equals sign in its place is passed over.
    pub(super) fn missing_colon(&mut self, key: &Key<'t>) {
        let span = self.peek().1;
        let equals = self.peek().0 == Token::Junk && self.lexer.text[span.start..].starts_with('=');
        let place = if equals { self.take().1 } else { Span::at(key.span.end) };
        if self.derailed {
            return;
        }
        let message = format!("no colon after the key {}", quoted(&key.text));
        self.lexer.faults.at(&kind::MISSING_COLON, place, message).help("write : before the value");
    }

    pub(super) fn missing_comma(&mut self) {
        if std::mem::take(&mut self.derailed) {
            return;
        }
        let place = Span::at(self.last_end);
        self.lexer
            .faults
            .at(&kind::MISSING_COMMA, place, "no comma before the next item")
            .help("write , here");
    }

    pub(super) fn unquoted_key(&mut self, span: Span) -> Key<'t> {
        let text = &self.lexer.text[span.start..span.end];
        self.lexer
            .faults
            .at(&kind::UNQUOTED_KEY, span, format!("the key `{}` has no quotes", cut(text)))
            .help(format!("write \"{}\"", cut(text)));
        Key { span, text: Cow::Borrowed(text) }
    }

    /// A value stands where a key has to.
    pub(super) fn value_for_key(&mut self) {
        let value = self.value();
        if !matches!(value.kind, Kind::Broken) {
            let span = Span::new(value.span.start, value.span.start + 1);
            let help = "the items of an object are \"key\": value";
            self.lexer.faults.at(&kind::UNEXPECTED, span, "a key has to stand here").help(help);
        }
    }

    pub(super) fn unexpected(&mut self, span: Span) {
        let message = format!("`{}` has no meaning here", cut(&self.lexer.text[span.start..span.end]));
        self.lexer.faults.at(&kind::UNEXPECTED, span, message).help("remove it");
    }

    /// A string that seems to end at the opening quote of the next one: `["en, "de"]` or `{"key: "value"}`.
    ///
    /// That shows in a `separator` at its end and a letter right after it. Reports it, reads on at the separator, and
    /// gives the string as it was meant.
    pub(super) fn forgotten_quote(
        &mut self,
        text: &Cow<'t, str>,
        whole: bool,
        separator: char,
        span: Span,
    ) -> Option<(Span, &'t str)> {
        // With escapes inside, lengths in the text and in the string differ; leave that rare case.
        let Cow::Borrowed(text) = text else { return None };
        let meant = text.trim_end().strip_suffix(separator).filter(|_| whole)?;
        let after = self.lexer.text[span.end..].chars().next();
        after.filter(|character| character.is_alphanumeric())?;
        let span = Span::new(span.start, span.start + 1 + meant.len());
        self.lexer
            .faults
            .at(&kind::UNTERMINATED_STRING, span, "this string never ends")
            .help("close it with \"");
        self.lexer.at = span.end;
        self.ahead = None;
        self.last_end = span.end;
        Some((span, meant))
    }

    /// Deals with a closing bracket of the wrong kind; whether the innermost brackets end here.
    pub(super) fn wrong_bracket(&mut self, wanted: Bracket, found: Bracket, span: Span) -> bool {
        let open: Vec<_> = self.open.iter().map(|(bracket, _)| *bracket).collect();
        match judge(&open, found, &self.lexer.text[span.end..]) {
            Verdict::Forgotten => self.never_closed(&format!("this {}", found.close()), span),
            Verdict::Typo => {
                let message = format!("found {}, but {} is open", found.close(), wanted.open());
                let help = format!("write {}", wanted.close());
                self.lexer.faults.at(&kind::MISMATCHED_BRACKET, span, message).help(help);
                self.take();
            }
            Verdict::Stray => {
                let message = format!("this {} closes nothing", found.close());
                self.lexer.faults.at(&kind::MISMATCHED_BRACKET, span, message).help("remove it");
                self.take();
                return false;
            }
        }
        true
    }

    /// Reports the innermost brackets as never closed; at the end of the file only once for all of them.
    pub(super) fn never_closed(&mut self, before: &str, found: Span) {
        let Some(&(bracket, opened)) = self.open.last() else { return };
        let at_end = found.start >= self.lexer.text.len();
        // A text that was given up for its many faults did not end here.
        if self.lexer.faults.overfull() || (at_end && std::mem::replace(&mut self.cut_off, true)) {
            return;
        }
        let message = format!("this {} is never closed", bracket.open());
        let more = match self.open.len() - 1 {
            1 if at_end => "; the bracket around it is open too".to_owned(),
            more if at_end && more > 1 => format!("; the {more} brackets around it are open too"),
            _ => String::new(),
        };
        let help = format!("write {} before {before}{more}", bracket.close());
        self.lexer.faults.at(&kind::UNCLOSED_BRACKET, Span::new(opened, opened + 1), message).help(help);
    }

    pub(super) fn expect_end(&mut self) {
        let (token, span) = self.peek().clone();
        let help = match token {
            Token::End => return,
            Token::Open(_) => "put several entries into one list: [{…}, {…}]",
            _ => "remove it",
        };
        let message = "text after the end of the registry";
        self.lexer.faults.at(&kind::TRAILING_DATA, span, message).help(help);
    }

    pub(super) fn report_duplicates(&mut self, members: &[Member<'t>]) {
        // Most objects are small; hashing costs more than looking.
        if members.len() <= 16 {
            for (at, member) in members.iter().enumerate().skip(1) {
                if let Some(first) = members[..at].iter().find(|first| first.key.text == member.key.text) {
                    self.duplicate(&first.key, &member.key);
                }
            }
            return;
        }
        let mut seen: HashMap<&str, &Key<'t>> = HashMap::with_capacity(members.len());
        for member in members {
            if self.lexer.faults.overfull() {
                return;
            }
            match seen.get(&*member.key.text) {
                Some(first) => self.duplicate(first, &member.key),
                None => {
                    seen.insert(&member.key.text, &member.key);
                }
            }
        }
    }

    fn duplicate(&mut self, first: &Key<'t>, again: &Key<'t>) {
        let message = format!("the key {} stands twice in one object", quoted(&again.text));
        self.lexer
            .faults
            .at(&kind::DUPLICATE_KEY, again.span, message)
            .related(first.span.start)
            .help("it stands first at {place}; keep one of the two");
    }
}

/// At most 40 characters of a text.
fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}
