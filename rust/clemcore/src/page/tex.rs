//! Text in LaTeX: every character stands for itself.
use std::borrow::Cow;

/// The text as LaTeX shows it. No character of it begins a command, a group, a comment or a ligature.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'.' | b':' | b'(' | b')'))
        && !text.contains("  ")
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => {
                out.push('\\');
                out.push(char);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            '\'' => out.push_str("\\textquotesingle{}"),
            '`' => out.push_str("\\textasciigrave{}"),
            // Ligatures, and what an optional argument begins and ends with.
            '-' | '[' | ']' | ',' | '?' | '!' => out.extend(['{', char, '}']),
            '\t' => out.push_str("\\ \\ "),
            // TeX joins spaces, and leaves out those at the beginning of a line.
            ' ' if before == ' ' => out.push_str("\\ "),
            '\n' | '\r' => out.push(' '),
            _ => out.push(char),
        }
        before = char;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_ascii_stands_for_itself() {
        for code in 0x20..0x7F_u8 {
            let char = char::from(code);
            let escaped = escape(char.encode_utf8(&mut [0; 4])).into_owned();
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
    }
}
