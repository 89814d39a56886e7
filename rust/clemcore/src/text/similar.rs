//! Likeness of words, for "did you mean …?".
//!
//! A suggestion is only ever shown, never used: a registry that guesses measures the wrong model.

/// Edits (insert, delete, replace, swap of neighbours) between two words; `None` above `limit`.
pub(crate) fn distance(left: &str, right: &str, limit: usize) -> Option<usize> {
    // Far too long shows without counting: a character has one to four bytes.
    let widest = if left.is_ascii() && right.is_ascii() { 1 } else { 4 };
    if left.len() / widest > right.len() + limit || right.len() / widest > left.len() + limit {
        return None;
    }
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().abs_diff(right.len()) > limit {
        return None;
    }
    let width = right.len() + 1;
    let mut before = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row = vec![0; width];
    for (i, a) in left.iter().enumerate() {
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replace = last[j] + usize::from(a != b);
            let mut best = replace.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        if row.iter().min().is_some_and(|best| *best > limit) {
            return None;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    (last[width - 1] <= limit).then_some(last[width - 1])
}

/// Lower case, with `-` and whitespace as `_`: the form in which typing errors of style vanish.
fn folded(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', ' '], "_")
}

/// The known word that `word` most likely was meant to be; `None` where nothing is close.
///
/// Short words need to be closer: one edit up to seven letters, two from eight.
pub(crate) fn near_miss<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // No known word is that long; a key can be any length.
    if word.len() > 100 {
        return None;
    }
    let wanted = folded(word);
    let limit = match wanted.chars().count() {
        0..=2 => 0,
        3..=7 => 1,
        _ => 2,
    };
    let bag = letters(&wanted);
    known
        .into_iter()
        .filter(|candidate| *candidate != word && bag.is_none_or(|bag| may_be_near(bag, candidate, limit)))
        .filter_map(|candidate| Some((distance(&wanted, &folded(candidate), limit)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The characters of a folded ASCII word, each as a bit.
fn letters(word: &str) -> Option<u128> {
    word.is_ascii().then(|| word.bytes().fold(0, |bag, byte| bag | 1 << byte))
}

/// Whether a word of these letters can be within so many edits of the candidate: each letter that only one of the two
/// has costs an edit. Quick, because most known words are nothing alike.
fn may_be_near(bag: u128, candidate: &str, limit: usize) -> bool {
    let fold = |byte: u8| if matches!(byte, b'-' | b' ') { b'_' } else { byte.to_ascii_lowercase() };
    // Blanks at the ends vanish by folding, and here they would become letters.
    if !candidate.is_ascii() || candidate.trim().len() != candidate.len() {
        return true;
    }
    let other: u128 = candidate.bytes().fold(0, |bag, byte| bag | 1 << fold(byte));
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    (bag & !other).count_ones() <= limit && (other & !bag).count_ones() <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits_and_swaps() {
        assert_eq!(distance("backend", "backend", 2), Some(0));
        assert_eq!(distance("backedn", "backend", 2), Some(1));
        assert_eq!(distance("bakcned", "backend", 2), Some(2));
        assert_eq!(distance("back", "backend", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
    }

    #[test]
    fn near_misses_are_near() {
        let known = ["model_name", "model_id", "backend"];
        assert_eq!(near_miss("modle_name", known), Some("model_name"));
        assert_eq!(near_miss("Model-Name", known), Some("model_name"));
        assert_eq!(near_miss("model_type", known), None);
        assert_eq!(near_miss("id", known), None);
    }
}
