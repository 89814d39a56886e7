//! Numbers: the JSON grammar, and what else people write.
use super::lexer::{Lexer, Token};
use crate::catalogue as kind;
use crate::text::Span;

/// Python refuses to convert integers with more digits.
const MAX_DIGITS: usize = 4300;

impl<'t> Lexer<'t, '_> {
    /// Reads everything that hangs together with a number, and takes it as one only if JSON does.
    pub(super) fn number(&mut self) -> Token<'t> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '%')))
            .unwrap_or(rest.len());
        let literal = &rest[..length];
        self.at = start + length;
        let span = Span::new(start, self.at);
        match shape(literal) {
            Some(Shape::Int) => self.int(literal, span),
            Some(Shape::Float) => self.float(literal, span),
            None if is_infinity(literal) => {
                self.faults.at(&kind::NOT_A_NUMBER, span, format!("JSON has no {literal}"));
                Token::BadNumber
            }
            None => {
                let shown: String = literal.chars().take(40).collect();
                self.faults
                    .at(&kind::NUMBER_FORM, span, format!("`{shown}` is not how JSON writes a number"))
                    .help(suggestion(literal));
                Token::BadNumber
            }
        }
    }

    fn int(&mut self, literal: &'t str, span: Span) -> Token<'t> {
        if let Ok(number) = literal.parse() {
            return Token::Int(number);
        }
        if literal.len() > MAX_DIGITS {
            let message = format!("an integer of {} digits", literal.trim_start_matches('-').len());
            self.faults.at(&kind::NUMBER_RANGE, span, message).help("as a string it can have any length");
            return Token::BadNumber;
        }
        Token::BigInt(literal)
    }

    fn float(&mut self, literal: &'t str, span: Span) -> Token<'t> {
        match literal.parse::<f64>() {
            Ok(number) if number.is_finite() => Token::Float(number),
            _ => {
                self.faults.at(&kind::NUMBER_RANGE, span, "the number is too large for a double");
                Token::BadNumber
            }
        }
    }
}

enum Shape {
    Int,
    Float,
}

/// Which JSON number a literal is; `None` if it is none.
fn shape(literal: &str) -> Option<Shape> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let body = literal.strip_prefix('-').unwrap_or(literal);
    let whole = digits(body);
    if whole == 0 || (whole > 1 && body.starts_with('0')) {
        return None;
    }
    let mut rest = &body[whole..];
    if rest.is_empty() {
        return Some(Shape::Int);
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return None;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() {
            return None;
        }
        rest = &exponent[digits(exponent)..];
    }
    rest.is_empty().then_some(Shape::Float)
}

fn is_infinity(literal: &str) -> bool {
    let word = literal.trim_start_matches(['-', '+']);
    ["infinity", "inf", "nan"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// What to write instead.
fn suggestion(literal: &str) -> String {
    let plain = literal.trim_start_matches('+').replace('_', "");
    let (sign, body) = plain.strip_prefix('-').map_or(("", plain.as_str()), |body| ("-", body));
    let whole = body.split(['.', 'e', 'E']).next().unwrap_or_default();
    let tail = &body[whole.len()..];
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let tail = if tail == "." { "" } else { tail };
    let guess = format!("{sign}{whole}{tail}");
    if shape(&guess).is_some() && guess.len() <= 40 {
        format!("write {guess}")
    } else {
        "put it into double quotes if it is text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_json() {
        for number in ["0", "-0", "10", "-12", "1.5", "1e5", "1E+5", "0.1e-10"] {
            assert!(shape(number).is_some(), "{number}");
        }
        for other in
            ["", "-", "00", "01", "+1", ".5", "5.", "1e", "1e+", "0x10", "1_000", "1.5k", "2024-01-06"]
        {
            assert!(shape(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_mended_form_is_offered() {
        assert_eq!(suggestion("0300"), "write 300");
        assert_eq!(suggestion("+.5"), "write 0.5");
        assert_eq!(suggestion("5."), "write 5");
        assert_eq!(suggestion("1_000"), "write 1000");
        assert_eq!(suggestion("128k"), "put it into double quotes if it is text");
    }
}
