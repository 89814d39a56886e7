//! `for` loops and the `loop` variable.

use super::iterate::iterate;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Vm;
use super::exec::Flow;
use crate::template::builtins::args::Args;
use crate::template::error::{Error, Result};
use crate::template::ir::{For, LoopTest, Target};
use crate::template::ops::compare::equals;
use crate::template::ops::truth::{length, truthy};
use crate::template::value::{Iter, LoopState, Object, Recurse, Seq, Shared, Value};

/// What a loop takes its items from: an iteration and the loop's own `if`.
pub(crate) struct FilterSource<'a> {
    iter: Iter<'a>,
    test: Option<&'a LoopTest>,
    started: bool,
}

impl<'a> Vm<'a> {
    pub(super) fn for_loop(&mut self, node: &'a For) -> Result<Flow> {
        let iterable = self.eval(&node.iter)?;
        let mut completed = false;
        let flow = match (&iterable, &node.test, node.loop_slot) {
            (Value::List(seq) | Value::Tuple(seq), None, None) => {
                let seq = seq.clone();
                self.plain_loop(node, &seq, &mut completed)
            }
            _ => self.general_loop(node, iterable, &mut completed),
        }?;
        debug_assert!(flow == Flow::Next);
        self.leave(&node.scope.leave);
        if let (Some((scope, body)), false) = (&node.otherwise, completed) {
            self.enter(&scope.entry);
            let flow = self.body(body)?;
            self.leave(&scope.leave);
            return Ok(flow);
        }
        Ok(Flow::Next)
    }

    fn plain_loop(&mut self, node: &'a For, seq: &Shared<'a, Seq<'a>>, completed: &mut bool) -> Result<Flow> {
        for item in seq.items.iter() {
            if let Target::Slot(slot) = node.target {
                let place = self.base + slot as usize;
                self.slots[place].copy_from(item);
            } else {
                self.assign(&node.target, item.clone())?;
            }
            if self.round(node, completed)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// One round of the body. A round that ends early does not count for `else`.
    fn round(&mut self, node: &'a For, completed: &mut bool) -> Result<Flow> {
        self.pay(node.price)?;
        self.load(&node.scope.entry);
        let flow = self.body(&node.body)?;
        *completed |= flow == Flow::Next;
        Ok(flow)
    }

    fn general_loop(&mut self, node: &'a For, iterable: Value<'a>, completed: &mut bool) -> Result<Flow> {
        let size = if node.test.is_some() { None } else { length(&iterable).ok() };
        let seq = match &iterable {
            Value::List(seq) | Value::Tuple(seq) if node.test.is_none() => Some(seq.clone()),
            _ => None,
        };
        let iter = iterate(iterable)?;
        let mut source = FilterSource { iter, test: node.test.as_ref(), started: false };
        let Some(slot) = node.loop_slot else {
            while let Some(item) = self.pull(&mut source)? {
                self.assign(&node.target, item)?;
                if self.round(node, completed)? == Flow::Break {
                    break;
                }
            }
            return Ok(Flow::Next);
        };
        let state = Shared::from(Object::Loop(Box::new(self.loop_state(node, source, size, seq.clone()))));
        if let (Some(seq), Target::Slot(target)) = (&seq, &node.target) {
            return self.counted_loop(node, seq, &state, slot, *target, completed);
        }
        while let Some(item) = self.advance(&state)? {
            self.assign(&node.target, item)?;
            // An inner loop of the same level may have used the slot.
            let place = self.base + slot as usize;
            if !matches!(&self.slots[place], Value::Object(object) if object.is(&state)) {
                self.slots[place] = Value::Object(state.clone());
            }
            if self.round(node, completed)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// A loop over items that are all there, one variable each.
    fn counted_loop(
        &mut self,
        node: &'a For,
        seq: &Seq<'a>,
        object: &Shared<'a, Object<'a>>,
        slot: u32,
        target: u32,
        completed: &mut bool,
    ) -> Result<Flow> {
        let Object::Loop(state) = &**object else { return Ok(Flow::Next) };
        while let Some(item) = seq.items.get(state.index.get()) {
            state.index.set(state.index.get() + 1);
            let (target, slot) = (self.base + target as usize, self.base + slot as usize);
            self.slots[target].copy_from(item);
            // An inner loop of the same level may have used the slot.
            if !matches!(&self.slots[slot], Value::Object(known) if known.is(object)) {
                self.slots[slot] = Value::Object(object.clone());
            }
            if self.round(node, completed)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn loop_state(
        &mut self,
        node: &'a For,
        source: FilterSource<'a>,
        size: Option<usize>,
        seq: Option<Shared<'a, Seq<'a>>>,
    ) -> LoopState<'a> {
        let depth0 = if node.recursive.is_some() { self.loop_depth } else { 0 };
        let home = self
            .active
            .last()
            .map_or((0, 0), |a| (a.parent, self.active.get(a.parent).map_or(0, |parent| parent.serial)));
        LoopState {
            seq,
            source: RefCell::new(source),
            length: Cell::new(size),
            index: Cell::new(0),
            depth0,
            after: RefCell::new(None),
            current: RefCell::new(Value::Missing),
            before: RefCell::new(Value::Missing),
            changed: RefCell::new(None),
            recurse: node.recursive.map(|func| Recurse { func: func as usize, home: home.0, serial: home.1 }),
        }
    }

    /// The next item that passes the loop's `if`.
    fn pull(&mut self, source: &mut FilterSource<'a>) -> Result<Option<Value<'a>>> {
        let Some(test) = source.test else {
            self.pay(1)?;
            return self.next(&mut source.iter);
        };
        if !source.started {
            source.started = true;
            self.enter(&test.entry);
        }
        while let Some(item) = self.next(&mut source.iter)? {
            self.pay(1)?;
            self.assign(&test.target, item.clone())?;
            if truthy(&self.eval(&test.test)?) {
                return self.regroup(&test.target, item).map(Some);
            }
        }
        Ok(None)
    }

    /// A filtered loop hands unpacked items on as tuples.
    fn regroup(&mut self, target: &'a Target, item: Value<'a>) -> Result<Value<'a>> {
        match target {
            Target::Tuple(targets) => {
                let parts = targets.iter().map(|target| match target {
                    Target::Slot(slot) => Ok(self.slots[self.base + *slot as usize].clone()),
                    other => self.regroup(other, Value::Missing),
                });
                Value::tuple(parts.collect::<Result<_>>()?)
            }
            Target::Slot(slot) if matches!(item, Value::Missing) => {
                Ok(self.slots[self.base + *slot as usize].clone())
            }
            _ => Ok(item),
        }
    }

    fn advance(&mut self, object: &Shared<'a, Object<'a>>) -> Result<Option<Value<'a>>> {
        let Object::Loop(state) = &**object else { return Ok(None) };
        if let Some(seq) = &state.seq {
            self.pay(1)?;
            let place = state.index.get();
            let Some(item) = seq.items.get(place) else { return Ok(None) };
            state.index.set(place + 1);
            return Ok(Some(item.clone()));
        }
        let after = state.after.take();
        let item = match after {
            Some(Value::Missing) => None,
            Some(item) => Some(item),
            None => self.pull_state(state)?,
        };
        let Some(item) = item else { return Ok(None) };
        state.index.set(state.index.get() + 1);
        let before = state.current.replace(item.clone());
        state.before.replace(before);
        Ok(Some(item))
    }

    fn pull_state(&mut self, state: &LoopState<'a>) -> Result<Option<Value<'a>>> {
        // The source is taken out while it runs: its test may look at the loop that it feeds.
        let empty = FilterSource { iter: Iter::Empty, test: None, started: true };
        let mut source = state.source.replace(empty);
        let item = self.pull(&mut source);
        state.source.replace(source);
        item
    }

    /// The item after the current one; `Missing` at the end. Stays where it is.
    fn look_ahead(&mut self, state: &LoopState<'a>) -> Result<Value<'a>> {
        if let Some(seq) = &state.seq {
            return Ok(seq.items.get(state.index.get()).cloned().unwrap_or(Value::Missing));
        }
        if let Some(item) = &*state.after.borrow()
            && !matches!(item, Value::Missing)
        {
            return Ok(item.clone());
        }
        let item = self.pull_state(state)?.unwrap_or(Value::Missing);
        state.after.replace(Some(item.clone()));
        Ok(item)
    }

    fn loop_length(&mut self, state: &LoopState<'a>) -> Result<usize> {
        if let Some(length) = state.length.get() {
            return Ok(length);
        }
        let mut rest = Vec::new();
        while let Some(item) = self.pull_state(state)? {
            rest.push(item);
        }
        let waiting = matches!(&*state.after.borrow(), Some(item) if !matches!(item, Value::Missing));
        let length = rest.len() + state.index.get() + usize::from(waiting);
        let iter = Iter::Seq(Seq::new(rest)?.into(), 0);
        state.source.replace(FilterSource { iter, test: None, started: true });
        state.length.set(Some(length));
        Ok(length)
    }

    /// An attribute of `loop`.
    pub(super) fn loop_attr(&mut self, object: &Shared<'a, Object<'a>>, name: &str) -> Result<Value<'a>> {
        let Object::Loop(state) = &**object else { return Ok(Value::None) };
        let index = state.index.get();
        Ok(match name {
            "index" => Value::size(index),
            "index0" => Value::size(index.saturating_sub(1)),
            "first" => Value::Bool(index == 1),
            "last" => {
                if let (Some(length), None) = (state.length.get(), &*state.after.borrow()) {
                    return Ok(Value::Bool(index >= length));
                }
                Value::Bool(matches!(self.look_ahead(state)?, Value::Missing))
            }
            "length" => Value::size(self.loop_length(state)?),
            "revindex" => Value::size((self.loop_length(state)? + 1).saturating_sub(index)),
            "revindex0" => Value::size(self.loop_length(state)?.saturating_sub(index)),
            "depth" => Value::size(state.depth0 + 1),
            "depth0" => Value::size(state.depth0),
            "previtem" if index == 1 => Value::undefined_hint("there is no previous item"),
            "previtem" => match &state.seq {
                Some(seq) => seq.items.get(index.wrapping_sub(2)).cloned().unwrap_or(Value::Missing),
                None => state.before.borrow().clone(),
            },
            "nextitem" => match self.look_ahead(state)? {
                Value::Missing => Value::undefined_hint("there is no next item"),
                item => item,
            },
            "cycle" | "changed" => return Err(Error::unsupported("a method of loop that is not called")),
            _ if name.starts_with('_') => return Err(Error::unsupported("private attributes of loop")),
            _ => {
                let key = Value::Owned(Rc::from(name));
                Value::missing_element(&Value::Object(object.clone()), key)
            }
        })
    }

    /// `loop.cycle(…)` and `loop.changed(…)`.
    pub(super) fn loop_method(
        object: &Shared<'a, Object<'a>>,
        name: &str,
        args: Args<'a>,
    ) -> Result<Value<'a>> {
        let Object::Loop(state) = &**object else { return Ok(Value::None) };
        args.no_keywords(name)?;
        if name == "cycle" {
            if args.pos.is_empty() {
                return Err(Error::type_error("no items for cycling given"));
            }
            let place = state.index.get().saturating_sub(1) % args.pos.len();
            return Ok(args.pos[place].clone());
        }
        let mut last = state.changed.borrow_mut();
        let same = last.as_ref().is_some_and(|known| {
            known.len() == args.pos.len() && known.iter().zip(&args.pos).all(|(a, b)| equals(a, b))
        });
        if !same {
            *last = Some(args.pos);
        }
        Ok(Value::Bool(!same))
    }

    /// Runs a recursive loop's function over `value`; its text is appended to the output.
    pub(super) fn recursive_loop(
        &mut self,
        func: u32,
        home: usize,
        serial: u64,
        value: Value<'a>,
        depth: usize,
    ) -> Result<()> {
        if self.active.get(home).is_none_or(|a| a.serial != serial) {
            return Err(Error::unsupported("a loop that outlives its function"));
        }
        let func = self.func(func)?;
        self.enter_call()?;
        self.push(func, home);
        self.set_slot(0, value);
        let outer = std::mem::replace(&mut self.loop_depth, depth);
        let start = self.out.len();
        self.captures.push(start);
        self.body(&func.body)?;
        self.close_capture()?;
        self.loop_depth = outer;
        self.pop();
        self.calls -= 1;
        Ok(())
    }
}
