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

/// Ends of such names.
const ENDS: [&str; 4] = ["_api_key", "_password", "_secret", "_apikey"];

/// Whether a key of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.trim().as_bytes();
    NAMES.iter().any(|known| name.len() == known.len() && ends_folded(name, known))
        || ENDS.iter().any(|end| ends_folded(name, end))
}

/// Whether `name` ends with `end`, in any case and with `-` or a blank for `_`.
///
/// Asked of every key of a registry, so it makes no new text.
fn ends_folded(name: &[u8], end: &str) -> bool {
    name.len() >= end.len()
        && name[name.len() - end.len()..].iter().zip(end.bytes()).all(|(byte, wanted)| match byte {
            b'-' | b' ' => wanted == b'_',
            other => other.to_ascii_lowercase() == wanted,
        })
}

/// Whether the value under a secret name is a real one, not a blank or a reference to the environment.
pub(crate) fn is_real_secret(value: &str) -> bool {
    let value = value.trim();
    !(value.is_empty() || value.starts_with(['$', '<', '{']) || value.eq_ignore_ascii_case("empty"))
}

/// Byte range of the first thing in `text` that looks like a key of a known provider.
pub(crate) fn find_secret(text: &str) -> Option<(usize, usize)> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let bytes = text.as_bytes();
    let mut at = 0;
    // Most texts are too short.
    while at + SHORTEST <= bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
        if length >= SHORTEST
            && let Some(start) = secret_in(&bytes[at..at + length])
        {
            return Some((at + start, at + length));
        }
        at += length + 1;
    }
    None
}

/// Whether a text has a run of letters, digits, `-` and `_` that is long enough for a secret and looks a little like one.
///
/// Asked of every text of a registry: such a run covers one of every [`SHORTEST`] places, so only those are looked at.
/// In the text of a JSON string it may be asked before escapes are read, as long as none of them stands for a letter.
#[inline]
pub(crate) fn may_hold_secret(text: &str) -> bool {
    text.len() >= SHORTEST && looks_like_secret(text.as_bytes())
}

/// Of which bytes a secret may consist.
const PARTS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        byte += 1;
    }
    table
};

fn looks_like_secret(bytes: &[u8]) -> bool {
    let is_part = |byte: &&u8| PARTS[usize::from(**byte)];
    let mut at = SHORTEST - 1;
    while at < bytes.len() {
        let (before, after) = bytes.split_at(at);
        let end = at + after.iter().take_while(is_part).count();
        if end > at {
            let start = at - before.iter().rev().take_while(is_part).count();
            let run = &bytes[start..end];
            if run.len() >= SHORTEST && run.iter().any(u8::is_ascii_digit) && has_prefix(run) {
                return true;
            }
        }
        at = end.max(at) + SHORTEST;
    }
    false
}

/// Whether the beginning of a known key stands anywhere in a run.
fn has_prefix(run: &[u8]) -> bool {
    let begins = |rest: &[u8]| PREFIXES.iter().any(|(prefix, _)| rest.starts_with(prefix.as_bytes()));
    let firsts = |byte: u8| matches!(byte, b's' | b'h' | b'g' | b'x' | b'p' | b'A');
    (0..run.len()).any(|at| firsts(run[at]) && begins(&run[at..]))
}

/// No secret is shorter.
const SHORTEST: usize = 20;

/// Where a secret begins in a run of letters, digits, `-` and `_`; it ends with the run.
fn secret_in(run: &[u8]) -> Option<usize> {
    // Names are words; keys mix letters and digits.
    let last_digit = run.iter().rposition(u8::is_ascii_digit)?;
    let last_letter = run.iter().rposition(u8::is_ascii_alphabetic)?;
    let begins = |start: &usize| {
        if *start > 0 && run[start - 1] != b'-' {
            return false;
        }
        let prefix = PREFIXES.iter().find(|(prefix, _)| run[*start..].starts_with(prefix.as_bytes()));
        prefix.is_some_and(|(prefix, least)| {
            let body = start + prefix.len();
            run.len() - body >= *least && last_digit >= body && last_letter >= body
        })
    };
    (0..run.len()).find(begins)
}

/// What a message can show of a secret: its beginning, without quotes.
pub(crate) fn shown(secret: &str) -> &str {
    let bare = secret.trim_matches(['"', '\'', '`']);
    let end = bare.char_indices().nth(40).map_or(bare.len(), |(at, _)| at);
    // An empty text would be found everywhere.
    if end == 0 { secret } else { &bare[..end] }
}

/// Byte range of the login in the first address of `text` that has one, as `me:password` in `http://me:password@host`.
fn find_login(text: &str) -> Option<(usize, usize)> {
    // In JSON, a slash can be written with an escape.
    ["://", ":\\/\\/"].iter().find_map(|mark| {
        text.match_indices(mark).find_map(|(at, _)| {
            let start = at + mark.len();
            let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '\\' | '?' | '#' | '"' | '\'' | '`');
            let length = text[start..].find(ends).unwrap_or(text.len() - start);
            let login = text[start..start + length].rfind('@').filter(|login| *login > 0)?;
            Some((start, start + login))
        })
    })
}

/// `text` with everything that looks like a secret replaced.
pub(crate) fn mask_text(text: &str) -> String {
    masked(&masked(text, find_login), find_secret)
}

fn masked(text: &str, find: fn(&str) -> Option<(usize, usize)>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, end)) = find(rest) {
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
    fn no_secret_escapes_the_quick_look() {
        for before in 0..50 {
            for length in 20..60 {
                for (prefix, _) in PREFIXES {
                    let text = format!("{}{prefix}{}1/x", "a/".repeat(before), "k".repeat(length));
                    assert!(may_hold_secret(&text), "{text}");
                }
            }
            for length in 0..20 {
                assert!(!may_hold_secret(&format!("{}{}/x", ".".repeat(before), "k".repeat(length))));
            }
        }
    }

    #[test]
    fn logins_in_addresses_are_hidden() {
        for (text, shown) in [
            ("at http://me:pw@host/v1, now", "at http://*****@host/v1, now"),
            (r#""http:\/\/me:pä@host:80\/v1""#, r#""http:\/\/*****@host:80\/v1""#),
            ("https://token@a/b https://c:d@e", "https://*****@a/b https://***@e"),
            ("https://me:p@ss@host", "https://*******@host"),
            ("https://host/@name?x=a@b", "https://host/@name?x=a@b"),
        ] {
            assert_eq!(mask_text(text), shown);
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
