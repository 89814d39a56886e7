//! Text before it means anything: decoding, places, likeness of words, and what must not be shown.
pub(crate) mod decode;
pub(crate) mod lines;
pub(crate) mod mask;
pub(crate) mod nearest;
pub(crate) mod repr;
pub(crate) mod similar;

/// A half-open range of byte offsets in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    /// Offset of the first byte.
    pub(crate) start: usize,
    /// Offset after the last byte.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The one place before `offset`.
    pub(crate) const fn at(offset: usize) -> Self {
        Self { start: offset, end: offset }
    }
}
