//! One line of JSON as Python's `json.dumps(value, ensure_ascii=False)` writes it, part by part, and what readers bear.
use super::cursor::plain_end;
use crate::template::text::float;

/// Appends a string as JSON, escaped only where JSON demands it.
///
/// ```
/// let mut out = Vec::new();
/// clemcore::json::push_text(&mut out, "a \"b\"\n\u{1}ä");
/// assert_eq!(String::from_utf8(out).unwrap(), r#""a \"b\"\n\u0001ä""#);
/// ```
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut at = 0;
    while let Some(end) = plain_end(bytes, at) {
        out.extend_from_slice(&bytes[at..end]);
        let byte = bytes[end];
        let short = match byte {
            b'"' | b'\\' => byte,
            8 => b'b',
            9 => b't',
            10 => b'n',
            12 => b'f',
            13 => b'r',
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                at = end + 1;
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
        at = end + 1;
    }
    out.extend_from_slice(&bytes[at..]);
    out.push(b'"');
}

/// Appends a number with a point; false, and nothing is appended, where JSON has no such number.
#[must_use]
pub fn push_number(out: &mut Vec<u8>, number: f64) -> bool {
    if number.is_finite() {
        let mut written = String::new();
        float::repr(number, &mut written);
        out.extend_from_slice(written.as_bytes());
    }
    number.is_finite()
}

/// Whether a reader of JSON may fail at a text: it is nested deeper than `levels`, or a number has `digits` digits.
///
/// ```
/// let is_hard = |text: &[u8]| clemcore::json::is_hard_to_read(text, 3, 5);
/// assert!(is_hard(b"[[[[]]]]") && is_hard(b"[12345]"));
/// assert!(!is_hard(br#"["[[[[[[[ \" 12345", [{}], 1234]"#));
/// ```
#[must_use]
pub fn is_hard_to_read(text: &[u8], levels: usize, digits: usize) -> bool {
    let (mut depth, mut run, mut at) = (0_usize, 0, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        match byte {
            b'"' => at = string_end(text, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > levels || run >= digits {
            return true;
        }
    }
    false
}

/// How many bytes two texts have in common from their beginnings on.
///
/// ```
/// assert_eq!(clemcore::json::common_length(b"abcd", b"abce"), 3);
/// ```
#[must_use]
pub fn common_length(left: &[u8], right: &[u8]) -> usize {
    const STRETCH: usize = 64;
    let equal = left.chunks(STRETCH).zip(right.chunks(STRETCH)).take_while(|(left, right)| left == right);
    let at = (equal.count() * STRETCH).min(left.len()).min(right.len());
    at + left[at..].iter().zip(&right[at..]).take_while(|(left, right)| left == right).count()
}

/// The places of the parts of the list or the object that begins at a place of a JSON text: where each item begins and
/// ends, or each name and each value, one after another.
///
/// ```
/// assert_eq!(clemcore::json::parts(br#"[1, ["a,]", {}]]"#, 0), [1, 2, 4, 15]);
/// assert_eq!(clemcore::json::parts(br#"{"a": {"b": 1}}"#, 6), [7, 10, 12, 13]);
/// ```
#[must_use]
pub fn parts(text: &[u8], mut at: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut depth, mut begin, mut end) = (0_usize, None, at);
    while let Some(byte) = text.get(at) {
        let start = at;
        at += 1;
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            b',' | b':' if depth == 1 => {
                found.extend(begin.take().into_iter().flat_map(|begin| [begin, end]));
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(text, at),
            _ => {}
        }
        if depth == 0 {
            found.extend(begin.into_iter().flat_map(|begin| [begin, end]));
            break;
        }
        if depth > 1 || !matches!(byte, b'[' | b'{') {
            begin.get_or_insert(start);
            end = at;
        }
    }
    found
}

/// Where the string ends that begins before `at`.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(end) = plain_end(text, at) {
        at = end + 1;
        match text[end] {
            b'"' => return at,
            b'\\' => at += 1,
            _ => {}
        }
    }
    text.len()
}
