//! Calls: macros, methods, globals; call and generation blocks.

use super::iterate::iterate;
use super::peek::Peek;
use std::rc::Rc;

use super::{MAX_CALLS, Vm};
use crate::template::budget::{gather, spend};
use crate::template::builtins::args::Args;
use crate::template::builtins::{admit, globals, methods};
use crate::template::error::{Error, Result};
use crate::template::ir::{self, Expr, ExprKind, Func};
use crate::template::ops::index::{Method, get_attr};
use crate::template::value::{Dict, Object, Undef, Value};

impl<'a> Vm<'a> {
    pub(super) fn func(&self, number: u32) -> Result<&'a Func> {
        self.program.funcs.get(number as usize).ok_or_else(|| Error::runtime("unknown function"))
    }

    pub(super) fn enter_call(&mut self) -> Result<()> {
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(Error::recursion("maximum recursion depth exceeded"));
        }
        Ok(())
    }

    pub(super) fn args(&mut self, args: &'a ir::Args) -> Result<Args<'a>> {
        if args.is_empty() {
            return Ok(Args::default());
        }
        let mut out = Args { pos: self.all(&args.pos)?, kw: Vec::with_capacity(args.kw.len()) };
        for (name, value) in &args.kw {
            out.kw.push((Value::Str(name), self.eval(value)?));
        }
        if let Some(star) = &args.star {
            let value = self.eval(star)?;
            let mut iter = iterate(value)?;
            while let Some(item) = self.next(&mut iter)? {
                out.pos.push(item);
            }
        }
        if let Some(star) = &args.double_star {
            match self.eval(star)? {
                Value::Dict(dict) => {
                    for (key, value) in dict.entries() {
                        spend(1 + out.kw.len() / 16)?;
                        let Some(name) = key.as_str() else {
                            return Err(Error::type_error("keywords must be strings"));
                        };
                        if out.kw.iter().any(|(known, _)| known.as_str() == Some(name)) {
                            let message = format!("got multiple values for keyword argument '{name}'");
                            return Err(Error::type_error(message));
                        }
                        out.kw.push((key.clone(), value.clone()));
                    }
                }
                Value::Undefined(undef) => return Err(undef.error()),
                other => {
                    let name = other.type_name();
                    return Err(Error::type_error(format!(
                        "argument after ** must be a mapping, not {name}"
                    )));
                }
            }
        }
        Ok(out)
    }

    pub(super) fn call_expr(&mut self, callee: &'a Expr, args: &'a ir::Args) -> Result<Value<'a>> {
        let (ExprKind::Attr(owner, key) | ExprKind::ItemStr(owner, key)) = &callee.kind else {
            let callee = self.eval(callee)?;
            let args = self.args(args)?;
            return self.call_value(&callee, args);
        };
        let name = &*key.name;
        let by_item = matches!(callee.kind, ExprKind::ItemStr(..));
        let owner = self.eval(owner)?;
        if !by_item && !matches!(owner, Value::Object(_)) && methods::has_method(&owner, name) == Method::Yes
        {
            let args = self.args(args)?;
            return methods::call(self, &owner, name, args);
        }
        if let Value::Object(object) = &owner
            && matches!(&**object, Object::Loop(_))
            && matches!(name, "cycle" | "changed")
        {
            let args = self.args(args)?;
            return Self::loop_method(object, name, args);
        }
        let callee = match &owner {
            Value::Object(object) if matches!(&**object, Object::Loop(_)) => self.loop_attr(object, name)?,
            Value::Object(object) => match &**object {
                Object::Macro { id, .. } => self.macro_attr(*id, name)?,
                _ => get_attr(&owner, name, || Value::Str(name))?,
            },
            _ if by_item => crate::template::ops::index::get_item_str(&owner, name)?,
            _ => get_attr(&owner, name, || Value::Str(name))?,
        };
        let args = self.args(args)?;
        self.call_value(&callee, args)
    }

    /// Calls any value.
    pub(crate) fn call_value(&mut self, callee: &Value<'a>, args: Args<'a>) -> Result<Value<'a>> {
        callee.defined()?;
        if let Value::Object(object) = callee {
            match &**object {
                Object::Macro { id, home, serial } => {
                    let start = self.begin_capture();
                    self.call_macro(*id, *home, *serial, args)?;
                    return self.end_capture(start);
                }
                Object::Method(owner, name) => return methods::call(self, owner, name, args),
                Object::Global(global) => {
                    admit(self, callee, &args)?;
                    return globals::call(self, *global, args);
                }
                Object::Loop(state) => {
                    let Some(recurse) = state.recurse else {
                        return Err(Error::type_error(
                            "The loop must have the 'recursive' marker to be called recursively.",
                        ));
                    };
                    let [value] = args.exactly("loop", &["iterable"])?;
                    let func = u32::try_from(recurse.func).unwrap_or(u32::MAX);
                    let depth = state.depth0 + 1;
                    let start = self.begin_capture();
                    self.recursive_loop(func, recurse.home, recurse.serial, value, depth)?;
                    return self.end_capture(start);
                }
                Object::Joiner(separator, used) => {
                    args.exactly::<0>("joiner", &[])?;
                    return Ok(if used.replace(true) { separator.clone() } else { Value::Str("") });
                }
                _ => {}
            }
        }
        Err(Error::type_error(format!("'{}' object is not callable", callee.type_name())))
    }

    /// Writes a call; a macro writes straight to the output.
    pub(super) fn emit_call(&mut self, expr: &'a Expr, callee: &'a Expr, args: &'a ir::Args) -> Result<()> {
        if let Peek::Found(Value::Object(object)) = self.peek(callee)
            && let Object::Macro { id, home, serial } = **object
        {
            let args = self.args(args)?;
            self.begin_capture();
            self.call_macro(id, home, serial, args)?;
            return self.close_capture();
        }
        let value = self.eval(expr)?;
        self.print(&value)
    }

    pub(super) fn macro_value(&self, func: u32) -> Value<'a> {
        let (home, serial) = self.home();
        Value::object(Object::Macro { id: func as usize, home, serial })
    }

    pub(super) fn macro_attr(&self, id: usize, name: &'a str) -> Result<Value<'a>> {
        let func = self.func(u32::try_from(id).unwrap_or(u32::MAX))?;
        Ok(match name {
            "name" if func.name.is_empty() => Value::None,
            "name" => Value::Str(&func.name),
            "arguments" => {
                gather(func.params.len())?;
                Value::tuple(func.params.iter().map(|p| Value::Str(&p.name)).collect())?
            }
            "catch_kwargs" => Value::Bool(func.kwargs.is_some()),
            "catch_varargs" => Value::Bool(func.varargs.is_some()),
            "caller" => Value::Bool(func.caller.is_some()),
            "explicit_caller" => Value::Bool(func.params.iter().any(|p| &*p.name == "caller")),
            _ if name.starts_with('_') => return Err(Error::unsupported("private attributes of a macro")),
            _ => Value::Undefined(Rc::new(Undef::Element("Macro", Value::Str(name)))),
        })
    }

    /// Runs a macro's body; its text is appended to the output.
    fn call_macro(&mut self, id: usize, home: usize, serial: u64, args: Args<'a>) -> Result<()> {
        let func = self.func(u32::try_from(id).unwrap_or(u32::MAX))?;
        if self.active.get(home).is_none_or(|a| a.serial != serial) {
            return Err(Error::unsupported("a macro that outlives the macro it was defined in"));
        }
        self.enter_call()?;
        self.push(func, home);
        let result = self.bind(func, args).and_then(|()| self.body(&func.body));
        if result.is_ok() {
            self.pop();
            self.calls -= 1;
        }
        result.map(|_| ())
    }

    /// Puts the arguments of a macro call into its variables.
    fn bind(&mut self, func: &'a Func, mut args: Args<'a>) -> Result<()> {
        let count = func.params.len();
        let mut found_caller = args.pos.len() >= count && func.params.iter().any(|p| &*p.name == "caller");
        let extra = if args.pos.len() > count { args.pos.split_off(count) } else { Vec::new() };
        let given = args.pos.len();
        for (param, value) in func.params.iter().zip(args.pos.drain(..)) {
            self.set_slot(param.slot, value);
        }
        for param in &func.params[given..] {
            found_caller |= &*param.name == "caller";
            if let Some(value) = args.take(&param.name) {
                self.set_slot(param.slot, value);
            }
        }
        if let (Some(slot), false) = (func.caller, found_caller) {
            let caller = args.take("caller").filter(|v| !matches!(v, Value::None));
            self.set_slot(slot, caller.unwrap_or_else(|| Value::undefined_hint("No caller defined")));
        }
        if let Some(slot) = func.kwargs {
            let mut dict = Dict::with_capacity(args.kw.len());
            for (key, value) in args.kw.drain(..) {
                dict.insert(key, value)?;
            }
            self.set_slot(slot, Value::Dict(dict.into()));
        } else if let Some((name, _)) = args.kw.first() {
            let name = name.as_str().unwrap_or_default();
            return Err(Error::type_error(format!(
                "macro '{}' takes no keyword argument '{name}'",
                func.name
            )));
        }
        if let Some(slot) = func.varargs {
            self.set_slot(slot, Value::tuple(extra)?);
        } else if !extra.is_empty() {
            let message = format!("macro '{}' takes not more than {count} argument(s)", func.name);
            return Err(Error::type_error(message));
        }
        self.enter(&func.entry);
        for param in &func.params {
            let place = self.base + param.slot as usize;
            if matches!(self.slots[place], Value::Missing) {
                let value = match &param.default {
                    Some(default) => self.eval(default)?,
                    None => {
                        let hint = format!("parameter '{}' was not provided", param.name);
                        Value::Undefined(Rc::new(Undef::Hint(hint.into())))
                    }
                };
                self.set_slot(param.slot, value);
            }
        }
        Ok(())
    }

    pub(super) fn call_block(&mut self, func: u32, call: &'a Expr) -> Result<()> {
        let caller = self.macro_value(func);
        let ExprKind::Call(callee, args) = &call.kind else { return Ok(()) };
        let callee = self.eval(callee)?;
        let mut args = self.args(args)?;
        args.kw.push((Value::Str("caller"), caller));
        let value = self.call_value(&callee, args)?;
        self.write_block(&value)
    }

    /// A generation block is a macro that is called at once; what it writes at the top is a span of the assistant.
    pub(super) fn generation(&mut self, func: u32) -> Result<()> {
        let before = self.out.len();
        let top = self.captures.first().copied().unwrap_or(before);
        let (home, serial) = self.home();
        self.captures.push(before);
        self.call_macro(func as usize, home, serial, Args::default())?;
        self.close_capture()?;
        let characters = self.out.get(before..).map_or(0, |text| text.chars().count());
        self.spans.push((top, characters));
        Ok(())
    }
}
