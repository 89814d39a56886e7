//! From tokens to a tree. What is said about faults, and how they are fixed by guess, is in `repair`.
use super::lexer::{Bracket, Lexer, Token};
use super::node::{Key, Kind, Member, Node};
use super::{MAX_DEPTH, word};
use crate::catalogue as kind;
use crate::problem::Faults;
use crate::text::{Span, mask};
use std::borrow::Cow;

/// Reads a text; `None` where there is nothing in it.
pub(crate) fn parse<'t>(text: &'t str, faults: &mut Faults) -> Option<Node<'t>> {
    let mut parser = Parser::of_text(text, faults)?;
    let root = parser.value();
    parser.expect_end();
    Some(root)
}

/// What a text holds as a whole.
pub(crate) enum Root<'t> {
    /// A list; its items were handed over.
    List(Span),
    /// Anything else.
    Other(Node<'t>),
}

/// Reads a text, and hands over each item of its list as soon as it is read, so that they need no room together.
pub(crate) fn parse_items<'t>(
    text: &'t str,
    faults: &mut Faults,
    each: &mut dyn FnMut(Node<'t>, &mut Faults),
) -> Option<Root<'t>> {
    let mut parser = Parser::of_text(text, faults)?;
    let root = if parser.peek().0 == Token::Open(Bracket::Square) {
        let span = parser.take().1;
        parser.open.push((Bracket::Square, span.start));
        parser.items(each);
        parser.open.pop();
        Root::List(Span::new(span.start, parser.last_end.max(span.end)))
    } else {
        Root::Other(parser.value())
    };
    parser.expect_end();
    Some(root)
}

/// Reads one value of a text that was read before, from where it begins.
pub(crate) fn parse_at<'t>(text: &'t str, at: usize, faults: &mut Faults) -> Node<'t> {
    Parser::new(text, at, faults).value()
}

pub(super) struct Parser<'t, 'f> {
    pub(super) lexer: Lexer<'t, 'f>,
    pub(super) ahead: Option<(Token<'t>, Span)>,
    /// Open brackets, and where each was opened.
    pub(super) open: Vec<(Bracket, usize)>,
    /// Where the last token ended.
    pub(super) last_end: usize,
    /// Whether the last fault may have swallowed a comma or colon, so that its lack says nothing.
    pub(super) derailed: bool,
    /// Whether the text ended inside brackets, which is reported once for all of them.
    pub(super) cut_off: bool,
}

/// The next token; a text with too many faults is not read to the end.
fn read<'t>(lexer: &mut Lexer<'t, '_>) -> (Token<'t>, Span) {
    if lexer.faults.overfull() { (Token::End, Span::at(lexer.text.len())) } else { lexer.next() }
}

/// What follows an item inside brackets.
enum Next {
    Item,
    Done,
}

impl<'t, 'f> Parser<'t, 'f> {
    fn new(text: &'t str, at: usize, faults: &'f mut Faults) -> Self {
        let lexer = Lexer::new(text, at, faults);
        Self { lexer, ahead: None, open: Vec::new(), last_end: at, derailed: false, cut_off: false }
    }

    /// Begins to read a whole text; `None` where there is nothing in it, or too much is wrong with it already.
    fn of_text(text: &'t str, faults: &'f mut Faults) -> Option<Self> {
        if faults.overfull() {
            return None;
        }
        let mut parser = Self::new(text, 0, faults);
        if parser.peek().0 == Token::End {
            let help = "an empty registry is []";
            parser.lexer.faults.at(&kind::EMPTY_FILE, Span::at(0), "the file is empty").help(help);
            return None;
        }
        Some(parser)
    }

    pub(super) fn peek(&mut self) -> &(Token<'t>, Span) {
        let Self { lexer, ahead, .. } = self;
        ahead.get_or_insert_with(|| read(lexer))
    }

    pub(super) fn take(&mut self) -> (Token<'t>, Span) {
        let token = self.ahead.take().unwrap_or_else(|| read(&mut self.lexer));
        self.last_end = token.1.end;
        token
    }

    pub(super) fn value(&mut self) -> Node<'t> {
        let span = self.peek().1;
        if matches!(self.peek().0, Token::Comma | Token::Colon | Token::Close(_) | Token::End) {
            self.missing_value();
            return Node { span: Span::at(span.start), kind: Kind::Broken };
        }
        let (token, span) = self.take();
        let kind = match token {
            Token::Open(bracket) => return self.brackets(bracket, span),
            Token::String(text, whole) => return self.string(text, whole, span),
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

    fn string(&mut self, text: Cow<'t, str>, whole: bool, span: Span) -> Node<'t> {
        self.derailed = !whole;
        match self.forgotten_quote(&text, whole, ',', span) {
            Some((span, text)) => Node { span, kind: Kind::String(Cow::Borrowed(text)) },
            None => Node { span, kind: Kind::String(text) },
        }
    }

    /// Reads from an opening bracket to its end.
    fn brackets(&mut self, bracket: Bracket, span: Span) -> Node<'t> {
        if self.open.len() >= MAX_DEPTH {
            return self.too_deep(span);
        }
        self.open.push((bracket, span.start));
        let kind = match bracket {
            Bracket::Square => Kind::List(self.list()),
            Bracket::Curly => Kind::Object(self.object()),
        };
        self.open.pop();
        Node { span: Span::new(span.start, self.last_end.max(span.end)), kind }
    }

    fn list(&mut self) -> Vec<Node<'t>> {
        let mut items = Vec::new();
        self.items(&mut |item, _| items.push(item));
        items
    }

    /// Reads the items of a list up to its end.
    fn items(&mut self, each: &mut dyn FnMut(Node<'t>, &mut Faults)) {
        if self.closes() {
            return;
        }
        loop {
            let item = self.value();
            each(item, self.lexer.faults);
            if matches!(self.after_item(), Next::Done) {
                return;
            }
        }
    }

    fn object(&mut self) -> Vec<Member<'t>> {
        let mut members = Vec::new();
        if !self.closes() {
            loop {
                members.extend(self.member());
                if matches!(self.after_item(), Next::Done) {
                    break;
                }
            }
        }
        self.report_duplicates(&members);
        members
    }

    fn member(&mut self) -> Option<Member<'t>> {
        let key = self.key()?;
        match self.peek().0 {
            Token::Colon => {
                self.take();
                self.derailed = false;
            }
            Token::Comma | Token::Close(_) | Token::End => {
                self.key_alone(&key);
                return Some(Member { value: Node { span: key.span, kind: Kind::Broken }, key });
            }
            _ => self.missing_colon(&key),
        }
        let value = self.value();
        if mask::is_secret_name(&key.text) && !matches!(value.kind, Kind::Bool(_) | Kind::Null) {
            self.lexer.faults.hide(value.span);
        }
        Some(Member { key, value })
    }

    /// Reads a key; words and numbers are taken for one and reported.
    fn key(&mut self) -> Option<Key<'t>> {
        match self.peek().0 {
            Token::String(..) => self.string_key(),
            Token::Word(_) | Token::Int(_) | Token::BigInt(_) | Token::Float(_) | Token::BadNumber => {
                let span = self.take().1;
                Some(self.unquoted_key(span))
            }
            Token::Colon => {
                let span = self.peek().1;
                let message = "a colon without a key before it";
                self.lexer
                    .faults
                    .at(&kind::MISSING_VALUE, span, message)
                    .help("write the key in double quotes");
                Some(Key { span, text: Cow::Borrowed("") })
            }
            Token::Comma | Token::Close(_) | Token::End => {
                self.missing_value();
                None
            }
            Token::Junk | Token::Open(_) => {
                self.value_for_key();
                None
            }
        }
    }

    fn string_key(&mut self) -> Option<Key<'t>> {
        let (Token::String(text, whole), span) = self.take() else { return None };
        self.derailed = !whole;
        match self.forgotten_quote(&text, whole, ':', span) {
            Some((span, text)) => Some(Key { span, text: Cow::Borrowed(text) }),
            None => Some(Key { span, text }),
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
                    return self.after_comma(span);
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
                    self.missing_comma();
                    return Next::Item;
                }
            }
        }
    }

    fn after_comma(&mut self, comma: Span) -> Next {
        if matches!(self.peek().0, Token::Close(_) | Token::End) {
            self.lexer
                .faults
                .at(&kind::TRAILING_COMMA, comma, "a comma after the last item")
                .help("remove it");
            if self.closes() {
                return Next::Done;
            }
        }
        Next::Item
    }

    /// Takes the closing bracket of the innermost brackets, if it comes now.
    ///
    /// Also true where they have to be given up: at the end of the text, or at a bracket that closes an outer one.
    fn closes(&mut self) -> bool {
        let Some(&(wanted, _)) = self.open.last() else { return false };
        match self.peek().clone() {
            (Token::Close(found), _) if found == wanted => {
                self.take();
                self.derailed = false;
                true
            }
            (Token::Close(found), span) => self.wrong_bracket(wanted, found, span),
            (Token::End, span) => {
                self.never_closed("the end of the file", span);
                true
            }
            _ => false,
        }
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
}
