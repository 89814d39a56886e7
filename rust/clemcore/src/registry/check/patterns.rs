//! Regular expressions of Python: what certainly does not compile, and what matches more than it shows.
//!
//! No Rust library reads Python's syntax, so only faults are reported that are faults there for certain.

/// Why the pattern does not compile; `None` where it does, as far as can be told.
pub(super) fn fault(pattern: &str) -> Option<&'static str> {
    let mut scan = Scan { rest: pattern.chars().collect::<Vec<_>>(), at: 0, open: 0, repeatable: false };
    while scan.at < scan.rest.len() {
        if let Some(fault) = scan.step() {
            return Some(fault);
        }
    }
    (scan.open > 0).then_some("a ( is never closed")
}

struct Scan {
    rest: Vec<char>,
    at: usize,
    /// Open groups.
    open: usize,
    /// Whether there is something before that can be repeated.
    repeatable: bool,
}

impl Scan {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    /// Reads one element of the pattern.
    fn step(&mut self) -> Option<&'static str> {
        let character = self.peek(0)?;
        self.at += 1;
        match character {
            '\\' => return self.escape(),
            '[' => return self.set(),
            '(' => return self.group(),
            ')' => {
                if self.open == 0 {
                    return Some("a ) closes nothing");
                }
                self.open -= 1;
                self.repeatable = true;
            }
            '|' => self.repeatable = false,
            '*' | '+' | '?' => {
                if !self.repeatable {
                    return Some("there is nothing to repeat before *, + or ?");
                }
                // A second sign makes it lazy or possessive; a third repeats nothing.
                if matches!(self.peek(0), Some('?' | '+')) {
                    self.at += 1;
                }
                self.repeatable = false;
            }
            // A bare ^ can be repeated in some versions of Python and not in others: say nothing.
            _ => self.repeatable = true,
        }
        None
    }

    fn escape(&mut self) -> Option<&'static str> {
        let Some(next) = self.peek(0) else { return Some("it ends with a backslash") };
        self.at += 1;
        self.repeatable = true;
        let known = "AbBdDsSwWZzafnrtvxuUN0123456789";
        (next.is_ascii_alphabetic() && !known.contains(next)).then_some("an escape that Python does not know")
    }

    fn set(&mut self) -> Option<&'static str> {
        if self.peek(0) == Some('^') {
            self.at += 1;
        }
        // A ] in the first place stands for itself.
        let first = self.at;
        while let Some(character) = self.peek(0) {
            self.at += 1;
            match character {
                '\\' => self.at += 1,
                ']' if self.at - 1 > first => {
                    self.repeatable = true;
                    return None;
                }
                _ => {}
            }
        }
        Some("a [ is never closed")
    }

    fn group(&mut self) -> Option<&'static str> {
        self.open += 1;
        self.repeatable = false;
        if self.peek(0) == Some('?') {
            self.at += 1;
            match self.peek(0) {
                None => return Some("a ( is never closed"),
                // A comment ends at the next ).
                Some('#') => {
                    while self.peek(0).is_some_and(|c| c != ')') {
                        self.at += 1;
                    }
                }
                // Flags, names, lookaround, conditions: pass over the marks, leave the rest to Python.
                Some(_) => {
                    while self.peek(0).is_some_and(|c| !matches!(c, ')' | '(' | '|' | '[' | '\\' | '*' | '+'))
                    {
                        if matches!(self.peek(0), Some(':' | '=' | '!' | '>')) {
                            self.at += 1;
                            break;
                        }
                        self.at += 1;
                    }
                }
            }
            // What follows a mark such as (?P=name is not worth knowing; never complain about it.
            self.repeatable = true;
        }
        None
    }
}

/// The text that an escaped one stands for; `None` for a text without escapes of punctuation, or with others.
pub(super) fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(letters.next().filter(char::is_ascii_punctuation)?),
            _ => plain.push(letter),
        }
    }
    (plain != text).then_some(plain)
}

/// The pattern that matches the marker that it shows.
pub(super) fn tightened(pattern: &str) -> Option<String> {
    if let Some((start, end)) = bare_token(pattern) {
        return Some(format!("{}{}{}", &pattern[..start], escape(&pattern[start..end]), &pattern[end..]));
    }
    is_bare_set(pattern).then(|| escape(pattern))
}

/// Why the pattern matches more than the text that it shows, and what to write instead.
pub(super) fn looseness(pattern: &str) -> Option<(&'static str, String)> {
    if let Some(tight) = tightened(pattern) {
        let why = if is_bare_set(pattern) {
            "matches any one letter of the marker in brackets"
        } else {
            "takes the | of its marker for \"or\""
        };
        return Some((why, suggestion(&tight)));
    }
    if matches_empty(pattern) {
        return Some((
            "matches the empty text, so it matches everywhere",
            "leave out the empty alternative".to_owned(),
        ));
    }
    None
}

fn suggestion(escaped: &str) -> String {
    format!("write {}", serde_json::Value::from(escaped))
}

/// Where a special token such as `<|im_end|>` stands without backslashes.
fn bare_token(pattern: &str) -> Option<(usize, usize)> {
    let start = pattern.match_indices("<|").map(|(at, _)| at).find(|at| {
        let inner = &pattern[at + 2..];
        inner.find("|>").is_some_and(|end| {
            end > 0 && inner[..end].chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '))
        })
    })?;
    let length = pattern[start..].find("|>")? + 2;
    Some((start, start + length))
}

/// Whether the pattern is nothing but a marker in square brackets, as `[EOS]` or `[/INST]`.
fn is_bare_set(pattern: &str) -> bool {
    let inner = pattern.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| {
        inner.len() > 1 && inner.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '_' | '/'))
    })
}

/// Whether an alternative of the pattern is empty, outside of groups and sets.
fn matches_empty(pattern: &str) -> bool {
    if pattern == ".*" || pattern == ".*?" {
        return true;
    }
    let (mut depth, mut in_set, mut escaped) = (0_usize, false, false);
    let mut empty = true;
    let mut seen_bar = false;
    for character in pattern.chars() {
        if escaped {
            escaped = false;
            continue;
        }
        match character {
            '\\' => escaped = true,
            '[' if !in_set => in_set = true,
            ']' => in_set = false,
            '(' if !in_set => depth += 1,
            ')' if !in_set => depth = depth.saturating_sub(1),
            '|' if !in_set && depth == 0 => {
                if empty {
                    return true;
                }
                (empty, seen_bar) = (true, true);
                continue;
            }
            _ => {}
        }
        empty = false;
    }
    seen_bar && empty
}

/// The pattern that matches `text` itself, as Python's `re.escape` would give it for markers.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if "\\.^$*+?{}[]|()".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certain_faults_are_reported() {
        for pattern in [
            "",
            "</s>",
            r"<\|im_end\|>",
            "a{",
            "[]abc]",
            "[[]",
            "[^]]x",
            "(?P<n>a)(?P=n)",
            "(?=a)*b",
            r"\Z",
            "a|b|",
            "(?i)a",
            "a+?",
            "a*+",
            "(?:a|b)*",
            "<end_of_turn>\n*<eos>",
            r"<\|end\|>(<\|x\|>y to=z)*<\|w\|>",
            "^*",
            "(?<!a)b",
            "(?(1)a|b)",
            "(?#*)a",
        ] {
            assert_eq!(fault(pattern), None, "{pattern}");
        }
        for pattern in ["(", "a)", "[a", "*a", "a|*", "(+)", r"a\", r"\q", "a**", "(?", "[]"] {
            assert!(fault(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn markers_without_backslashes_are_loose() {
        let help = |pattern| looseness(pattern).map(|(_, help)| help);
        assert_eq!(help("<|im_end|>").as_deref(), Some(r#"write "<\\|im_end\\|>""#));
        assert_eq!(help("[EOS]").as_deref(), Some(r#"write "\\[EOS\\]""#));
        assert!(help("</s>|").is_some());
        assert!(help(".*").is_some());
        for tight in
            ["", "</s>", r"<\|im_end\|>", "a|b", "(a|)b", "[|]", r"\|", r"\[EOS\]", "<｜end▁of▁sentence｜>"]
        {
            assert_eq!(help(tight), None, "{tight}");
        }
    }
}
