//! Memory of the system, counted while a template is rendered that takes long.
//!
//! The core bounds the memory of such a render by what is counted here ([`count_memory`]). Nothing is counted
//! otherwise: a short render takes little memory, and counting would cost it a few percent of its time.
#![allow(unsafe_code, reason = "an allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use clemcore::template::count_memory;

/// How many renders want the memory to be counted.
static WANTED: AtomicUsize = AtomicUsize::new(0);

/// While it lives, the memory of each thread is counted.
pub(crate) struct Counting(());

impl Counting {
    pub(crate) fn start() -> Self {
        WANTED.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        WANTED.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

#[inline]
fn count(change: isize) {
    if WANTED.load(Ordering::Relaxed) != 0 {
        count_memory(change);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(memory, layout, size) }
    }
}
