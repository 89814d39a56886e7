//! The variables that a caller hands to a render.

use super::Template;
use super::input::Input;
use super::value::{Arena, Object, Shared, Value};

/// The variables of one render of one template, and the memory that it works in.
pub struct Variables<'a> {
    pub(crate) template: &'a Template,
    pub(crate) arena: &'a Arena,
    pub(crate) values: Vec<Value<'a>>,
}

impl<'a> Variables<'a> {
    /// Nothing is set but what is built in. Shapes of `template` may be used in the values.
    #[must_use]
    pub fn new(template: &'a Template, arena: &'a Arena) -> Self {
        let program = &template.program;
        let mut values = arena.values();
        values.resize_with(program.names.len(), || Value::Missing);
        for (number, global) in &program.globals {
            values[*number as usize] = Value::Object(Shared::Lent(arena.put(Object::Global(*global))));
        }
        Self { template, arena, values }
    }

    /// The same variables once more, for a render of their own.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut values = self.arena.values();
        values.extend_from_slice(&self.values);
        Self { template: self.template, arena: self.arena, values }
    }

    /// Sets a variable; the template may not read it at all.
    pub fn set(&mut self, name: &str, value: Input<'a>) {
        if let Some(place) = self.template.place_of(name) {
            self.set_at(place, value);
        }
    }

    /// Sets the variable of this place ([`Template::place_of`]).
    pub fn set_at(&mut self, place: usize, value: Input<'a>) {
        if let Some(slot) = self.values.get_mut(place) {
            *slot = value.0;
        }
    }
}
