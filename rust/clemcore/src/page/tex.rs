//! Text in LaTeX: every character stands for itself.

/// Bytes that stand for themselves, whatever comes before; those of characters beyond ASCII are among them.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    loop {
        plain[byte as usize] =
            byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'.' | b':' | b'(' | b')');
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    plain
};

/// Appends the text as LaTeX shows it. No character of it begins a command, a group, a comment or a ligature.
pub(super) fn escape(text: &str, out: &mut String) {
    let (mut before, mut start) = (b' ', 0);
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        let is_plain = PLAIN[usize::from(byte)] || (byte == b' ' && before != b' ');
        before = byte;
        if is_plain {
            continue;
        }
        // A byte of ASCII is a whole character, so both cuts are between characters.
        out.push_str(text.get(start..at).unwrap_or_default());
        start = at + 1;
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
    out.push_str(text.get(start..).unwrap_or_default());
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
}
