//! The bound on what one render may cost: steps, texts that are looked at or made, and items, all paid from one purse.
//!
//! The purse is per thread, so that the smallest helper can pay without being handed a context. It is filled slice by
//! slice. Before each slice but the first, the [`Watch`] of the caller is asked whether the render may go on, and the
//! memory is checked. So whatever pays is also bounded in time and memory.
//!
//! Once a payment was refused, every further one is, and the render fails whatever it gives. So a helper that cannot
//! report an error may stop quietly.

use std::cell::Cell;

use super::error::{Error, ErrorKind, Result};

/// How many bytes of text, looked at or made, cost as much as one step.
pub(crate) const BYTES_PER_UNIT: usize = 48;
/// How many steps a render takes before its watch is first asked. A conversation of a megabyte takes fewer.
const FIRST: u64 = 50_000;
/// How many steps a render takes until its watch is asked again.
const SLICE: u64 = 20_000;

/// How many steps a render may take, before what its input is worth is added.
const BASE_FUEL: u64 = 3_000_000;
/// How many steps each byte of the input adds.
const FUEL_PER_BYTE: u64 = 32;
/// No text, captured or final, may grow beyond this, before four times the input is added.
const BASE_TEXT: usize = 16 << 20;
/// No text may grow beyond this, whatever the input.
const MAX_TEXT: usize = 48 << 20;
/// How much memory a render may take, before four times the input is added.
const BASE_MEMORY: usize = 96 << 20;
/// Fewer bytes are taken without looking at the memory; so many are taken in a slice at most.
const UNCHECKED: usize = 1 << 16;

/// What a caller says when it is asked whether a render may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    GoOn,
    /// The caller wants to render it anew, in another way ([`ErrorKind::Paused`]).
    Pause,
    /// It has taken too long ([`ErrorKind::Limit`]).
    Late,
    /// The caller has been interrupted ([`ErrorKind::Interrupted`]).
    Interrupt,
}

/// Asked every so many steps, after the first 50,000.
pub type Watch = fn() -> Verdict;

thread_local! {
    static STATE: State = const { State::new() };
}

/// The purse of the render that is under way in this thread.
struct State {
    /// What is left of the current slice.
    left: Cell<u64>,
    /// What can be drawn beside it.
    units: Cell<u64>,
    watch: Cell<Option<Watch>>,
    halted: Cell<Option<Halt>>,
    limits: Cell<Limits>,
    /// How many bytes this thread has allocated and not freed, as far as they are counted.
    live: Cell<isize>,
}

#[derive(Clone, Copy)]
struct Limits {
    /// The longest text.
    text: usize,
    /// The most memory beyond what was alive when the render began.
    memory: usize,
    before: isize,
}

impl State {
    const fn new() -> Self {
        Self {
            left: Cell::new(0),
            units: Cell::new(0),
            watch: Cell::new(None),
            halted: Cell::new(None),
            limits: Cell::new(Limits { text: 0, memory: 0, before: 0 }),
            live: Cell::new(0),
        }
    }
}

/// Why a render ends early.
#[derive(Clone, Copy)]
enum Halt {
    Steps,
    Text,
    Paused,
    Late,
    Interrupted,
}

/// Tells that the thread has allocated or freed memory. A caller that counts its memory calls this, at least during
/// renders that are watched; otherwise, memory is bounded by the steps alone.
#[inline]
pub fn count_memory(change: isize) {
    STATE.with(|state| state.live.set(state.live.get().wrapping_add(change)));
}

/// The purse of one render. Dropping it gives back the one that it replaced: a watch may render something itself.
pub(crate) struct Purse {
    outer: (u64, u64, Option<Watch>, Option<Halt>, Limits),
    /// The first slice of the evaluator, which has a purse at hand.
    pub(crate) steps: u64,
    /// No text may be longer.
    pub(crate) longest: usize,
}

impl Purse {
    /// Fills the purse for a render of an input of so many bytes.
    pub(crate) fn filled(input: usize, watch: Option<Watch>) -> Self {
        let units = BASE_FUEL.saturating_add(FUEL_PER_BYTE.saturating_mul(input as u64)) - 2 * FIRST;
        let text = BASE_TEXT.saturating_add(input.saturating_mul(4)).min(MAX_TEXT);
        let memory = BASE_MEMORY.saturating_add(input.saturating_mul(4));
        let outer = STATE.with(|state| {
            let limits = Limits { text, memory, before: state.live.get() };
            (
                state.left.replace(FIRST),
                state.units.replace(units),
                state.watch.replace(watch),
                state.halted.replace(None),
                state.limits.replace(limits),
            )
        });
        Self { outer, steps: FIRST, longest: text }
    }

    /// What the render gives, or why it was ended; gives the purse back.
    pub(crate) fn close<T>(purse: Self, result: Result<T>) -> Result<T> {
        let halted = STATE.with(|state| state.halted.get());
        drop(purse);
        let Some(halt) = halted else { return result };
        let mut error = halt.error();
        error.offset = result.err().and_then(|error| error.offset);
        Err(error)
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        STATE.with(|state| {
            let (left, units, watch, halted, limits) = self.outer;
            state.left.set(left);
            state.units.set(units);
            state.watch.set(watch);
            state.halted.set(halted);
            state.limits.set(limits);
        });
    }
}

/// Pays for `units` steps or items.
pub(crate) fn spend(units: usize) -> Result<()> {
    if units == 0 {
        return Ok(());
    }
    let units = units as u64;
    let paid = STATE.with(|state| {
        let left = state.left.get();
        let paid = left >= units;
        if paid {
            state.left.set(left - units);
        }
        paid
    });
    if paid { Ok(()) } else { refill(units) }
}

#[cold]
fn refill(units: u64) -> Result<()> {
    let left = STATE.with(|state| state.left.get());
    // A watch may render something itself, but it leaves this purse as it was.
    let more = draw(units - left)?;
    STATE.with(|state| state.left.set(left + more - units));
    Ok(())
}

/// Takes a slice out of the purse: `wanted` steps or more.
pub(crate) fn draw(wanted: u64) -> Result<u64> {
    let (units, watch, halted) =
        STATE.with(|state| (state.units.get(), state.watch.get(), state.halted.get()));
    if let Some(halt) = halted {
        return Err(halt.error());
    }
    if units < wanted {
        return Err(halt(Halt::Steps));
    }
    match watch.map_or(Verdict::GoOn, |watch| watch()) {
        Verdict::GoOn => {}
        Verdict::Pause => return Err(halt(Halt::Paused)),
        Verdict::Late => return Err(halt(Halt::Late)),
        Verdict::Interrupt => return Err(halt(Halt::Interrupted)),
    }
    check_memory(0)?;
    let slice = wanted.max(SLICE).min(units);
    STATE.with(|state| state.units.set(units - slice));
    Ok(slice)
}

/// Pays for looking at a text.
pub(crate) fn look(bytes: usize) -> Result<()> {
    spend(1 + bytes / BYTES_PER_UNIT)
}

/// Pays for a new text, before it is made.
pub(crate) fn make(bytes: usize) -> Result<()> {
    look(bytes)?;
    if bytes > UNCHECKED { check_text(bytes) } else { Ok(()) }
}

/// Pays for what is about to be appended to a text.
pub(crate) fn grow(text: &str, bytes: usize) -> Result<()> {
    look(bytes)?;
    let bytes = text.len().saturating_add(bytes);
    if bytes > UNCHECKED { check_text(bytes) } else { Ok(()) }
}

/// Pays for a container of so many items, before it is made.
pub(crate) fn gather(items: usize) -> Result<()> {
    spend(items)?;
    room(items.saturating_mul(size_of::<super::value::Value<'_>>()))
}

/// Fails when so many bytes more would be too much.
pub(crate) fn room(bytes: usize) -> Result<()> {
    if bytes > UNCHECKED { check_memory(bytes) } else { Ok(()) }
}

#[cold]
fn check_text(bytes: usize) -> Result<()> {
    if bytes > STATE.with(|state| state.limits.get().text) {
        return Err(too_long());
    }
    // A text is copied once when it becomes a value.
    check_memory(bytes.saturating_mul(2))
}

/// The error of a text that would be too long.
#[cold]
pub(crate) fn too_long() -> Box<Error> {
    halt(Halt::Text)
}

fn check_memory(bytes: usize) -> Result<()> {
    let (limits, live) = STATE.with(|state| (state.limits.get(), state.live.get()));
    let live = usize::try_from(live.wrapping_sub(limits.before)).unwrap_or(0);
    if live.saturating_add(bytes) > limits.memory {
        return Err(halt(Halt::Steps));
    }
    Ok(())
}

/// Ends the render: nothing can be paid for any more.
#[cold]
fn halt(reason: Halt) -> Box<Error> {
    STATE.with(|state| {
        let halted = state.halted.get().unwrap_or(reason);
        state.halted.set(Some(halted));
        state.left.set(0);
        state.units.set(0);
        halted.error()
    })
}

impl Halt {
    fn error(self) -> Box<Error> {
        match self {
            Self::Steps => Error::limit("the template takes too many steps or too much memory to render"),
            Self::Text => Error::limit("the output grows too large"),
            Self::Late => Error::limit("the template takes too long to render"),
            Self::Paused => Error::new(ErrorKind::Paused, "the render was paused"),
            Self::Interrupted => Error::new(ErrorKind::Interrupted, "the render was interrupted"),
        }
    }
}
