//! Words without quotes: `true`, `false` and `null`, and those that other languages have for them.
use super::node::Kind;
use crate::catalogue as kind;
use crate::problem::Faults;
use crate::text::{Span, mask};

/// What a word in the place of a value means; reports it unless JSON has it.
pub(super) fn value_of(word: &str, span: Span, faults: &mut Faults) -> Kind<'static> {
    match word {
        "true" => return Kind::Bool(true),
        "false" => return Kind::Bool(false),
        "null" => return Kind::Null,
        _ => {}
    }
    let json = match word.to_ascii_lowercase().as_str() {
        "true" => Some(("true", Kind::Bool(true))),
        "false" => Some(("false", Kind::Bool(false))),
        "null" | "none" | "undefined" | "nil" => Some(("null", Kind::Null)),
        "nan" | "infinity" | "inf" => {
            faults.at(&kind::NOT_A_NUMBER, span, format!("JSON has no {word}"));
            return Kind::Broken;
        }
        _ => None,
    };
    if let Some((right, value)) = json {
        faults
            .at(&kind::PYTHON_LITERAL, span, format!("`{word}` is not JSON"))
            .help(format!("write {right}"));
        return value;
    }
    if mask::find_secret(word).is_some() {
        faults.hide(span);
    }
    let shown: String = word.chars().take(40).collect();
    faults
        .at(&kind::UNEXPECTED, span, format!("`{shown}` is not a JSON value"))
        .help("text stands in double quotes");
    Kind::Broken
}
