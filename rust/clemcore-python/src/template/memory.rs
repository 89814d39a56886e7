//! The memory that a render works in, kept from one render of a thread to the next.

use std::cell::Cell;

use clemcore::template::Arena;

/// More memory than this is not kept for the next render.
pub(super) const KEPT_MEMORY: usize = 1 << 20;

/// The memory that a render works in.
#[derive(Default)]
pub(super) struct Memory {
    /// For the input.
    pub(super) arena: Arena,
    /// For the text.
    pub(super) buffer: String,
}

thread_local! {
    /// The memory of the last render, for the next one.
    static MEMORY: Cell<Option<Box<Memory>>> = const { Cell::new(None) };
}

impl Memory {
    /// The memory that was kept, or new.
    pub(super) fn taken() -> Box<Self> {
        MEMORY.take().unwrap_or_default()
    }

    /// Forgets what was read.
    pub(super) fn tidy(&mut self) {
        if self.arena.size() <= KEPT_MEMORY {
            self.arena.reset();
        } else {
            self.arena = Arena::default();
        }
    }

    /// Keeps what is not too large.
    pub(super) fn keep(mut self: Box<Self>, buffer: String) {
        self.tidy();
        if buffer.capacity() <= KEPT_MEMORY {
            self.buffer = buffer;
        }
        MEMORY.set(Some(self));
    }
}
