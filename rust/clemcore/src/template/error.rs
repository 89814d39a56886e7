//! What can go wrong in a template: one error type for compiling and for rendering.
//!
//! The kinds follow the exception classes of jinja2 and Python, because a caller compares "error" with "error" and
//! the text of `raise_exception` exactly. Positions are byte offsets into the normalised source; [`super::Template`]
//! turns them into line, column and excerpt.

use std::fmt;

/// The class of a template error, named after the exception that jinja2 or Python would raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The template text does not parse (`TemplateSyntaxError`, `TemplateAssertionError`, `SyntaxError`).
    Syntax,
    /// The template called `raise_exception`; the message is exactly its argument.
    Raised,
    /// An undefined value was used (`UndefinedError`).
    Undefined,
    /// The sandbox refused an access (`SecurityError`).
    Security,
    /// Any other `TemplateRuntimeError`.
    Runtime,
    /// `TypeError`.
    Type,
    /// `ValueError`, `LookupError` and their kin.
    Value,
    /// `ZeroDivisionError`.
    ZeroDivision,
    /// `OverflowError`.
    Overflow,
    /// `RecursionError`.
    Recursion,
    /// A bound of this engine was reached (steps, time, memory, output size, nesting).
    Limit,
    /// The caller's watch paused the render.
    Paused,
    /// The caller's watch was interrupted.
    Interrupted,
    /// This engine does not cover what the template or its data asks for; jinja2 must render it.
    Unsupported,
}

/// An error of compiling or rendering, with the place in the template where it arose.
#[derive(Clone, Debug)]
pub struct Error {
    /// The class of the error.
    pub kind: ErrorKind,
    /// The text, without position.
    pub message: String,
    /// Byte offset into the normalised template source, where known.
    pub offset: Option<u32>,
}

/// Errors are boxed: the happy path moves one pointer.
pub type Result<T> = std::result::Result<T, Box<Error>>;

impl Error {
    /// An error without a position yet.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { kind, message: message.into(), offset: None })
    }

    /// The same error at `offset`, unless a more exact place is already known.
    pub(crate) fn at(mut self: Box<Self>, offset: u32) -> Box<Self> {
        self.locate(offset);
        self
    }

    /// Sets the place, unless a more exact one is already known.
    #[cold]
    pub(crate) fn locate(&mut self, offset: u32) {
        self.offset.get_or_insert(offset);
    }
}

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $(pub(crate) fn $name(message: impl Into<String>) -> Box<Self> {
                Self::new(ErrorKind::$kind, message)
            })*
        }
    };
}

constructors! {
    syntax => Syntax, undefined => Undefined, security => Security, runtime => Runtime, type_error => Type,
    value => Value, overflow => Overflow, recursion => Recursion, limit => Limit, unsupported => Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
