//! A JSON value that knows where it stands.
use crate::text::Span;
use crate::value::{Dict, Value};
use std::borrow::Cow;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node<'t> {
    pub(crate) span: Span,
    pub(crate) kind: Kind<'t>,
}

/// What the value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind<'t> {
    Null,
    Bool(bool),
    Int(i64),
    BigInt(&'t str),
    Float(f64),
    String(Cow<'t, str>),
    List(Vec<Node<'t>>),
    Object(Vec<Member<'t>>),
    /// Something that could not be read; its fault is reported.
    Broken,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Member<'t> {
    pub(crate) key: Key<'t>,
    pub(crate) value: Node<'t>,
}

/// A key and its place, quotes included.
#[derive(Debug, Clone)]
pub(crate) struct Key<'t> {
    pub(crate) span: Span,
    pub(crate) text: Cow<'t, str>,
}

impl<'t> Node<'t> {
    /// The keys and values, where the node is an object.
    pub(crate) fn members(&self) -> Option<&[Member<'t>]> {
        match &self.kind {
            Kind::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value of a key, where the node is an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Member<'t>> {
        self.members()?.iter().find(|member| member.key.text == key)
    }

    /// The text, where the node is a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// What the value is, in the words of a report.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::BigInt(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::String(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Object(_) => "an object",
            Kind::Broken => "something unreadable",
        }
    }

    /// A dict as a node that stands nowhere. What JSON cannot hold is broken, so that nothing is said about it.
    pub(crate) fn of_dict(dict: &'t Dict) -> Self {
        let member = |(key, value): (&'t str, &'t Value)| Member {
            key: Key { span: Span::default(), text: Cow::Borrowed(key) },
            value: Self::of(value),
        };
        Self { span: Span::default(), kind: Kind::Object(dict.iter().map(member).collect()) }
    }

    fn of(value: &'t Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(flag) => Kind::Bool(*flag),
            Value::Int(number) => Kind::Int(*number),
            Value::BigInt(digits) => Kind::BigInt(digits),
            Value::Float(number) => Kind::Float(*number),
            Value::String(text) => Kind::String(Cow::Borrowed(text)),
            Value::List(items) => Kind::List(items.iter().map(Self::of).collect()),
            Value::Dict(dict) => return Self::of_dict(dict),
            Value::Opaque(_) => Kind::Broken,
        };
        Self { span: Span::default(), kind }
    }

    /// The value without its place. What was broken is null; such a file is never used.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Broken => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Int(number) => Value::Int(*number),
            Kind::BigInt(digits) => Value::BigInt((*digits).into()),
            Kind::Float(number) => Value::Float(*number),
            Kind::String(text) => Value::String(text.clone().into_owned()),
            Kind::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Kind::Object(members) => Value::Dict(to_dict(members)),
        }
    }
}

/// Keys and values without their places.
fn to_dict(members: &[Member<'_>]) -> Dict {
    let mut dict = Dict::with_capacity(members.len() + 1);
    for member in members {
        dict.insert(&*member.key.text, member.value.to_value());
    }
    dict
}
