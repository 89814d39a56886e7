//! Where the compiler stands: the scope, its function, and what is allowed here.

use std::rc::Rc;

use super::scope::Symbols;

#[derive(Clone)]
pub(super) struct Frame<'s> {
    pub(super) symbols: Rc<Symbols<'s>>,
    pub(super) func: usize,
    /// The template's own level, `if` branches included.
    pub(super) toplevel: bool,
    /// Inside an `if` or conditional expression: an unknown filter is an error only when it is reached.
    pub(super) soft: bool,
    /// Enclosing loops of the same function: `break` needs one.
    pub(super) loops: u32,
}

impl<'s> Frame<'s> {
    pub(super) fn new(symbols: Rc<Symbols<'s>>, func: usize) -> Self {
        Self { symbols, func, toplevel: false, soft: false, loops: 0 }
    }

    /// A new scope in the same function.
    pub(super) fn inner(&self, symbols: Symbols<'s>) -> Self {
        Self { symbols: Rc::new(symbols), func: self.func, toplevel: false, soft: false, loops: self.loops }
    }

    /// The same scope, inside a condition.
    pub(super) fn soft(&self) -> Self {
        Self { soft: true, ..self.clone() }
    }
}
