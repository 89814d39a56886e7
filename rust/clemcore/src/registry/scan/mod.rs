//! A quick pass over a file that has no fault of syntax: where each entry stands and what its name is.
//!
//! The pass is as strict as the full check, and stricter: it lets an entry pass only where the full check says nothing
//! at all, and notes those of which it is not sure, for the full check to look at. At any doubt about more than one
//! entry it gives up, and the file is read the slow way, which finds and reports everything. So the two ways cannot
//! differ in what they report, only in what they cost; `tests/scan.rs` shows it on every fixture, on damaged files and
//! on the corpora.
//!
//! How it stays in step with the checks:
//! * keys are judged by the functions of the schema, each different key once per file ([`keys`]);
//! * a value is accepted by its type where the schema asks no more of the field; each other value is given to the
//!   very function that checks it, and remembered if it was clean;
//! * an entry with anything odd about it (a key that looks like a known one, a wrong type, a missing id) is left to
//!   the full check of an entry.
//!
//! A new check of one value or one entry is seen by this if it hangs on a rule of the schema. Any other must be asked
//! for in [`Scan::entry`]; the tests fail on its fixture as long as it is not.
mod judging;
mod keys;
mod plain;

use super::check::unrunnable;
use crate::json::{Cursor, Kind, MAX_DEPTH, Number};
use crate::schema::Backend;
use crate::text::mask;
use keys::{FALSE, FLOAT, INT, Keys, Level, MIXED, NULL, OBJECT, Role, STRING, STRINGS, TRUE, Types};

/// Where an entry and its name stand in a text; the name without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) name_start: usize,
    pub(super) name_end: usize,
}

/// Where all entries of a text stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    pub(super) list: Vec<Place>,
    /// The entries that have further names.
    pub(super) aliased: Vec<usize>,
}

/// A file without a fault of syntax.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Scanned {
    /// From the first bracket of the list to its last.
    pub(super) list: (usize, usize),
    pub(super) places: Places,
    /// The entries that the full check has to look at: the number of each, and where it begins.
    pub(super) doubtful: Vec<(usize, usize)>,
}

/// The entries of a file; `None` where there may be more to say than about single entries.
///
/// With `thorough`, entries about which only the full check of a file has something to say are doubtful too.
pub(super) fn scan(text: &str, backends: Option<&[Backend]>, thorough: bool) -> Option<Scanned> {
    let mut scan = Scan {
        cursor: Cursor::new(text, 0),
        keys: Keys::new(),
        backends,
        thorough,
        asked: vec![(usize::MAX, "", false); REMEMBERED],
        doubt: false,
        has_aliases: false,
        in_config: Seen::default(),
        ids: 0,
        backend: None,
        name: None,
        needs: Vec::new(),
    };
    scan.file()
}

/// For how many values it is remembered whether they are clean.
const REMEMBERED: usize = 256;
/// Of how many backends it is remembered what they need.
const MANY_BACKENDS: usize = 32;
/// How many keys of one object are told apart quickly.
const QUICK: usize = 128;
/// Objects with more keys of the slow kind are left to the full check.
const SLOW: usize = 64;

struct Scan<'t, 'b> {
    cursor: Cursor<'t>,
    keys: Keys<'t>,
    backends: Option<&'b [Backend]>,
    thorough: bool,
    /// Values by their key, and whether the full check found each clean.
    asked: Vec<(usize, &'t str, bool)>,
    /// Backends that were met, and which ids each needs.
    needs: Vec<(&'t str, u8)>,
    /// Of the entry: whether the full check has to look at it, whether it has aliases, its ids, its backend, and where its name stands.
    doubt: bool,
    has_aliases: bool,
    /// The keys of its `model_config`.
    in_config: Seen,
    ids: u8,
    backend: Option<&'t str>,
    name: Option<(usize, usize)>,
}

/// The keys of one object that were seen.
#[derive(Default)]
struct Seen {
    quick: u128,
    slow: Vec<usize>,
}

impl Seen {
    /// Whether a key may be in both objects.
    fn shares_a_key(&self, other: &Self) -> bool {
        self.quick & other.quick != 0 || !self.slow.is_empty() && !other.slow.is_empty()
    }

    /// Notes a key; `None` where it stands there twice, or where there are too many.
    #[inline]
    fn note(&mut self, key: usize) -> Option<()> {
        if key < QUICK {
            let bit = 1 << key;
            let new = self.quick & bit == 0;
            self.quick |= bit;
            return new.then_some(());
        }
        let new = self.slow.len() < SLOW && !self.slow.contains(&key);
        self.slow.push(key);
        new.then_some(())
    }
}

impl Scan<'_, '_> {
    fn file(&mut self) -> Option<Scanned> {
        // Real entries have some hundred bytes; too little room is made up for by growing.
        let mut places = Vec::with_capacity(self.cursor.text.len() / 512);
        let (mut aliased, mut doubtful) = (Vec::new(), Vec::new());
        self.cursor.expect(b'[')?;
        let start = self.cursor.at - 1;
        if !self.cursor.closes(b']')? {
            loop {
                let place = self.entry()?;
                if self.doubt {
                    doubtful.push((places.len(), place.start));
                }
                places.push(place);
                if self.has_aliases {
                    aliased.push(places.len() - 1);
                }
                if !self.cursor.goes_on(b']')? {
                    break;
                }
            }
        }
        places.shrink_to_fit();
        let list = (start, self.cursor.at);
        let places = Places { list: places, aliased };
        // Nothing but whitespace may follow.
        self.cursor.next().is_none().then_some(Scanned { list, places, doubtful })
    }

    fn entry(&mut self) -> Option<Place> {
        (self.cursor.next()? == b'{').then_some(())?;
        let start = self.cursor.at;
        (self.doubt, self.has_aliases, self.ids, self.backend, self.name) = (false, false, 0, None, None);
        self.object(Level::Entry, 1)?;
        let end = self.cursor.at;
        let (name_start, name_end) = self.name?;
        let needed = self.needed();
        self.doubt |= needed & !self.ids != 0;
        Some(Place { start, end, name_start, name_end })
    }

    /// The ids that the entry's backend needs; all where there is none, so that the full check looks at it.
    fn needed(&mut self) -> u8 {
        let Some(backend) = self.backend else { return u8::MAX };
        if let Some((_, ids)) = self.needs.iter().find(|(known, _)| *known == backend) {
            return *ids;
        }
        let name = backend.trim_matches('"');
        // Only the full check has something to say about entries that cannot be run.
        let is_for_the_full_check = self.thorough && unrunnable::is_not_included(name);
        let ids = if is_for_the_full_check { u8::MAX } else { keys::needed_by(name) };
        if self.needs.len() < MANY_BACKENDS {
            self.needs.push((backend, ids));
        }
        ids
    }

    /// Reads an object.
    fn object(&mut self, level: Level, depth: usize) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let mut seen = Seen::default();
        if level == Level::Entry {
            self.in_config = Seen::default();
        }
        self.cursor.at += 1;
        if self.cursor.closes(b'}')? {
            return Some(());
        }
        loop {
            (self.cursor.next()? == b'"').then_some(())?;
            // A key with escapes is left to the full check.
            let key = self.keys.number(self.cursor.plain_string()?)?;
            seen.note(key)?;
            self.cursor.expect(b':')?;
            self.cursor.next()?;
            match level {
                Level::Entry => self.field(key, depth)?,
                _ => self.read(key, level, depth)?,
            }
            if !self.cursor.goes_on(b'}')? {
                break;
            }
        }
        match level {
            Level::Entry => self.doubt |= self.thorough && seen.shares_a_key(&self.in_config),
            Level::Config => self.in_config = seen,
            Level::Inner => {}
        }
        Some(())
    }

    /// Reads and judges a value of an entry, unless it is the same as last time.
    #[inline]
    fn field(&mut self, key: usize, depth: usize) -> Option<()> {
        if !matches!(self.cursor.byte()?, b'{' | b'[') {
            return self.read(key, Level::Entry, depth);
        }
        if self.keys.get(key).repeats(&mut self.cursor) {
            return Some(());
        }
        let start = self.cursor.at;
        let doubt = std::mem::take(&mut self.doubt);
        self.read(key, Level::Entry, depth)?;
        if !self.doubt {
            self.keys.remember(key, self.cursor.text.get(start..self.cursor.at)?);
        }
        self.doubt |= doubt;
        Some(())
    }

    /// Reads and judges the value of a key.
    #[inline]
    fn read(&mut self, key: usize, level: Level, depth: usize) -> Option<()> {
        let start = self.cursor.at;
        let kind = self.member(key, level, depth)?;
        self.judge(key, kind, start, level)
    }

    /// Reads the value of a key; gives what it is.
    #[inline]
    fn member(&mut self, key: usize, level: Level, depth: usize) -> Option<Types> {
        let role = if level == Level::Entry { self.keys.get(key).role } else { Role::Other };
        let start = self.cursor.at;
        if self.cursor.byte()? != b'"' {
            self.has_aliases |= role == Role::Aliases;
            let inner = if role == Role::ModelConfig { Level::Config } else { Level::Inner };
            return self.value(inner, depth + 1);
        }
        self.string(self.keys.get(key).secret)?;
        match role {
            Role::ModelName => self.name = Some((start + 1, self.cursor.at - 1)),
            Role::Backend => self.backend = self.cursor.text.get(start..self.cursor.at),
            _ => {}
        }
        Some(STRING)
    }

    /// Passes a string that holds no secret, under a key that may say that it is one.
    #[inline]
    fn string(&mut self, secret: bool) -> Option<()> {
        let start = self.cursor.at;
        let (raw, known) = self.cursor.raw_string()?;
        if known && !secret && !mask::may_hold_secret(raw) {
            return Some(());
        }
        let text = Cursor::new(self.cursor.text, start).string()?;
        let found = secret && mask::is_real_secret(&text) || mask::find_secret(&text).is_some();
        (!found).then_some(())
    }

    /// Reads a value; gives what it is.
    fn value(&mut self, level: Level, depth: usize) -> Option<Types> {
        match self.cursor.next()? {
            b'"' => self.string(false).map(|()| STRING),
            b'{' => self.object(level, depth).map(|()| OBJECT),
            b'[' => self.list(depth),
            b't' | b'f' | b'n' => self.cursor.word().map(|kind| match kind {
                Kind::Bool(true) => TRUE,
                Kind::Bool(false) => FALSE,
                _ => NULL,
            }),
            b'-' | b'0'..=b'9' => self.cursor.number().map(|number| match number {
                Number::Int => INT,
                Number::Float => FLOAT,
            }),
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<Types> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let mut kind = STRINGS;
        self.cursor.at += 1;
        if self.cursor.closes(b']')? {
            return Some(kind);
        }
        loop {
            if self.value(Level::Inner, depth + 1)? != STRING {
                kind = MIXED;
            }
            if !self.cursor.goes_on(b']')? {
                return Some(kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::clean;
    use super::*;

    /// Whether a registry of a clean entry and this one is read the quick way.
    fn accepts(entry: &str) -> bool {
        let clean = r#"{"model_name": "a", "backend": "mock"}"#;
        let text = format!("[{clean}, {entry}]\n");
        scan(&text, None, false).is_some_and(|scanned| {
            scanned.places.list.len() == 2 && clean::entries(&text, &scanned.doubtful, None).list.is_empty()
        })
    }

    fn accepts_with(members: &str) -> bool {
        accepts(&format!(r#"{{"model_name": "b", "backend": "mock", {members}}}"#))
    }

    #[test]
    fn what_is_right_is_read_the_quick_way() {
        assert!(
            scan(super::super::PACKAGED, None, false).is_some_and(|scanned| !scanned.places.list.is_empty())
        );
        for members in [
            r#""own": {"a": [1, 2.5, -3e2, null, true, {"b": "c"}]}, "x": 123456789012345678901234567890"#,
            r#""release_date": "2024-02-29", "context_size": "128k", "languages": ["en", "de"]"#,
            r#""model_config": {"eos_to_cull": "<\\|im_end\\|>", "model_name": 1}, "eos_to_cull": "(""#,
            r#""number_gpus": "of another backend", "\u006fwn": "é \u00e9 \" ""#,
        ] {
            let quick = accepts_with(members);
            assert_eq!(quick, !members.contains(r"\u006f"), "{members}");
        }
    }

    #[test]
    fn only_the_doubtful_entry_is_checked() {
        let text = r#"[{"model_name": "a", "backend": "mock"}, {"model_name": "b", "backend": "mck"}]"#;
        let scanned = scan(text, None, false).unwrap_or_default();
        assert_eq!(scanned.doubtful, [(1, 41)]);
        let faults = clean::entries(text, &scanned.doubtful, None);
        assert_eq!(faults.list.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_left_to_the_full_check() {
        for members in [
            r#""own": 1, "own": 2"#,
            r#""own": {"a": 1, "a": 2}"#,
            r#""own": 01"#,
            r#""own": 1.e5"#,
            r#""own": nulla"#,
            r#""own": "\q""#,
            "\"own\": \"a\tb\"",
            r#""own": [1,]"#,
            r#""own": "sk-abcdefghij0123456789abc""#,
            r#""api_key": "mine""#,
            r#""release_date": "2024-02-30""#,
            r#""temperatur": 1"#,
            r#""model_config": {"eos_to_cull": "<|im_end|>"}, "backend": "huggingface_local""#,
        ] {
            assert!(!accepts_with(members), "{members}");
        }
        assert!(!accepts(r#"{"model_name": "b"}"#));
        assert!(!accepts(r#"{"model_name": "b", "backend": "openai", "model_config": {"model_id": "b"}}"#));
        assert!(!accepts(r#"{"model_name": " ", "backend": "mock"}"#));
        assert!(!accepts(r#"{"model_name": "b", "backend": "mck"}"#));
        assert!(!accepts(&format!(
            r#"{{"model_name": "b", "backend": "mock", "own": {}1{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        )));
    }
}
