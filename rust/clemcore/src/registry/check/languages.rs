//! Codes of languages: well-formed after BCP 47, and none that is known to be old or wrong.
use super::Context;
use super::entry::Name;
use crate::catalogue as kind;
use crate::fix::Remedy;
use crate::json::{Kind, Node};

/// What people write, and the code that is meant: withdrawn codes, ISO 639-2 where 639-1 has a shorter one, country
/// codes that are no language, and names.
const INSTEAD: &[(&str, &str)] = &[
    ("iw", "he"),
    ("in", "id"),
    ("ji", "yi"),
    ("jw", "jv"),
    ("mo", "ro"),
    ("sh", "sr-Latn"),
    ("cz", "cs"),
    ("cn", "zh"),
    ("dk", "da"),
    ("gr", "el"),
    ("jp", "ja"),
    ("ua", "uk"),
    ("vn", "vi"),
    ("eng", "en"),
    ("deu", "de"),
    ("ger", "de"),
    ("fra", "fr"),
    ("fre", "fr"),
    ("spa", "es"),
    ("ita", "it"),
    ("por", "pt"),
    ("nld", "nl"),
    ("dut", "nl"),
    ("rus", "ru"),
    ("zho", "zh"),
    ("chi", "zh"),
    ("jpn", "ja"),
    ("kor", "ko"),
    ("ara", "ar"),
    ("hin", "hi"),
    ("tur", "tr"),
    ("pol", "pl"),
    ("ukr", "uk"),
    ("vie", "vi"),
    ("english", "en"),
    ("german", "de"),
    ("french", "fr"),
    ("spanish", "es"),
    ("italian", "it"),
    ("portuguese", "pt"),
    ("dutch", "nl"),
    ("russian", "ru"),
    ("chinese", "zh"),
    ("japanese", "ja"),
    ("korean", "ko"),
    ("arabic", "ar"),
    ("hindi", "hi"),
    ("turkish", "tr"),
    ("polish", "pl"),
];

/// How many of [`INSTEAD`] are withdrawn codes that mean exactly what their successor means.
const SUCCEEDED: usize = 5;

/// Of the codes of two letters those that are in [`INSTEAD`], by their first letter, as bits.
const NOT_TODAY: [u32; 26] = {
    let mut table = [0; 26];
    let mut at = 0;
    while at < INSTEAD.len() {
        if let [first, second] = INSTEAD[at].0.as_bytes() {
            table[(*first - b'a') as usize] |= 1 << (*second - b'a');
        }
        at += 1;
    }
    table
};

/// Whether the text of a JSON list holds nothing but codes of two letters about which nothing is to be said.
///
/// Most lists do; others may be right as well.
pub(in crate::registry) fn are_plain(list: &[u8]) -> bool {
    let Some(([b'['], [items @ .., b']'])) = list.split_first_chunk() else { return false };
    items.split(|byte| *byte == b',').all(|item| match item.trim_ascii() {
        [b'"', first @ b'a'..=b'z', second @ b'a'..=b'z', b'"'] => {
            NOT_TODAY[usize::from(first - b'a')] & (1 << (second - b'a')) == 0
        }
        _ => false,
    })
}

/// Checks the codes of a list.
pub(super) fn check(node: &Node<'_>, name: Name, context: &mut Context<'_>) {
    let Kind::List(items) = &node.kind else { return };
    for (at, item) in items.iter().enumerate() {
        let Some(code) = item.as_str().filter(|code| !is_right(code)) else { continue };
        if context.tallies(&kind::LANGUAGE) {
            continue;
        }
        let (message, meant) = fault(code);
        let help = meant.as_ref().map_or_else(
            || "write a code such as en, pt-BR or zh-Hant".to_owned(),
            |meant| format!("write \"{meant}\""),
        );
        let fault =
            context.at(&kind::LANGUAGE, item.span, message).field(format_args!("{name}[{at}]")).help(help);
        if let Some(meant) = meant.filter(|_| is_certain(code)) {
            fault.remedy(Some(Remedy::Write(item.span, format!("\"{meant}\""))));
        }
    }
}

/// Whether only one code can be meant.
fn is_certain(code: &str) -> bool {
    INSTEAD[..SUCCEEDED].iter().any(|(old, _)| old == &code)
        || (code.contains('_') && !INSTEAD.iter().any(|(wrong, _)| code.starts_with(wrong)))
}

/// The code of the language in a code, and the rest.
fn split(code: &str) -> (&str, &str) {
    code.split_at(code.find(['-', '_']).unwrap_or(code.len()))
}

/// What is written today instead of the code of a language.
fn instead(language: &str) -> Option<&'static str> {
    INSTEAD.iter().find(|(wrong, _)| wrong.eq_ignore_ascii_case(language)).map(|(_, meant)| *meant)
}

/// Whether there is nothing to be said about a code.
fn is_right(code: &str) -> bool {
    is_well_formed(code) && instead(split(code).0).is_none()
}

/// What is wrong with a code, and what is meant.
fn fault(code: &str) -> (String, Option<String>) {
    let shown: String = code.chars().take(40).collect();
    let (language, rest) = split(code);
    if let Some(meant) = instead(language) {
        // What is said about script and region stays as it was written.
        let meant = format!("{meant}{}", rest.replace('_', "-"));
        return (format!("{shown:?} is not the code of a language today"), Some(meant));
    }
    let meant = Some(code.replace('_', "-")).filter(|meant| meant != code && is_well_formed(meant));
    (format!("{shown:?} is not a BCP-47 code"), meant)
}

/// Language, script, region, variants, extensions and private use, as the grammar of RFC 5646 has them.
///
/// Languages of four letters are reserved and of five to eight none is registered, so both are refused.
fn is_well_formed(code: &str) -> bool {
    let parts: Vec<&str> = code.split('-').collect();
    let alphabetic = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if parts.iter().any(|part| part.is_empty() || part.len() > 8 || !alphanumeric(part)) {
        return false;
    }
    let is_private = |part: &str| part.eq_ignore_ascii_case("x");
    if is_private(parts[0]) {
        return parts.len() > 1;
    }
    if !alphabetic(parts[0]) || !matches!(parts[0].len(), 2 | 3) {
        return false;
    }
    let mut rest = &parts[1..];
    let mut take = |fits: &dyn Fn(&str) -> bool, most: usize| {
        let count = rest.iter().take(most).take_while(|part| fits(part)).count();
        rest = &rest[count..];
    };
    take(&|part| part.len() == 3 && alphabetic(part), 3);
    take(&|part| part.len() == 4 && alphabetic(part), 1);
    take(
        &|part| (part.len() == 2 && alphabetic(part)) || (part.len() == 3 && part.parse::<u16>().is_ok()),
        1,
    );
    take(&|part| part.len() >= 5 || (part.len() == 4 && part.as_bytes()[0].is_ascii_digit()), usize::MAX);
    // Extensions: a single letter or digit, and at least one part after it.
    while let [first, tail @ ..] = rest {
        let parts = tail.iter().take_while(|part| part.len() > 1 || is_private(first)).count();
        if first.len() != 1 || parts == 0 {
            return false;
        }
        rest = &tail[parts..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_from_other_words() {
        for code in [
            "en",
            "EN",
            "pt-BR",
            "zh-Hant",
            "zh-Hant-TW",
            "mni-Mtei",
            "ceb",
            "es-419",
            "sl-rozaj-biske",
            "de-1996",
            "zh-yue",
            "en-u-ca-gregory",
            "x-mine",
            "en-x-a-b",
            "kr",
            "uk",
            "se",
        ] {
            assert!(is_right(code), "{code}");
        }
        for code in [
            "",
            "e",
            "klingon",
            "en-",
            "-en",
            "en--us",
            "e1",
            "en-a",
            "en-toolongpart",
            "日本語",
            "x",
            "en us",
        ] {
            assert!(!is_right(code), "{code}");
        }
    }

    #[test]
    fn what_is_meant_is_named() {
        let meant = |code| fault(code).1;
        assert_eq!(meant("iw").as_deref(), Some("he"));
        assert_eq!(meant("iw_IL").as_deref(), Some("he-IL"));
        assert_eq!(meant("sh").as_deref(), Some("sr-Latn"));
        assert_eq!(meant("English").as_deref(), Some("en"));
        assert_eq!(meant("pt_BR").as_deref(), Some("pt-BR"));
        assert_eq!(meant("klingon"), None);
        assert!(is_certain("iw") && is_certain("pt_BR") && !is_certain("sh") && !is_certain("English"));
    }
}
