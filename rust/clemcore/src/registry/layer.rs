//! The layers of a registry: texts with the places of their entries, or dicts that come from no text.
//!
//! A text is kept as it is, once. An entry becomes a dict when somebody asks for it.
use super::check::{self, Checked, Manner};
use super::scan::{self, Place, Places};
use super::{ALIASES, LOOKUP_SOURCE, MODEL_NAME, PACKAGED};
use crate::json::Cursor;
use crate::report::Report;
use crate::schema::Backend;
use crate::text::{Span, lines::LineCounts};
use crate::value::{Dict, Value};
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The text of a layer, kept as long as the registry.
#[derive(Clone)]
pub enum Text {
    /// The registry that is compiled in.
    Packaged,
    /// Bytes that somebody else holds too.
    Shared(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl Text {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Packaged => PACKAGED.as_bytes(),
            Self::Shared(bytes) => (**bytes).as_ref(),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.bytes().len())
    }
}

/// One layer.
#[derive(Debug)]
pub(super) enum Layer {
    Text { source: Arc<str>, text: Text, places: Cow<'static, Places>, lines: OnceLock<LineCounts> },
    Dicts(Vec<Dict>),
}

/// A layer that was read, what was found in it, and whether entries of it may still hide each other.
pub(super) struct Read {
    pub(super) layer: Layer,
    pub(super) report: Report,
    pub(super) unsure: bool,
}

/// Reads a layer.
pub(super) fn read(source: &str, text: Text, backends: Option<&[Backend]>) -> Read {
    let quick = match text {
        Text::Packaged => packaged().map(|places| (Cow::Borrowed(places), Report::default())),
        // The quick pass knows no keys but those of the schema.
        Text::Shared(_) if backends.into_iter().flatten().any(|backend| !backend.keys.is_empty()) => None,
        Text::Shared(_) => {
            std::str::from_utf8(text.bytes()).ok().and_then(|text| read_quickly(source, text, backends))
        }
    };
    let Some((places, report)) = quick else { return read_slowly(source, text, backends) };
    let unsure = matches!(text, Text::Shared(_));
    let layer = Layer::Text { source: source.into(), text, places, lines: OnceLock::new() };
    Read { layer, report, unsure }
}

/// The places of the entries, and what is to be said about those that the quick pass was not sure of; `None` where
/// the full check has to look at the whole text.
fn read_quickly(
    source: &str,
    text: &str,
    backends: Option<&[Backend]>,
) -> Option<(Cow<'static, Places>, Report)> {
    let scanned = scan::scan(text, backends, false)?;
    let mut report = Report::default();
    if !scanned.doubtful.is_empty() {
        let faults = check::clean::entries(text, &scanned.doubtful, backends);
        if faults.has_errors() {
            return None;
        }
        report = faults.into_report(&source.into(), text);
    }
    Some((Cow::Owned(scanned.places), report))
}

/// Reads a layer with the full check.
pub(super) fn read_slowly(source: &str, text: Text, backends: Option<&[Backend]>) -> Read {
    let source: Arc<str> = source.into();
    let manner = Manner::loading(backends);
    let (places, report) = check::read(text.bytes(), manner, |checked| {
        (places(&checked, text.bytes().len()), checked.faults.into_report(&source, checked.text))
    });
    let layer = Layer::Text { source, text, places: Cow::Owned(places), lines: OnceLock::new() };
    Read { layer, report, unsure: false }
}

/// The places in the packaged registry, found once per process. That nothing is wrong with it is tested.
fn packaged() -> Option<&'static Places> {
    static PLACES: OnceLock<Option<Places>> = OnceLock::new();
    PLACES.get_or_init(|| Some(scan::scan(PACKAGED, None, false)?.places)).as_ref()
}

fn places(checked: &Checked<'_>, length: usize) -> Places {
    if checked.faults.has_errors() {
        return Places::default();
    }
    // A byte order mark is not a part of the text that was read.
    let mark = length - checked.text.len();
    let mut places = Places::default();
    for entry in &checked.entries {
        let Some((_, name)) = &entry.name else { continue };
        places.aliased.extend(entry.aliased.then_some(places.list.len()));
        places.list.push(Place {
            start: entry.span.start + mark,
            end: entry.span.end + mark,
            name_start: name.start + 1 + mark,
            name_end: name.end - 1 + mark,
        });
    }
    places
}

impl Layer {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text { places, .. } => places.list.len(),
            Self::Dicts(dicts) => dicts.len(),
        }
    }

    /// The text of an entry, and where it comes from.
    fn entry_text(&self, at: usize) -> Option<(&str, &str)> {
        let Self::Text { source, text, places, .. } = self else { return None };
        let place = places.list.get(at)?;
        // Only the entry is looked at again: the whole text was found to be UTF-8 when it was read.
        let bytes = text.bytes().get(place.start..place.end)?;
        Some((std::str::from_utf8(bytes).ok()?, source))
    }

    fn dict(&self, at: usize) -> Option<Dict> {
        if let Self::Dicts(dicts) = self {
            return dicts.get(at).cloned();
        }
        let (text, source) = self.entry_text(at)?;
        let mut dict = Cursor::new(text, 0).dict(0)?;
        if !dict.contains_key(LOOKUP_SOURCE) {
            dict.insert(LOOKUP_SOURCE, Value::from(source));
        }
        Some(dict)
    }

    fn name(&self, at: usize) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Dicts(dicts) => Some(Cow::Borrowed(dicts.get(at)?.get(MODEL_NAME)?.as_str()?.as_bytes())),
            Self::Text { text, places, .. } => {
                let place = places.list.get(at)?;
                let raw = text.bytes().get(place.name_start..place.name_end)?;
                if raw.contains(&b'\\') {
                    self.dict_name(at).map(Cow::Owned)
                } else {
                    Some(Cow::Borrowed(raw))
                }
            }
        }
    }

    /// A name that is written with escapes.
    fn dict_name(&self, at: usize) -> Option<Vec<u8>> {
        Some(self.dict(at)?.get(MODEL_NAME)?.as_str()?.as_bytes().to_vec())
    }

    /// The entries that may have aliases.
    fn aliased(&self) -> Vec<usize> {
        match self {
            Self::Text { places, .. } => places.aliased.clone(),
            Self::Dicts(dicts) => {
                let has_aliases = |at: &usize| dicts[*at].contains_key(ALIASES);
                (0..dicts.len()).filter(has_aliases).collect()
            }
        }
    }

    pub(super) fn source(&self) -> Option<&str> {
        match self {
            Self::Text { source, .. } => Some(source),
            Self::Dicts(_) => None,
        }
    }

    fn line(&self, at: usize) -> usize {
        let Self::Text { text, places, lines, .. } = self else { return 0 };
        let Some(place) = places.list.get(at) else { return 0 };
        lines.get_or_init(|| LineCounts::new(text.bytes())).line(text.bytes(), place.start)
    }
}

/// All layers; entries are numbered through.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers {
    list: Vec<Arc<Layer>>,
    /// The number of entries up to the end of each layer.
    ends: Vec<usize>,
}

impl Layers {
    pub(super) fn push(&mut self, layer: Layer) {
        self.ends.push(self.len() + layer.len());
        self.list.push(Arc::new(layer));
    }

    pub(super) fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The layer of an entry, and the entry's number in it.
    pub(super) fn locate(&self, index: usize) -> Option<(usize, usize)> {
        let layer = self.ends.iter().position(|end| index < *end)?;
        let before = layer.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some((layer, index - before))
    }

    fn at(&self, index: usize) -> Option<(&Layer, usize)> {
        let (layer, at) = self.locate(index)?;
        Some((&self.list[layer], at))
    }

    /// An entry, with its `lookup_source`.
    pub(super) fn dict(&self, index: usize) -> Option<Dict> {
        self.at(index).and_then(|(layer, at)| layer.dict(at))
    }

    /// The text of an entry, and where it comes from; `None` for one that comes from no text.
    pub(super) fn entry_text(&self, index: usize) -> Option<(&str, &str)> {
        self.at(index).and_then(|(layer, at)| layer.entry_text(at))
    }

    pub(super) fn name(&self, index: usize) -> Option<Cow<'_, [u8]>> {
        self.at(index).and_then(|(layer, at)| layer.name(at))
    }

    /// The entries that may have aliases, in order.
    pub(super) fn aliased(&self) -> impl Iterator<Item = usize> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        self.list
            .iter()
            .zip(starts)
            .flat_map(|(layer, start)| layer.aliased().into_iter().map(move |at| start + at))
    }

    pub(super) fn is_named(&self, index: usize, name: &[u8]) -> bool {
        self.name(index).as_deref() == Some(name)
    }

    /// The file and the line of an entry.
    pub(super) fn place(&self, index: usize) -> Option<(Option<&str>, usize)> {
        self.at(index).map(|(layer, at)| (layer.source(), layer.line(at)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Layer> {
        self.list.iter().map(|layer| &**layer)
    }
}

/// Where the entries of a file stand in its text.
pub(crate) struct Outline {
    /// The whole text, byte order mark included.
    pub(crate) text: String,
    /// From the first bracket of the list to its last; `None` where one object stands alone.
    pub(crate) list: Option<(usize, usize)>,
    /// Start and end of each entry.
    pub(crate) entries: Vec<(usize, usize)>,
}

/// The outline of a file without errors, or its problems.
pub(crate) fn outline(source: &str, bytes: &[u8]) -> Result<Outline, Report> {
    let source: Arc<str> = source.into();
    check::read(bytes, Manner::loading(None).quickly(), |checked| {
        if checked.faults.has_errors() {
            return Err(checked.faults.into_report(&source, checked.text));
        }
        let whole = String::from_utf8_lossy(bytes).into_owned();
        let mark = whole.len() - checked.text.len();
        let range = |span: Span| (span.start + mark, span.end + mark);
        let list = checked.list.map(range);
        let entries = checked.entries.iter().map(|entry| range(entry.span)).collect();
        Ok(Outline { text: whole, list, entries })
    })
}
