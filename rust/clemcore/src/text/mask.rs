//! Secrets: what looks like one, and how a report shows it (not at all).
//!
//! A report goes into CI logs. So every text that a report takes from a file passes through [`mask_text`], beside the
//! exact spans that the parser hides because their key says what they are.

/// How known providers begin their keys, with the least length of the rest.
const PREFIXES: [(&str, usize); 9] = [
    ("sk-", 20),
    ("hf_", 20),
    ("gsk_", 20),
    ("ghp_", 20),
    ("xai-", 20),
    ("pplx-", 20),
    ("AIza", 30),
    ("xoxb-", 20),
    ("AKIA", 16),
];

/// Names under which people keep secrets, folded to lower case with `_`.
const NAMES: [&str; 17] = [
    "api_key",
    "apikey",
    "api_token",
    "access_token",
    "auth_token",
    "bearer_token",
    "refresh_token",
    "hf_token",
    "token",
    "password",
    "passwd",
    "secret",
    "client_secret",
    "secret_key",
    "private_key",
    "access_key",
    "authorization",
];

/// Whether a key of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    // Most keys end in none of these; look closer only where it can be.
    let folded = super::similar::folded(name);
    NAMES.contains(&folded.as_str())
        || ["_api_key", "_password", "_secret", "_apikey"].iter().any(|end| folded.ends_with(end))
}

/// Whether the value under a secret name is a real one, not a blank or a reference to the environment.
pub(crate) fn is_real_secret(value: &str) -> bool {
    let value = value.trim();
    !(value.is_empty() || value.starts_with(['$', '<', '{']) || value.eq_ignore_ascii_case("empty"))
}

/// Byte range of the first thing in `text` that looks like a key of a known provider.
pub(crate) fn find_secret(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some((start, length)) = next_candidate(text, from) {
        let rest = &text[start + length.0..];
        let run =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(rest.len());
        let body = &rest[..run];
        let mixed = body.bytes().any(|b| b.is_ascii_digit()) && body.bytes().any(|b| b.is_ascii_alphabetic());
        if run >= length.1 && mixed {
            return Some((start, start + length.0 + run));
        }
        from = start + length.0;
    }
    None
}

/// The next known prefix at the start of a word: its offset, its length and the least length of the rest.
fn next_candidate(text: &str, from: usize) -> Option<(usize, (usize, usize))> {
    let mut best: Option<(usize, (usize, usize))> = None;
    for (prefix, least) in PREFIXES {
        let mut at = from;
        while let Some(found) = text[at..].find(prefix) {
            let start = at + found;
            let word =
                text[..start].bytes().next_back().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !word {
                if best.is_none_or(|(other, _)| start < other) {
                    best = Some((start, (prefix.len(), least)));
                }
                break;
            }
            at = start + prefix.len();
        }
    }
    best
}

/// What a message can show of a secret: its beginning, without quotes.
pub(crate) fn shown(secret: &str) -> &str {
    let bare = secret.trim_matches(['"', '\'', '`']);
    let end = bare.char_indices().nth(40).map_or(bare.len(), |(at, _)| at);
    // An empty text would be found everywhere.
    if end == 0 { secret } else { &bare[..end] }
}

/// `text` with everything that looks like a secret replaced.
pub(crate) fn mask_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, end)) = find_secret(rest) {
        shown.push_str(&rest[..start]);
        shown.extend(std::iter::repeat_n('*', rest[start..end].chars().count()));
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_name() {
        for name in ["api_key", "API-Key", "openai_api_key", "token", "Password"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["max_tokens", "bos_token", "requires_api_key_file", "eos_to_cull", "key", "tokenizer"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn values_are_known_by_their_beginning() {
        let secret = "sk-proj-abcdefghij0123456789";
        assert_eq!(find_secret(secret), Some((0, secret.len())));
        assert_eq!(
            mask_text(&format!("key {secret}, more")),
            format!("key {}, more", "*".repeat(secret.len()))
        );
        for harmless in
            ["sk-short1", "task-force-0123456789-abcdefghij", "hf_local", "sk-abcdefghijklmnopqrstuvwxyz"]
        {
            assert_eq!(find_secret(harmless), None, "{harmless}");
        }
    }
}
