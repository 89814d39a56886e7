//! Sizes of contexts, in tokens.
use crate::json::{Kind, Node};

/// The number of tokens that a text such as `131072`, `128k` or `1.5k` means.
///
/// A number, perhaps with a fraction, and perhaps `k` (times 1024) or `m` (times 1048576) in either case; the result
/// must be whole and above zero. clemcore 3.7.2 read `128k` the same way, but no fractions.
///
/// ```
/// use clemcore::registry::context_tokens;
/// assert_eq!(context_tokens("128k"), Some(131_072));
/// assert_eq!(context_tokens("1.5K"), Some(1_536));
/// assert_eq!(context_tokens("1M"), Some(1_048_576));
/// assert_eq!(context_tokens("128 thousand"), None);
/// ```
#[must_use]
pub fn context_tokens(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1_u64),
    };
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    let fraction = fraction.unwrap_or_default();
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = format!("{whole}{fraction}").parse::<u64>().ok()?.checked_mul(factor)?;
    (scaled > 0 && scaled.is_multiple_of(scale)).then_some(scaled / scale)
}

/// The number of tokens that a value means, if it means one.
pub(super) fn tokens_of(node: &Node<'_>) -> Option<u64> {
    match &node.kind {
        Kind::Int(number) => u64::try_from(*number).ok(),
        Kind::String(text) => context_tokens(text),
        _ => None,
    }
}

/// What is wrong with a size; `None` for one that is right or empty (not known).
pub(super) fn fault(node: &Node<'_>) -> Option<(String, String)> {
    let rule = "write a number of tokens, as 131072, 128k (k is 1024) or 1.5k".to_owned();
    let text = match &node.kind {
        Kind::Int(number) if *number > 0 => return None,
        Kind::Int(number) => return Some((format!("a context of {number} tokens"), rule)),
        Kind::String(text) => text.trim(),
        _ => return None,
    };
    if text.is_empty() || context_tokens(text).is_some() {
        return None;
    }
    let shown: String = text.chars().take(40).collect();
    let help = guess(text).map_or(rule, |guess| format!("write \"{guess}\""));
    Some((format!("{shown:?} is not a number of tokens"), help))
}

/// The size that is meant, where a text is not a size and only one can be meant.
pub(super) fn certain(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || context_tokens(text).is_some() {
        return None;
    }
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = text[number.len()..].trim();
    // Thousands are set off in threes, or the comma may be a decimal one.
    let mut groups = number.split([',', '_', ' ']);
    let first = groups.next().unwrap_or_default();
    let mut groups = groups.peekable();
    let is_grouped = groups.peek().is_some();
    let in_threes = first.len() <= 3 && groups.all(|group| group.len() == 3);
    if is_grouped && (!in_threes || !unit.is_empty() && !unit.eq_ignore_ascii_case("tokens")) {
        return None;
    }
    let plain: String = number.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix("tokens").unwrap_or(&unit).trim_end();
    let size = format!("{plain}{unit}");
    (matches!(unit, "" | "k" | "m") && context_tokens(&size).is_some()).then_some(size)
}

/// The size that a text with separators or a unit after it most likely means.
fn guess(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    let plain = plain.to_lowercase();
    let plain = plain.trim_end_matches("tokens").trim_end_matches('b');
    context_tokens(plain).map(|_| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        assert_eq!(context_tokens("8192"), Some(8192));
        assert_eq!(context_tokens("0.5k"), Some(512));
        assert_eq!(context_tokens(" 4M "), Some(4 << 20));
        for wrong in ["", "k", "-1", "0", "0.3k", "1.k", "1e5", "128kb", "131,072", "99999999999999999999"] {
            assert_eq!(context_tokens(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_one_size_can_be_meant() {
        let known =
            [("131,072", "131072"), ("1_000_000", "1000000"), ("128 k", "128k"), ("32768 tokens", "32768")];
        for (text, size) in known {
            assert_eq!(certain(text).as_deref(), Some(size), "{text}");
        }
        for doubtful in
            ["", "8k", "8192", "128kb", "1,5k", "13,10", "1,000k", "huge", "0", "32k tokens or so"]
        {
            assert_eq!(certain(doubtful), None, "{doubtful}");
        }
    }

    #[test]
    fn the_probable_size_is_offered() {
        assert_eq!(guess("131,072").as_deref(), Some("131072"));
        assert_eq!(guess("128 KB").as_deref(), Some("128k"));
        assert_eq!(guess("32k tokens").as_deref(), Some("32k"));
        assert_eq!(guess("huge"), None);
    }
}
