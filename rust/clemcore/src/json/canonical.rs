//! The canonical form of JSON text: ASCII, names sorted, no blanks, numbers as Python writes them.
//!
//! It is what Python's `json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))` gives, without the values
//! in between. What Python reads beyond JSON is left to it.
use super::MAX_DEPTH;
use super::cursor::plain_end;
use crate::template::text::float;
use std::borrow::Cow;

/// The canonical form of a JSON text; `None` where the text is not JSON, or nested too deeply.
///
/// ```
/// use clemcore::json;
/// let text = br#"{"b": [1.50, -0], "a": "\u00e4/", "b": 2e0}"#;
/// assert_eq!(json::canonical(text).unwrap(), br#"{"a":"\u00e4/","b":2.0}"#);
/// assert_eq!(json::canonical(b"[NaN]"), None);
/// ```
#[must_use]
pub fn canonical(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?.as_bytes();
    let mut writer = Writer { text, at: 0, out: Vec::with_capacity(text.len()) };
    writer.value(0)?;
    (writer.next().is_none() && writer.at == text.len()).then_some(writer.out)
}

/// A member of an object: its name, decoded, and where it stands in the output.
type Member<'t> = (Cow<'t, [u8]>, usize, usize);

struct Writer<'t> {
    text: &'t [u8],
    at: usize,
    out: Vec<u8>,
}

impl<'t> Writer<'t> {
    /// Passes blanks; gives what comes then.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.next()? {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then_some(())?;
        self.at += word.len();
        self.out.extend_from_slice(word);
        Some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        (depth < MAX_DEPTH).then_some(())?;
        self.at += 1;
        self.out.push(b'[');
        if self.next()? == b']' {
            self.at += 1;
            self.out.push(b']');
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            let byte = self.next()?;
            self.at += 1;
            self.out.push(byte);
            match byte {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        (depth < MAX_DEPTH).then_some(())?;
        self.at += 1;
        self.out.push(b'{');
        if self.next()? == b'}' {
            self.at += 1;
            self.out.push(b'}');
            return Some(());
        }
        let first = self.out.len();
        let mut members: Vec<Member<'t>> = Vec::with_capacity(8);
        loop {
            let start = self.out.len();
            (self.next()? == b'"').then_some(())?;
            let begin = self.at + 1;
            self.string()?;
            let name = decoded(&self.text[begin..self.at - 1]);
            self.expect(b':')?;
            self.out.push(b':');
            self.value(depth + 1)?;
            members.push((name, start, self.out.len()));
            let byte = self.next()?;
            self.at += 1;
            match byte {
                b',' => self.out.push(b','),
                b'}' => break,
                _ => return None,
            }
        }
        if !members.is_sorted_by(|(left, ..), (right, ..)| left < right) {
            self.sort(first, members);
        }
        self.out.push(b'}');
        Some(())
    }

    /// Puts the members of an object, which were written from `first` on, into their order; the last of a name counts.
    fn sort(&mut self, first: usize, mut members: Vec<Member<'t>>) {
        members.sort_by(|(left, ..), (right, ..)| left.cmp(right));
        let written = self.out.split_off(first);
        for (index, (name, start, end)) in members.iter().enumerate() {
            if members.get(index + 1).is_some_and(|(next, ..)| next == name) {
                continue;
            }
            if self.out.len() > first {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&written[start - first..end - first]);
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        self.out.push(b'"');
        loop {
            let end = plain_end(self.text, self.at)?;
            push_text(&mut self.out, &self.text[self.at..end]);
            self.at = end;
            match self.text[end] {
                b'"' => break,
                b'\\' => {
                    let (unit, after) = escape(self.text, end)?;
                    push_unit(&mut self.out, unit);
                    self.at = after;
                }
                _ => return None,
            }
        }
        self.at += 1;
        self.out.push(b'"');
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let rest = &self.text[start..];
        let digits =
            |from: usize| rest[from.min(rest.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        let minus = usize::from(rest[0] == b'-');
        let whole = digits(minus);
        (whole == 1 || whole > 1 && rest[minus] != b'0').then_some(())?;
        let mut end = minus + whole;
        let mut is_float = false;
        if rest.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            (fraction > 0).then_some(())?;
            end += 1 + fraction;
            is_float = true;
        }
        if matches!(rest.get(end), Some(b'e' | b'E')) {
            end += 1 + usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end);
            (exponent > 0).then_some(())?;
            end += exponent;
            is_float = true;
        }
        let number = &rest[..end];
        self.at += end;
        if is_float {
            let mut written = String::new();
            float::json(std::str::from_utf8(number).ok()?.parse().ok()?, &mut written);
            self.out.extend_from_slice(written.as_bytes());
        } else if number == b"-0" {
            self.out.push(b'0');
        } else {
            self.out.extend_from_slice(number);
        }
        Some(())
    }
}

/// Reads the escape at `at`; gives its UTF-16 unit, and where it ends.
fn escape(text: &[u8], at: usize) -> Option<(u16, usize)> {
    let unit = match text.get(at + 1)? {
        byte @ (b'"' | b'\\' | b'/') => u16::from(*byte),
        b'b' => 8,
        b'f' => 12,
        b'n' => 10,
        b'r' => 13,
        b't' => 9,
        b'u' => {
            let digits = text.get(at + 2..at + 6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
            return Some((u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, at + 6));
        }
        _ => return None,
    };
    Some((unit, at + 2))
}

/// Writes text without quotes, backslashes and control characters; only ASCII stays as it is.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    if text.is_ascii() && !text.contains(&0x7F) {
        out.extend_from_slice(text);
        return;
    }
    for character in String::from_utf8_lossy(text).chars() {
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            push_unit(out, *unit);
        }
    }
}

fn push_unit(out: &mut Vec<u8>, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match unit {
        0x22 => b'"',
        0x5C => b'\\',
        8 => b'b',
        12 => b'f',
        10 => b'n',
        13 => b'r',
        9 => b't',
        0x20..=0x7E => {
            out.push(unit.to_le_bytes()[0]);
            return;
        }
        _ => {
            out.extend_from_slice(b"\\u");
            out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(unit >> shift & 15)]));
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// The characters of a string in UTF-8, halves of pairs included: the order of the bytes is that of the characters.
fn decoded(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        let Some((unit, mut after)) = (byte == b'\\').then(|| escape(raw, at)).flatten() else {
            bytes.push(byte);
            at += 1;
            continue;
        };
        let mut code = u32::from(unit);
        if (0xD800..0xDC00).contains(&unit)
            && raw.get(after..).is_some_and(|rest| rest.starts_with(b"\\u"))
            && let Some((low @ 0xDC00..0xE000, end)) = escape(raw, after)
        {
            code = 0x1_0000 + (u32::from(unit & 0x3FF) << 10) + u32::from(low & 0x3FF);
            after = end;
        }
        push_code(&mut bytes, code);
        at = after;
    }
    Cow::Owned(bytes)
}

/// Writes a code point as UTF-8 would, also one that UTF-8 does not have.
fn push_code(bytes: &mut Vec<u8>, code: u32) {
    let part = |shift: u32, mask: u32, mark: u8| (code >> shift & mask).to_le_bytes()[0] | mark;
    match code {
        0..0x80 => bytes.push(part(0, 0x7F, 0)),
        0x80..0x800 => bytes.extend([part(6, 0x1F, 0xC0), part(0, 0x3F, 0x80)]),
        0x800..0x1_0000 => bytes.extend([part(12, 0x0F, 0xE0), part(6, 0x3F, 0x80), part(0, 0x3F, 0x80)]),
        _ => {
            bytes.extend([part(18, 7, 0xF0), part(12, 0x3F, 0x80), part(6, 0x3F, 0x80), part(0, 0x3F, 0x80)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    fn form(text: &str) -> Option<String> {
        canonical(text.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn names_are_sorted_by_their_characters_and_the_last_of_a_name_counts() {
        assert_eq!(form(r#" {"b":1, "a" :{}, "b":[ ]} "#).as_deref(), Some(r#"{"a":{},"b":[]}"#));
        // The half of a pair comes before U+FF5E, and a whole pair behind it.
        let text = r#"{"\ud83d\ude00":3,"～":2,"\ud83d":1,"\u0061":0}"#;
        assert_eq!(form(text).as_deref(), Some(r#"{"a":0,"\ud83d":1,"\uff5e":2,"\ud83d\ude00":3}"#));
    }

    #[test]
    fn text_is_ascii_and_escaped_in_one_way() {
        let text = "\"ä😀\\/\\u0041\\u00E4\\u000a\\u0000\\b\\u0022\u{7f}\"";
        assert_eq!(form(text).as_deref(), Some(r#""\u00e4\ud83d\ude00/A\u00e4\n\u0000\b\"\u007f""#));
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        let text = "[1, -0, -0.0, 1.50, 1E2, 1e16, 1e-5, 0.0001, 1e999, 123456789012345678901234567890]";
        let wanted = "[1,0,-0.0,1.5,100.0,1e+16,1e-05,0.0001,Infinity,123456789012345678901234567890]";
        assert_eq!(form(text).as_deref(), Some(wanted));
    }

    #[test]
    fn what_is_not_json_has_no_form() {
        let texts =
            ["", "{", "[1,]", "[01]", "[1.]", "[.5]", "[1e]", "[-]", "nul", "[NaN]", "{\"a\" 1}", "{a:1}"];
        for text in texts.into_iter().chain(["\"\\x\"", "\"\\ud8\"", "\"\n\"", "\"a", "[] []", "{,}", "'a'"])
        {
            assert_eq!(form(text), None, "{text}");
        }
        assert_eq!(canonical(b"\"\xff\""), None);
        assert_eq!(form(&"[".repeat(100_000)), None);
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(form(&deep), Some(deep));
    }
}
