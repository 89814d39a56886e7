//! The names most like one that is not there, for "did you mean …?".
//!
//! A registry may have a million names, so each is looked at once, without a copy, and most are left after their
//! letters were counted. What separates the words of a name (`-`, `_`, `.`, `/`, `:`, whitespace) and the case of letters
//! do not count: `gpt4o` is `gpt-4o`.
use super::similar;
use std::borrow::Cow;

/// The names most like `wanted`, best first, at most `limit`.
///
/// The same letters in another case come first, then names that differ in what separates their words, by a few edits,
/// then names that contain the wanted one or are contained in it.
pub(crate) fn nearest<'n>(
    wanted: &str,
    names: impl IntoIterator<Item = Cow<'n, str>>,
    limit: usize,
) -> Vec<String> {
    let wanted = Wanted::new(wanted);
    if wanted.squashed.is_empty() || limit == 0 {
        return Vec::new();
    }
    let mut best: Vec<(Score, String)> = Vec::with_capacity(limit + 1);
    let mut room = String::new();
    for name in names {
        let worst = (best.len() == limit).then(|| best[limit - 1].0);
        let Some(score) = wanted.score(&name, &mut room, worst) else { continue };
        let at = best.partition_point(|(other, text)| (*other, text.as_str()) < (score, &*name));
        if at < limit && best.get(at).is_none_or(|(_, text)| *text != *name) {
            best.insert(at, (score, name.into_owned()));
            best.truncate(limit);
        }
    }
    best.into_iter().map(|(_, name)| name).collect()
}

/// As many as a message shows.
pub(crate) const FEW: usize = 5;

/// How little a name is like the wanted one: the kind of likeness, then how far it is.
type Score = (u8, usize);

const SAME_LETTERS: u8 = 0;
const FEW_EDITS: u8 = 1;
const BEGINNING: u8 = 2;
const PART: u8 = 3;
const MORE_EDITS: u8 = 4;

/// A shorter name is part of too many others.
const SHORTEST_PART: usize = 3;

struct Wanted {
    /// In lower case.
    folded: String,
    /// In lower case, without what separates words.
    squashed: String,
    letters: Letters,
    /// How many edits are still alike.
    edits: usize,
    pattern: Option<Pattern>,
}

impl Wanted {
    fn new(name: &str) -> Self {
        let folded = name.trim().to_lowercase();
        let mut squashed = String::new();
        squash(&folded, &mut squashed);
        let count = squashed.chars().count();
        Self {
            letters: Letters::of(&squashed),
            edits: (count / 3).clamp(1, 6),
            pattern: Pattern::new(&squashed),
            folded,
            squashed,
        }
    }

    /// How like a name is; `None` where it is not, or not more than the worst that is still of interest.
    fn score(&self, name: &str, room: &mut String, worst: Option<Score>) -> Option<Score> {
        let letters = Letters::of(name);
        // Each letter that only one of the two has costs an edit, and forbids that the one is part of the other.
        let (missing, further) = self.letters.against(letters);
        let fewest = missing.max(further).max(self.letters.count.abs_diff(letters.count));
        let close =
            fewest <= self.edits && worst.is_none_or(|worst| fewest == 0 || (FEW_EDITS, fewest) <= worst);
        let part = (missing == 0 || further == 0) && worst.is_none_or(|worst| worst.0 >= BEGINNING);
        if !letters.is_ascii || !self.letters.is_ascii || close || part {
            room.clear();
            squash(name, room);
            return self.score_squashed(name, room, close || !letters.is_ascii || !self.letters.is_ascii);
        }
        None
    }

    fn score_squashed(&self, name: &str, squashed: &str, close: bool) -> Option<Score> {
        if squashed == self.squashed {
            return Some((SAME_LETTERS, usize::from(name.trim().to_lowercase() != self.folded)));
        }
        let edits = if close { self.distance(squashed) } else { None };
        let wanted = self.squashed.as_str();
        let (apart, is_long) = (squashed.len().abs_diff(wanted.len()), squashed.len() >= SHORTEST_PART);
        match edits {
            Some(edits) if edits <= 2 => Some((FEW_EDITS, edits)),
            _ if squashed.starts_with(wanted) || (is_long && wanted.starts_with(squashed)) => {
                Some((BEGINNING, apart))
            }
            _ if wanted.len() >= SHORTEST_PART
                && (squashed.contains(wanted) || (is_long && wanted.contains(squashed))) =>
            {
                Some((PART, apart))
            }
            edits => edits.map(|edits| (MORE_EDITS, edits)),
        }
    }

    fn distance(&self, name: &str) -> Option<usize> {
        match &self.pattern {
            Some(pattern) if name.is_ascii() => {
                Some(pattern.distance(name.as_bytes())).filter(|edits| *edits <= self.edits)
            }
            _ => similar::distance(&self.squashed, name, self.edits),
        }
    }
}

const fn separates(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.' | b'/' | b':' | b' ')
}

/// Adds a name in lower case and without what separates its words.
fn squash(name: &str, room: &mut String) {
    if name.is_ascii() {
        room.extend(
            name.bytes().filter(|byte| !separates(*byte)).map(|byte| char::from(byte.to_ascii_lowercase())),
        );
    } else {
        let counts = |c: &char| !u8::try_from(*c).is_ok_and(separates);
        room.extend(name.chars().flat_map(char::to_lowercase).filter(counts));
    }
}

/// Of each byte the bit of its letter, whatever its case; none of what separates words. Letters and digits have bits of
/// their own, other bytes share the rest: that makes two names more alike than they are, never less.
static LETTERS: [u64; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0_u8;
    loop {
        let bit = match byte {
            _ if separates(byte) => 64,
            b'a'..=b'z' => byte - b'a',
            b'A'..=b'Z' => byte - b'A',
            b'0'..=b'9' => 26 + byte - b'0',
            _ => 36 + byte % 28,
        };
        if bit < 64 {
            letters[byte as usize] = 1 << bit;
        }
        if byte == u8::MAX {
            break letters;
        }
        byte += 1;
    }
};

/// Which letters a name has, and how many; of a name that is not ASCII, nothing is said.
#[derive(Clone, Copy)]
struct Letters {
    bag: u64,
    count: usize,
    is_ascii: bool,
}

impl Letters {
    fn of(name: &str) -> Self {
        let (mut bag, mut count, mut all) = (0, 0, 0);
        for byte in name.bytes() {
            let letter = LETTERS[usize::from(byte)];
            all |= byte;
            bag |= letter;
            count += usize::from(letter != 0);
        }
        Self { bag, count, is_ascii: all < 0x80 }
    }

    /// How many letters only this one has, and how many only the other.
    fn against(self, other: Self) -> (usize, usize) {
        let count = |bag: u64| bag.count_ones() as usize;
        (count(self.bag & !other.bag), count(other.bag & !self.bag))
    }
}

/// A short ASCII text, prepared to be compared with many others.
struct Pattern {
    /// For each letter the places where it stands, as bits.
    places: [u64; 128],
    length: usize,
}

impl Pattern {
    fn new(text: &str) -> Option<Self> {
        if !text.is_ascii() || text.is_empty() || text.len() > 64 {
            return None;
        }
        let mut places = [0; 128];
        for (at, byte) in text.bytes().enumerate() {
            places[usize::from(byte)] |= 1 << at;
        }
        Some(Self { places, length: text.len() })
    }

    /// Edits (insert, delete, replace, swap of neighbours) to another ASCII text: as [`similar::distance`] counts them,
    /// all of a column at once.
    ///
    /// H. Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances" (2003).
    fn distance(&self, other: &[u8]) -> usize {
        let (mut up, mut down, mut diagonal, mut before) = (u64::MAX, 0_u64, 0_u64, 0_u64);
        let mut edits = self.length;
        let last = 1_u64 << (self.length - 1);
        for byte in other {
            let here = self.places[usize::from(*byte)];
            let swapped = ((!diagonal & here) << 1) & before;
            diagonal = ((here & up).wrapping_add(up) ^ up) | here | down | swapped;
            let (rises, falls) = (down | !(diagonal | up), diagonal & up);
            edits = edits + usize::from(rises & last != 0) - usize::from(falls & last != 0);
            let (rises, falls) = ((rises << 1) | 1, falls << 1);
            up = falls | !(diagonal | rises);
            down = rises & diagonal;
            before = here;
        }
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nearest_of(wanted: &str, names: &[&'static str], limit: usize) -> Vec<String> {
        nearest(wanted, names.iter().map(|name| Cow::Borrowed(*name)), limit)
    }

    #[test]
    fn nearest_names_come_best_first() {
        let names = ["gpt-4o", "GPT-4O-mini", "claude", "gpt-4", "my-gpt-4o-mini"];
        assert_eq!(nearest_of("gpt-4o-mini", &names, 2), ["GPT-4O-mini", "my-gpt-4o-mini"]);
        assert_eq!(nearest_of("", &names, 5), [""; 0]);
        assert_eq!(nearest_of("zzzzzz", &names, 5), [""; 0]);
    }

    #[test]
    fn what_separates_words_does_not_count() {
        let names = ["claude", "gpt-4o", "gpt-4o", "GPT_4O", "gpt-4", "org/gpt.4o"];
        assert_eq!(nearest_of("gpt4o", &names, 3), ["GPT_4O", "gpt-4o", "gpt-4"]);
        assert_eq!(nearest_of("gpt-4o ", &names, 1), ["gpt-4o"]);
        assert_eq!(nearest_of("Llama3.1 8B Instruct", &["Meta-Llama-3.1-8B-Instruct"], 1).len(), 1);
        assert_eq!(nearest_of("--", &names, 1), [""; 0]);
    }

    #[test]
    fn names_of_any_script_are_compared() {
        assert_eq!(nearest_of("Größe-1", &["grösse-1", "GRÖßE 1", "x"], 5), ["GRÖßE 1", "grösse-1"]);
    }

    /// The same without counting letters first, and without stopping early.
    fn plainly(wanted: &str, names: &[String], limit: usize) -> Vec<String> {
        let wanted = Wanted::new(wanted);
        let scored = |name: &String| {
            let mut room = String::new();
            squash(name, &mut room);
            Some((wanted.score_squashed(name, &room, true)?, name.clone()))
        };
        let mut found: Vec<_> = names.iter().filter_map(scored).collect();
        found.sort();
        found.dedup();
        found.into_iter().take(limit).map(|(_, name)| name).collect()
    }

    proptest! {
        #[test]
        fn counting_letters_first_changes_nothing(
            wanted in "[abAé_-]{1,7}",
            names in prop::collection::vec("[abcBé_.-]{0,8}", 0..12),
            limit in 1..4_usize,
        ) {
            prop_assume!(!Wanted::new(&wanted).squashed.is_empty());
            let quick = nearest(&wanted, names.iter().map(|name| Cow::Borrowed(name.as_str())), limit);
            prop_assert_eq!(quick, plainly(&wanted, &names, limit));
        }

        #[test]
        fn both_ways_count_the_same_edits(left in "[abc]{1,12}", right in "[abc]{0,12}") {
            let edits = Pattern::new(&left).map(|pattern| pattern.distance(right.as_bytes()));
            prop_assert_eq!(edits, similar::distance(&left, &right, usize::MAX / 8));
        }
    }
}
