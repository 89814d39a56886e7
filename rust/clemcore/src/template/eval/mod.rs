//! Walks a program and writes text.
//!
//! [`Vm`] holds the variables, the output and the bounds of one render. Statements are in [`exec`], expressions in
//! [`expr`], printing in [`emit`], calls in [`call`], loops in [`loops`], iteration in [`iterate`].

mod call;
mod emit;
mod exec;
mod expr;
mod iterate;
mod loops;
mod peek;
mod scalar;

use std::rc::Rc;

use super::budget::{self, Purse};
use super::error::{Error, Result};
use super::ir::{Func, Load, Program, Var};
use super::text::strftime::Clock;
use super::value::{Arena, ArenaVec, Object, Shared, Value};
use super::variables::Variables;
pub(crate) use exec::private_name;
pub(crate) use iterate::{fold, iterate, walk};
pub(crate) use loops::FilterSource;

/// Macros may call each other this deep; Python's own recursion limit ends at about the same depth.
const MAX_CALLS: u32 = 160;

/// One render.
pub(crate) struct Vm<'a> {
    program: &'a Program,
    /// The variables of all active functions.
    slots: Vec<Value<'a>>,
    /// Where the variables of the current function start.
    base: usize,
    active: ArenaVec<'a, Activation>,
    context: Vec<Value<'a>>,
    arena: &'a Arena,
    pub(crate) out: String,
    /// Where each running capture starts in `out`.
    captures: ArenaVec<'a, usize>,
    /// The depth of the capture into which a filter or call block wrote something that is not text. jinja2 notices only
    /// when that capture ends.
    broken: Option<usize>,
    /// What is left of the slice of steps at hand.
    steps: u64,
    /// No output, captured or final, may grow beyond this.
    longest: usize,
    /// The text of the innermost finished capture, for its filter.
    captured: Vec<Value<'a>>,
    spans: Vec<(usize, usize)>,
    pub(crate) clock: Option<Clock>,
    calls: u32,
    /// How deep the recursive loop that starts next is nested.
    loop_depth: usize,
    serial: u64,
    namespaces: Vec<Shared<'a, Object<'a>>>,
}

#[derive(Clone, Copy)]
struct Activation {
    base: usize,
    /// The place in `active` of the function that this one was defined in.
    parent: usize,
    serial: u64,
}

/// What a render gives.
pub(crate) struct Output {
    pub(crate) text: String,
    /// Where each `generation` block wrote, in bytes, and how many characters.
    pub(crate) spans: Vec<(usize, usize)>,
}

/// Renders a program with the caller's variables; `out` is where the text goes.
pub(crate) fn render(
    Variables { template, arena, values: context }: Variables<'_>,
    clock: Option<Clock>,
    purse: Purse,
    out: String,
) -> Result<Output> {
    let program = &template.program;
    let mut vm = Vm {
        program,
        slots: arena.values(),
        base: 0,
        active: arena.vector(4),
        context,
        arena,
        out,
        captures: arena.vector(4),
        broken: None,
        steps: purse.steps,
        longest: purse.longest,
        captured: Vec::new(),
        spans: Vec::new(),
        clock,
        calls: 0,
        loop_depth: 0,
        serial: 0,
        namespaces: Vec::new(),
    };
    let result = vm.run();
    // Namespaces may hold themselves; emptying them lets the memory go.
    for namespace in &vm.namespaces {
        if let Object::Namespace(attrs, _) = &**namespace {
            attrs.borrow_mut().clear();
        }
    }
    arena.keep_values(std::mem::take(&mut vm.slots));
    arena.keep_values(std::mem::take(&mut vm.context));
    Purse::close(purse, result)
        .map(|()| Output { text: std::mem::take(&mut vm.out), spans: std::mem::take(&mut vm.spans) })
}

impl<'a> Vm<'a> {
    fn run(&mut self) -> Result<()> {
        let Some(root) = self.program.funcs.first() else { return Ok(()) };
        self.push(root, 0);
        if let Some(slot) = root.kwargs {
            // The root has no keyword arguments; its slot of that name is `self`.
            self.slots[slot as usize] = Value::object(Object::TemplateReference);
        }
        self.enter(&root.entry);
        self.body(&root.body)?;
        if self.out.len() > self.longest {
            return Err(budget::too_long());
        }
        self.check_unbroken()
    }

    /// Starts a function whose home is the activation `parent`.
    fn push(&mut self, func: &Func, parent: usize) {
        self.serial += 1;
        self.owe(func.slots);
        let base = self.slots.len();
        self.active.push(Activation { base, parent, serial: self.serial });
        self.slots.resize_with(base + func.slots, || Value::Missing);
        self.base = base;
    }

    fn pop(&mut self) {
        if let Some(done) = self.active.pop() {
            self.slots.truncate(done.base);
        }
        self.base = self.active.last().map_or(0, |a| a.base);
    }

    /// The place of the current activation, and its serial number.
    fn home(&self) -> (usize, u64) {
        (self.active.len().saturating_sub(1), self.active.last().map_or(0, |a| a.serial))
    }

    fn outer(&self, var: Var) -> usize {
        let mut place = self.active.len() - 1;
        for _ in 0..var.hops {
            place = self.active[place].parent;
        }
        self.active[place].base + var.slot as usize
    }

    fn enter(&mut self, entry: &'a [Load]) {
        self.owe(entry.len());
        self.load(entry);
    }

    fn load(&mut self, entry: &'a [Load]) {
        for load in entry {
            match load {
                Load::Resolve(slot, name) => {
                    let place = self.base + *slot as usize;
                    self.slots[place].copy_from(&self.context[*name as usize]);
                }
                Load::Alias(slot, var) => {
                    let value = self.slots[self.outer(*var)].clone();
                    self.set_slot(*slot, value);
                }
                Load::Undefined(slot) => self.set_slot(*slot, Value::Missing),
            }
        }
    }

    /// Pays for setting variables. The next step fails where that cannot be paid.
    #[inline]
    fn owe(&mut self, slots: usize) {
        if slots > 16 {
            self.steps = self.steps.saturating_sub(slots as u64 / 4);
        }
    }

    fn leave(&mut self, slots: &[u32]) {
        for slot in slots {
            let place = self.base + *slot as usize;
            self.slots[place] = Value::Missing;
        }
    }

    #[inline]
    fn set_slot(&mut self, slot: u32, value: Value<'a>) {
        let place = self.base + slot as usize;
        self.slots[place] = value;
    }

    /// Remembers a namespace, to empty it at the end.
    pub(crate) fn keep(&mut self, namespace: &Shared<'a, Object<'a>>) {
        self.namespaces.push(namespace.clone());
    }

    /// Pays for steps of the evaluator, from a purse that is at hand; built-ins pay from `budget`.
    #[inline]
    pub(crate) fn pay(&mut self, units: usize) -> Result<()> {
        match self.steps.checked_sub(units as u64) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => self.refill(units as u64),
        }
    }

    #[cold]
    fn refill(&mut self, units: u64) -> Result<()> {
        self.steps += budget::draw(units - self.steps)?;
        self.steps -= units;
        Ok(())
    }

    /// Appends text to the output.
    #[inline]
    pub(crate) fn write(&mut self, text: &str) -> Result<()> {
        let price = 1 + text.len() as u64 / 64;
        // No text grows much in a slice, so that its length is checked where the next one is drawn.
        if self.steps < price {
            self.check_output(text.len(), price)?;
        }
        self.steps -= price;
        self.out.push_str(text);
        Ok(())
    }

    /// Makes sure that a text can be written and paid for.
    #[cold]
    fn check_output(&mut self, bytes: usize, price: u64) -> Result<()> {
        if self.out.len() + bytes > self.longest {
            return Err(budget::too_long());
        }
        budget::room(bytes)?;
        self.steps += budget::draw(price - self.steps)?;
        Ok(())
    }

    fn begin_capture(&mut self) -> usize {
        self.captures.push(self.out.len());
        self.out.len()
    }

    /// Fails when the output of the innermost capture holds something that is not text.
    fn check_unbroken(&mut self) -> Result<()> {
        if self.broken == Some(self.captures.len()) {
            return Err(Error::type_error("sequence item: expected str instance"));
        }
        Ok(())
    }

    /// Ends a capture whose text stays in the output.
    fn close_capture(&mut self) -> Result<()> {
        self.check_unbroken()?;
        self.captures.pop();
        Ok(())
    }

    /// Ends a capture that a `break` or `continue` leaves: its text is lost.
    fn drop_capture(&mut self, start: usize) {
        if self.broken == Some(self.captures.len()) {
            self.broken = None;
        }
        self.captures.pop();
        self.out.truncate(start);
    }

    /// Writes what a filter or call block gives, which must be a string.
    fn write_block(&mut self, value: &Value<'a>) -> Result<()> {
        match value.as_str() {
            Some(text) => self.write(text),
            None => {
                self.broken = Some(self.broken.map_or(self.captures.len(), |b| b.min(self.captures.len())));
                Ok(())
            }
        }
    }

    fn end_capture(&mut self, start: usize) -> Result<Value<'a>> {
        self.close_capture()?;
        budget::make(self.out.len() - start)?;
        Ok(self.take_text(start))
    }

    /// The text that stands in the output from `start` on becomes a value.
    fn take_text(&mut self, start: usize) -> Value<'a> {
        let text = &self.out[start..];
        let text = self.arena.put_text(text).map_or_else(|| Value::Owned(Rc::from(text)), Value::Str);
        self.out.truncate(start);
        text
    }
}
