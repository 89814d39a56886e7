//! From tokens to a tree, with every fault of the grammar reported and repaired by guess.
use super::brackets::{Verdict, judge};
use super::lexer::{Bracket, Lexer, Token};
use super::node::{Key, Kind, Member, Node};
use super::{MAX_DEPTH, word};
use crate::catalogue as kind;
use crate::problem::Faults;
use crate::text::{Span, mask};
use std::borrow::Cow;
use std::collections::HashMap;

/// Reads a text; `None` where there is nothing in it.
pub(crate) fn parse<'t>(text: &'t str, faults: &mut Faults) -> Option<Node<'t>> {
    let mut parser = Parser {
        lexer: Lexer { text, at: 0, faults },
        ahead: None,
        open: Vec::new(),
        opened: Vec::new(),
        last_end: 0,
        derailed: false,
        cut_off: false,
    };
    if parser.peek().0 == Token::End {
        parser
            .lexer
            .faults
            .at(&kind::EMPTY_FILE, Span::at(0), "the file is empty")
            .help("an empty registry is []");
        return None;
    }
    let root = parser.value();
    parser.expect_end();
    Some(root)
}

struct Parser<'t, 'f> {
    lexer: Lexer<'t, 'f>,
    ahead: Option<(Token<'t>, Span)>,
    /// Open brackets, and where each was opened.
    open: Vec<Bracket>,
    opened: Vec<usize>,
    /// Where the last token ended.
    last_end: usize,
    /// Whether the last fault may have swallowed a comma or colon, so that its lack says nothing.
    derailed: bool,
    /// Whether the text ended inside brackets, which is reported once for all of them.
    cut_off: bool,
}

/// What follows a value inside brackets.
enum Next {
    Item,
    Done,
}

impl<'t> Parser<'t, '_> {
    fn peek(&mut self) -> &(Token<'t>, Span) {
        if self.ahead.is_none() {
            // A text with this many faults is not read to the end.
            let token = if self.lexer.faults.overfull() {
                (Token::End, Span::at(self.lexer.text.len()))
            } else {
                self.lexer.next()
            };
            self.ahead = Some(token);
        }
        self.ahead.get_or_insert((Token::End, Span::at(0)))
    }

    fn take(&mut self) -> (Token<'t>, Span) {
        self.peek();
        let token = self.ahead.take().unwrap_or((Token::End, Span::at(0)));
        self.last_end = token.1.end;
        token
    }

    fn value(&mut self) -> Node<'t> {
        let span = self.peek().1;
        if matches!(self.peek().0, Token::Comma | Token::Colon | Token::Close(_) | Token::End) {
            self.missing_value();
            return Node { span: Span::at(span.start), kind: Kind::Broken };
        }
        let (token, span) = self.take();
        let kind = match token {
            Token::Open(bracket) => return self.brackets(bracket, span),
            Token::String(text, whole) => {
                self.derailed = !whole;
                Kind::String(text)
            }
            Token::Int(number) => Kind::Int(number),
            Token::BigInt(digits) => Kind::BigInt(digits),
            Token::Float(number) => Kind::Float(number),
            Token::Word(word) => word::value_of(word, span, self.lexer.faults),
            Token::Junk => {
                self.unexpected(span);
                Kind::Broken
            }
            Token::BadNumber | Token::Comma | Token::Colon | Token::Close(_) | Token::End => Kind::Broken,
        };
        Node { span, kind }
    }

    /// Reads from an opening bracket to its end.
    fn brackets(&mut self, bracket: Bracket, span: Span) -> Node<'t> {
        if self.open.len() >= MAX_DEPTH {
            return self.too_deep(span);
        }
        self.open.push(bracket);
        self.opened.push(span.start);
        let kind = match bracket {
            Bracket::Square => self.list(),
            Bracket::Curly => self.object(),
        };
        self.open.pop();
        self.opened.pop();
        Node { span: Span::new(span.start, self.last_end.max(span.end)), kind }
    }

    fn list(&mut self) -> Kind<'t> {
        let mut items = Vec::new();
        if self.closes() {
            return Kind::List(items);
        }
        loop {
            items.push(self.value());
            if matches!(self.after_item(), Next::Done) {
                return Kind::List(items);
            }
        }
    }

    fn object(&mut self) -> Kind<'t> {
        let mut members = Vec::new();
        if !self.closes() {
            loop {
                if let Some(member) = self.member() {
                    members.push(member);
                }
                if matches!(self.after_item(), Next::Done) {
                    break;
                }
            }
        }
        self.report_duplicates(&members);
        Kind::Object(members)
    }

    fn member(&mut self) -> Option<Member<'t>> {
        let key = self.key()?;
        if self.peek().0 == Token::Colon {
            self.take();
            self.derailed = false;
        } else if matches!(self.peek().0, Token::Comma | Token::Close(_) | Token::End) {
            if !self.derailed {
                let message = format!("the key {} has no value", quoted(&key.text));
                self.lexer
                    .faults
                    .at(&kind::MISSING_VALUE, key.span, message)
                    .help("write : and the value after it");
            }
            return Some(Member { value: Node { span: key.span, kind: Kind::Broken }, key });
        } else if !self.derailed {
            let message = format!("no colon after the key {}", quoted(&key.text));
            self.lexer
                .faults
                .at(&kind::MISSING_COLON, Span::at(key.span.end), message)
                .help("write : before the value");
        }
        let value = self.value();
        if mask::is_secret_name(&key.text) && !matches!(value.kind, Kind::Bool(_) | Kind::Null) {
            self.lexer.faults.hide(value.span);
        }
        Some(Member { key, value })
    }

    /// Reads a key; words and numbers are taken for one and reported.
    fn key(&mut self) -> Option<Key<'t>> {
        let span = self.peek().1;
        let text = match &self.peek().0 {
            Token::String(..) => match self.take().0 {
                Token::String(text, whole) => {
                    self.derailed = !whole;
                    return Some(Key { span, text });
                }
                _ => return None,
            },
            Token::Comma | Token::Close(_) | Token::End => {
                self.missing_value();
                return None;
            }
            Token::Colon => {
                self.lexer.faults.at(&kind::MISSING_VALUE, span, "a colon without a key before it");
                return Some(Key { span, text: Cow::Borrowed("") });
            }
            Token::Word(_) | Token::Int(_) | Token::BigInt(_) | Token::Float(_) | Token::BadNumber => {
                &self.lexer.text[span.start..span.end]
            }
            Token::Junk | Token::Open(_) => {
                self.value_for_key();
                return None;
            }
        };
        self.take();
        self.lexer
            .faults
            .at(&kind::UNQUOTED_KEY, span, format!("the key `{}` has no quotes", cut(text)))
            .help(format!("write \"{}\"", cut(text)));
        Some(Key { span, text: Cow::Borrowed(text) })
    }

    /// A value stands where a key has to.
    fn value_for_key(&mut self) {
        let value = self.value();
        if !matches!(value.kind, Kind::Broken) {
            self.lexer
                .faults
                .at(
                    &kind::UNEXPECTED,
                    Span::new(value.span.start, value.span.start + 1),
                    "a key has to stand here",
                )
                .help("the items of an object are \"key\": value");
        }
    }

    /// Passes what separates two items, and finds the end of the brackets.
    fn after_item(&mut self) -> Next {
        loop {
            let (token, span) = self.peek().clone();
            match token {
                Token::Comma => {
                    self.take();
                    self.derailed = false;
                    if matches!(self.peek().0, Token::Close(_) | Token::End) {
                        self.lexer
                            .faults
                            .at(&kind::TRAILING_COMMA, span, "a comma after the last item")
                            .help("remove it");
                        if self.closes() {
                            return Next::Done;
                        }
                    }
                    return Next::Item;
                }
                Token::Close(_) | Token::End => {
                    if self.closes() {
                        return Next::Done;
                    }
                }
                Token::Colon | Token::Junk => {
                    self.take();
                    self.unexpected(span);
                }
                _ => {
                    if !std::mem::take(&mut self.derailed) {
                        let place = Span::at(self.last_end);
                        self.lexer
                            .faults
                            .at(&kind::MISSING_COMMA, place, "no comma before the next item")
                            .help("write , here");
                    }
                    return Next::Item;
                }
            }
        }
    }

    /// Takes the closing bracket of the innermost brackets, if it comes now.
    ///
    /// Also true where they have to be given up: at the end of the text, or at a bracket that closes an outer one.
    fn closes(&mut self) -> bool {
        let Some(&wanted) = self.open.last() else { return false };
        let (token, span) = self.peek().clone();
        match token {
            Token::Close(found) if found == wanted => {
                self.take();
                self.derailed = false;
                true
            }
            Token::Close(found) => self.wrong_bracket(wanted, found, span),
            Token::End => {
                self.never_closed(wanted, "the end of the file", span);
                true
            }
            _ => false,
        }
    }

    fn wrong_bracket(&mut self, wanted: Bracket, found: Bracket, span: Span) -> bool {
        let verdict = judge(&self.open, found, &self.lexer.text[span.end..]);
        match verdict {
            Verdict::Forgotten => {
                self.never_closed(wanted, &format!("this {}", found.close()), span);
                return true;
            }
            Verdict::Typo => {
                let message = format!("found {}, but {} is open", found.close(), wanted.open());
                let help = format!("write {}", wanted.close());
                self.lexer.faults.at(&kind::MISMATCHED_BRACKET, span, message).help(help);
            }
            Verdict::Stray => {
                let message = format!("this {} closes nothing", found.close());
                self.lexer.faults.at(&kind::MISMATCHED_BRACKET, span, message).help("remove it");
            }
        }
        self.take();
        verdict == Verdict::Typo
    }

    /// Reports the innermost brackets as never closed; at the end of the file only once for all of them.
    fn never_closed(&mut self, wanted: Bracket, before: &str, found: Span) {
        if self.lexer.faults.overfull() {
            return;
        }
        let Some(&opened) = self.opened.last() else { return };
        let at_end = found.start >= self.lexer.text.len();
        if at_end && std::mem::replace(&mut self.cut_off, true) {
            return;
        }
        let message = format!("this {} is never closed", wanted.open());
        let more = self.open.len() - 1;
        let also = if at_end && more > 0 {
            format!("; {more} more brackets around it are open too")
        } else {
            String::new()
        };
        self.lexer
            .faults
            .at(&kind::UNCLOSED_BRACKET, Span::new(opened, opened + 1), message)
            .help(format!("write {} before {before}{also}", wanted.close()));
    }

    fn missing_value(&mut self) {
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
        self.lexer.faults.at(&kind::MISSING_VALUE, span, message);
        if token == Token::Colon {
            self.take();
        }
    }

    fn unexpected(&mut self, span: Span) {
        let text = &self.lexer.text[span.start..span.end];
        let invisible =
            text.chars().next().filter(|c| c.is_whitespace() || c.is_control() || *c == '\u{feff}');
        let message = match invisible {
            Some(c) => format!("the invisible character U+{:04X} outside of a string", u32::from(c)),
            None => format!("`{}` has no meaning here", cut(text).escape_debug()),
        };
        self.lexer.faults.at(&kind::UNEXPECTED, span, message).help("remove it");
    }

    /// Passes over everything up to the bracket that fits, without going deeper.
    fn too_deep(&mut self, span: Span) -> Node<'t> {
        let message = format!("more than {MAX_DEPTH} lists and objects inside each other");
        self.lexer.faults.at(&kind::TOO_DEEP, span, message);
        let mut depth = 1_usize;
        while depth > 0 {
            match self.take().0 {
                Token::Open(_) => depth += 1,
                Token::Close(_) => depth -= 1,
                Token::End => break,
                _ => {}
            }
        }
        Node { span: Span::new(span.start, self.last_end), kind: Kind::Broken }
    }

    fn expect_end(&mut self) {
        let (token, span) = self.peek().clone();
        if token == Token::End {
            return;
        }
        let help = if matches!(token, Token::Open(_)) {
            "put several entries into one list: [{…}, {…}]"
        } else {
            "remove it"
        };
        let message = "text after the end of the registry";
        self.lexer.faults.at(&kind::TRAILING_DATA, span, message).help(help);
    }

    fn report_duplicates(&mut self, members: &[Member<'t>]) {
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
