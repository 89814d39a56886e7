//! Texts about which the full check certainly has nothing to say.

/// Whether a JSON string is an id that is written as one.
pub(super) fn is_plain_id(text: &str) -> bool {
    let is_address =
        text.contains(':') || text.starts_with("\"hf.co/") || text.starts_with("\"huggingface.co/");
    ends_plainly(text) && !is_address && !text.ends_with("/\"")
}

/// Whether a JSON string ends with something that can be seen.
pub(super) fn ends_plainly(text: &str) -> bool {
    let seen = text.strip_suffix('"').and_then(|text| text.bytes().last());
    seen.is_some_and(|last| last.is_ascii_graphic()) && !text.contains('\\')
}

/// Whether a JSON string is a date that every calendar has.
pub(super) fn is_plain_date(text: &[u8]) -> bool {
    let [b'"', y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'"'] = text else { return false };
    let two = |tens: u8, ones: u8| {
        let both = tens.is_ascii_digit() && ones.is_ascii_digit();
        both.then(|| (tens - b'0') * 10 + (ones - b'0'))
    };
    two(*y0, *y1).is_some()
        && two(*y2, *y3).is_some()
        && two(*m0, *m1).is_some_and(|month| (1..=12).contains(&month))
        && two(*d0, *d1).is_some_and(|day| (1..=28).contains(&day))
}
