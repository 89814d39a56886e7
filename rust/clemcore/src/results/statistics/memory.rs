//! Intervals of an earlier evaluation: one is used again where everything that it comes from is the same.
//!
//! An interval is found by a hash of its values, its random numbers, its level and the source text of this folder. A
//! memory that is damaged, or that other code wrote, is not used. It does not know where a memory is kept.
use super::assumed::{NOTHING, OTHER_SCALE, SINGLE};
use super::compare::{EQUAL, LONELY, NO_SCORES};
use super::random::mix;
use super::spread::{FEW, SKEWED_AND_FEW, THIN};
use super::{Interval, Method, Settings};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// What intervals depend on besides their values: other code may give other numbers.
const CODE: [&str; 12] = [
    include_str!("assumed.rs"),
    include_str!("bootstrap.rs"),
    include_str!("cells.rs"),
    include_str!("compare.rs"),
    include_str!("epochs.rs"),
    include_str!("interval.rs"),
    include_str!("memory.rs"),
    include_str!("proportion.rs"),
    include_str!("random.rs"),
    include_str!("report.rs"),
    include_str!("significance.rs"),
    include_str!("spread.rs"),
];
const MAGIC: &[u8] = b"clemcore intervals 1\n";
const METHODS: [Method; 4] = [Method::Wilson, Method::Bootstrap, Method::Constant, Method::Bounds];
/// Reasons for the lack of an interval, and cautions.
const TEXTS: [&str; 9] = [SINGLE, NOTHING, OTHER_SCALE, FEW, THIN, SKEWED_AND_FEW, LONELY, EQUAL, NO_SCORES];
/// In place of the number of a method or a text.
const NONE: u8 = 255;

/// An interval, or why there is none.
pub(super) type Outcome = Result<Interval, &'static str>;
/// The hash of everything that intervals come from.
pub(super) type Key = [u64; 2];

/// A hash of 128 bits, against chance and not against an adversary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash(Key);

impl Hash {
    fn new() -> Self {
        Self([0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344]) // the digits of pi
    }

    pub(super) fn number(&mut self, bits: u64) {
        let [one, other] = self.0;
        self.0 = [mix(one ^ bits), mix(other.rotate_left(23).wrapping_add(mix(bits)))];
    }

    pub(super) fn value(&mut self, value: f64) {
        self.number(value.to_bits());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    pub(super) fn key(&self) -> Key {
        self.0
    }
}

/// A sum that bytes and the code that writes them have; it finds damage, and no malice.
pub(in crate::results) fn checksum(code: &[&str], bytes: &[u8]) -> [u8; 16] {
    let mut hash = Hash::new();
    for text in code {
        hash.bytes(text.as_bytes());
    }
    hash.bytes(bytes);
    let [one, other] = hash.key().map(u64::to_le_bytes);
    let mut sum = [0; 16];
    sum[..8].copy_from_slice(&one);
    sum[8..].copy_from_slice(&other);
    sum
}

/// Intervals by what they come from.
#[derive(Debug)]
pub(in crate::results) struct Memory {
    code: Hash,
    before: HashMap<Key, Vec<Outcome>>,
    now: RefCell<BTreeMap<Key, Vec<Outcome>>>,
}

impl Default for Memory {
    fn default() -> Self {
        let mut code = Hash::new();
        for text in CODE {
            code.bytes(text.as_bytes());
        }
        Self { code, before: HashMap::new(), now: RefCell::default() }
    }
}

impl Memory {
    /// Takes the intervals of an earlier evaluation; tells whether they can be used.
    pub(in crate::results) fn read(&mut self, bytes: &[u8]) -> bool {
        let found = self.checked(bytes).and_then(parsed);
        let is_usable = found.is_some();
        self.before = found.unwrap_or_default();
        is_usable
    }

    /// The intervals that were used or computed since then.
    pub(in crate::results) fn bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (key, outcomes) in self.now.borrow().iter() {
            let encoded: Option<Vec<[u8; RECORD]>> = outcomes.iter().map(encoded).collect();
            if let (Some(encoded), Ok(count)) = (encoded, u8::try_from(outcomes.len())) {
                out.extend(key.iter().flat_map(|half| half.to_le_bytes()));
                out.push(count);
                out.extend(encoded.iter().flatten());
            }
        }
        let sum = self.sum(&out);
        out.extend(sum);
        out
    }

    /// The intervals of a key: those of before, or those that are computed now.
    pub(super) fn recall<const N: usize>(
        &self,
        key: Key,
        compute: impl FnOnce() -> [Outcome; N],
    ) -> [Outcome; N] {
        let known = self.before.get(&key).and_then(|each| each.as_slice().try_into().ok());
        let found = known.unwrap_or_else(compute);
        self.now.borrow_mut().insert(key, found.to_vec());
        found
    }

    /// A hash that begins with the code and the settings.
    pub(super) fn hash(&self, what: &str, settings: &Settings) -> Hash {
        let Settings { level, resamples, seed } = *settings;
        let mut hash = self.code;
        hash.bytes(what.as_bytes());
        hash.value(level);
        hash.number(resamples as u64);
        hash.number(seed);
        hash
    }

    fn sum(&self, bytes: &[u8]) -> Vec<u8> {
        let mut hash = self.code;
        hash.bytes(bytes);
        hash.key().iter().flat_map(|half| half.to_le_bytes()).collect()
    }

    /// The records, if the sum at the end is the one of these bytes and this code.
    fn checked<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(16)?)?;
        if self.sum(body) == sum { body.strip_prefix(MAGIC) } else { None }
    }
}

const RECORD: usize = 18;

fn number_of(text: &str) -> Option<u8> {
    TEXTS.iter().position(|known| *known == text).and_then(|at| u8::try_from(at).ok())
}

/// The ends, the method and the text; `None` for a text that has no number.
fn encoded(outcome: &Outcome) -> Option<[u8; RECORD]> {
    let (ends, method, text) = match outcome {
        Err(reason) => ([0.0; 2], NONE, number_of(reason)?),
        Ok(found) => {
            let method = METHODS.iter().position(|known| *known == found.method)?;
            let text = found.caution.map_or(Some(NONE), number_of)?;
            ([found.low, found.high], u8::try_from(method).ok()?, text)
        }
    };
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&ends[0].to_le_bytes());
    record[8..16].copy_from_slice(&ends[1].to_le_bytes());
    record[16..].copy_from_slice(&[method, text]);
    Some(record)
}

fn decoded(record: &[u8; RECORD]) -> Option<Outcome> {
    let [low, high] = [0, 8].map(|at| {
        let mut end = [0; 8];
        end.copy_from_slice(&record[at..at + 8]);
        f64::from_le_bytes(end)
    });
    let text = TEXTS.get(usize::from(record[17])).copied();
    if record[16] == NONE {
        return text.map(Err);
    }
    let method = *METHODS.get(usize::from(record[16]))?;
    let caution = if record[17] == NONE { None } else { Some(text?) };
    Some(Ok(Interval { low, high, method, caution }))
}

fn parsed(mut rest: &[u8]) -> Option<HashMap<Key, Vec<Outcome>>> {
    let mut found = HashMap::new();
    while let Some((head, tail)) = rest.split_first_chunk::<17>() {
        let [key @ .., count] = head;
        let (one, other) = key.split_first_chunk::<8>()?;
        let key = [u64::from_le_bytes(*one), u64::from_le_bytes(other.try_into().ok()?)];
        let (records, tail) = tail.split_at_checked(usize::from(*count) * RECORD)?;
        let outcomes = records.as_chunks::<RECORD>().0.iter().map(decoded).collect::<Option<_>>()?;
        found.insert(key, outcomes);
        rest = tail;
    }
    rest.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(low: f64) -> Interval {
        Interval { low, high: 2.5, method: Method::Bootstrap, caution: Some(THIN) }
    }

    fn written() -> Vec<u8> {
        let memory = Memory::default();
        let _ = memory.recall([1, 2], || [Ok(interval(0.1)), Err(SINGLE)]);
        let _ = memory.recall([3, 4], || [Ok(interval(-0.0))]);
        memory.bytes()
    }

    #[test]
    fn intervals_are_used_again() {
        let mut memory = Memory::default();
        assert!(memory.read(&written()));
        assert_eq!(memory.recall([1, 2], || [Err(NOTHING); 2]), [Ok(interval(0.1)), Err(SINGLE)]);
        assert_eq!(memory.recall([1, 3], || [Err(NOTHING)]), [Err(NOTHING)]); // another key
        assert_eq!(memory.recall([3, 4], || [Err(NOTHING); 2]), [Err(NOTHING); 2]); // another number of intervals
        let mut other = Memory::default();
        assert!(other.read(&memory.bytes()));
        assert_eq!(other.before.len(), 3);
    }

    #[test]
    fn what_is_damaged_is_not_used() {
        let whole = written();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let mut memory = Memory::default();
            assert!(!memory.read(&damaged) && memory.before.is_empty(), "byte {at}");
            assert!(!memory.read(&whole[..at]), "{at} bytes");
        }
        assert!(!Memory::default().read(&[whole.as_slice(), b"x"].concat()));
    }

    #[test]
    fn a_hash_depends_on_everything() {
        let memory = Memory::default();
        let settings = Settings::default();
        let of = |what: &str, settings: &Settings, values: &[f64]| {
            let mut hash = memory.hash(what, settings);
            for value in values {
                hash.value(*value);
            }
            hash.key()
        };
        let usual = of("a", &settings, &[1.0, 2.0]);
        assert_eq!(usual, of("a", &settings, &[1.0, 2.0]));
        for other in [
            of("b", &settings, &[1.0, 2.0]),
            of("a", &settings, &[2.0, 1.0]),
            of("a", &settings, &[1.0]),
            of("a", &Settings { seed: 1, ..settings }, &[1.0, 2.0]),
            of("a", &Settings { resamples: 9_999, ..settings }, &[1.0, 2.0]),
            of("a", &Settings { level: 0.9, ..settings }, &[1.0, 2.0]),
        ] {
            assert_ne!(usual, other);
        }
    }

    #[test]
    fn all_code_of_intervals_is_hashed() {
        // What is left out computes no interval of an evaluation.
        let others = ["json.rs", "mod.rs", "strengths.rs"];
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/results/statistics");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let texts = files
            .filter(|file| !others.contains(&file.file_name().to_string_lossy().as_ref()))
            .map(|file| std::fs::read_to_string(file.path()).unwrap());
        let mut texts: Vec<String> = texts.collect();
        texts.sort();
        let mut hashed = CODE.map(str::to_owned);
        hashed.sort();
        assert_eq!(texts, hashed);
    }
}
