//! Text in LaTeX: every character stands for itself.

/// How many bytes are looked at together, where all of them stand for themselves.
const TOGETHER: usize = 32;

/// Whether a byte stands for itself, whatever comes before; those of characters beyond ASCII do.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'.' | b':' | b'(' | b')')
}

/// Whether all bytes stand for themselves; `before` is the byte before them. Without an early end, they are compared
/// many at a time.
fn are_plain(before: u8, bytes: &[u8]) -> bool {
    let is_kept = |byte: u8| is_plain(byte) || byte == b' ';
    let are_blank = |one: u8, next: u8| one == b' ' && next == b' ';
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    bytes.iter().fold(true, |all, byte| all & is_kept(*byte))
        && !pairs.fold(false, |any, (one, next)| any | are_blank(*one, *next))
        && (before != b' ' || bytes.first() != Some(&b' '))
}

/// Appends the text as LaTeX shows it. No character of it begins a command, a group, a comment or a ligature.
pub(super) fn escape(text: &str, out: &mut String) {
    let (mut before, mut start) = (b' ', 0);
    for (number, bytes) in text.as_bytes().chunks(TOGETHER).enumerate() {
        let last = bytes.last().copied().unwrap_or(before);
        if !are_plain(before, bytes) {
            for (at, &byte) in bytes.iter().enumerate() {
                if !is_plain(byte) && (byte != b' ' || before == b' ') {
                    // A byte of ASCII is a whole character, so both cuts are between characters.
                    let at = number * TOGETHER + at;
                    out.push_str(text.get(start..at).unwrap_or_default());
                    start = at + 1;
                    push_escaped(byte, out);
                }
                before = byte;
            }
        }
        before = last;
    }
    out.push_str(text.get(start..).unwrap_or_default());
}

fn push_escaped(byte: u8, out: &mut String) {
    match byte {
        b'\\' => out.push_str("\\textbackslash{}"),
        b'{' | b'}' | b'$' | b'&' | b'#' | b'_' | b'%' => out.extend(['\\', char::from(byte)]),
        b'~' => out.push_str("\\textasciitilde{}"),
        b'^' => out.push_str("\\textasciicircum{}"),
        b'<' => out.push_str("\\textless{}"),
        b'>' => out.push_str("\\textgreater{}"),
        b'|' => out.push_str("\\textbar{}"),
        b'"' => out.push_str("\\textquotedbl{}"),
        b'\'' => out.push_str("\\textquotesingle{}"),
        b'`' => out.push_str("\\textasciigrave{}"),
        // Ligatures, and what an optional argument begins and ends with.
        b'-' | b'[' | b']' | b',' | b'?' | b'!' => out.extend(['{', char::from(byte), '}']),
        b'\t' => out.push_str("\\ \\ "),
        // TeX joins spaces, and leaves out those at the beginning of a line.
        b' ' => out.push_str("\\ "),
        b'\n' | b'\r' => out.push(' '),
        _ => out.push(char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    fn escape(text: &str) -> String {
        let mut out = String::new();
        super::escape(text, &mut out);
        out
    }

    #[test]
    fn every_character_of_ascii_stands_for_itself() {
        for code in 0x20..0x7F_u8 {
            let char = char::from(code);
            let escaped = escape(char.encode_utf8(&mut [0; 4]));
            if char.is_ascii_alphanumeric() {
                assert_eq!(escaped, char.to_string());
            }
            // What is special to TeX comes only as part of a command or a group of ours.
            let rest = escaped.trim_start_matches(|first: char| first == '\\' || first.is_ascii_alphabetic());
            assert!(
                !r"\{}$&#_%~^".contains(char) || escaped.starts_with('\\'),
                "{char} is written as {escaped} ({rest})"
            );
        }
        assert_eq!(escape("\\end{document}"), r"\textbackslash{}end\{document\}");
        assert_eq!(escape("a  b--c"), r"a \ b{-}{-}c");
        assert_eq!(escape(" é, 語_ "), r"\ é{,} 語\_ ");
    }

    #[test]
    fn it_does_not_matter_where_a_character_stands() {
        for length in 0..70 {
            let before = "a".repeat(length);
            for (text, wanted) in [("_", r"\_"), ("b  c", r"b \ c"), ("語,", "語{,}"), ("b ", "b ")] {
                assert_eq!(escape(&format!("{before}{text}{before}")), format!("{before}{wanted}{before}"));
            }
        }
    }
}
