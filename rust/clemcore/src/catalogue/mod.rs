//! Every kind of problem there is, as data: the one place where a code, its severity and its explanation are written.
//!
//! A kind that is not here cannot be reported, and a test demands a fixture for each one that is.
mod entries;
mod games;
mod page;
mod rules;
mod syntax;

use crate::problem::Severity;
pub use entries::*;
pub use games::*;
pub use page::{explain, page};
pub use rules::*;
pub use syntax::*;

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// `R010`: what users write into searches; never given to another kind again.
    pub code: &'static str,
    /// `trailing-comma`.
    pub slug: &'static str,
    /// A few words.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means and why it matters, in a paragraph.
    pub explanation: &'static str,
    /// The least text that has it.
    pub bad: &'static str,
    /// The same text fixed.
    pub good: &'static str,
}

/// All kinds of problems with a registry, in the order of their codes.
pub const ALL: &[&Kind] = &[
    &NOT_UTF8,
    &BYTE_ORDER_MARK,
    &EMPTY_FILE,
    &TRAILING_COMMA,
    &COMMENT,
    &QUOTES,
    &UNQUOTED_KEY,
    &PYTHON_LITERAL,
    &NOT_A_NUMBER,
    &NUMBER_FORM,
    &NUMBER_RANGE,
    &MISSING_COMMA,
    &MISSING_COLON,
    &UNTERMINATED_STRING,
    &BAD_ESCAPE,
    &LONE_SURROGATE,
    &CONTROL_CHARACTER,
    &UNCLOSED_BRACKET,
    &MISMATCHED_BRACKET,
    &TRAILING_DATA,
    &TOO_DEEP,
    &UNEXPECTED,
    &MISSING_VALUE,
    &DUPLICATE_KEY,
    &YAML,
    &NOT_A_LIST,
    &NOT_AN_ENTRY,
    &MISSING_FIELD,
    &EMPTY_FIELD,
    &WRONG_TYPE,
    &MISSING_ID,
    &DUPLICATE_ENTRY,
    &UNREACHABLE_ENTRY,
    &UNKNOWN_BACKEND,
    &UNKNOWN_KEY,
    &UNKNOWN_VALUE,
    &NOT_POSITIVE,
    &SAME_NAME,
    &ALIAS_TAKEN,
    &RELEASE_DATE,
    &CONTEXT_SIZE,
    &BAD_PATTERN,
    &LOOSE_PATTERN,
    &FALSE_FLAG,
    &SECRET,
    &CHAT_TEMPLATE,
    &UNREAD_VARIABLE,
    &LANGUAGE,
    &DEPRECATED_KEY,
    &IDLE_ALLOW,
    &UNRUNNABLE,
    &OUT_OF_RANGE,
    &CONTRADICTION,
    &INCOMPLETE,
    &SIZE_CONFLICT,
    &PRICE,
    &PRICE_UNIT,
    &ADDRESS,
    &HUB_ID,
    &WHITESPACE,
    &MISPLACED,
    &ESCAPED_TEXT,
    &NO_EFFECT,
    &MERGE_CONFLICT,
];

/// Kinds with which a model is not loaded, whether its entry comes from a file or from a selector.
const STOPS_MODEL: &[&Kind] = &[
    &WRONG_TYPE,
    &UNKNOWN_VALUE,
    &NOT_POSITIVE,
    &UNRUNNABLE,
    &CONTRADICTION,
    &INCOMPLETE,
    &PRICE,
    &MISPLACED,
];

impl Kind {
    /// Whether a model whose entry has this problem is not loaded.
    #[must_use]
    pub fn stops_model(&self) -> bool {
        STOPS_MODEL.contains(&self)
    }
}

/// The kind of that code or slug.
///
/// ```
/// let kind = clemcore::catalogue::find("R010").unwrap();
/// assert_eq!(kind.slug, "trailing-comma");
/// ```
#[must_use]
pub fn find(code: &str) -> Option<&'static Kind> {
    ALL.iter().chain(GAMES).copied().find(|kind| kind.code.eq_ignore_ascii_case(code) || kind.slug == code)
}
