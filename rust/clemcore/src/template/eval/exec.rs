//! Statements.

use super::Vm;
use super::iterate::iterate;
use crate::template::budget::spend;
use crate::template::error::{Error, Result};
use crate::template::ir::{SetBlock, Stmt, StmtKind, Target};
use crate::template::value::{MAX_NESTING, Object, Value};

/// How a statement ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

impl<'a> Vm<'a> {
    pub(super) fn body(&mut self, body: &'a [Stmt]) -> Result<Flow> {
        for stmt in body {
            let flow = self.stmt(&stmt.kind).map_err(|e| e.at(stmt.at))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn stmt(&mut self, stmt: &'a StmtKind) -> Result<Flow> {
        self.pay(1)?;
        match stmt {
            StmtKind::Text(text) => self.write(text)?,
            StmtKind::Emit(expr) => self.emit(expr)?,
            StmtKind::For(node) => return self.for_loop(node),
            StmtKind::Recursive(func, iter) => {
                let value = self.eval(iter)?;
                let (home, serial) = self.home();
                self.recursive_loop(*func, home, serial, value, 0)?;
            }
            StmtKind::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.test(test)? {
                        return self.body(body);
                    }
                }
                return self.body(otherwise);
            }
            StmtKind::Set(target, expr) => {
                if let Target::Slot(slot) = target {
                    let expr = self.settled(expr)?;
                    if let Some(text) = self.text_of(expr) {
                        self.set_slot(*slot, Value::Str(text));
                    } else {
                        let value = self.eval(expr)?;
                        self.set_slot(*slot, value);
                    }
                } else {
                    self.check_namespaces(target)?;
                    let value = self.eval(expr)?;
                    self.assign(target, value)?;
                }
            }
            StmtKind::SetBlock(node) => return self.set_block(node),
            StmtKind::Macro { slot, func } => {
                let value = self.macro_value(*func);
                self.set_slot(*slot, value);
            }
            StmtKind::Call { func, call } => self.call_block(*func, call)?,
            StmtKind::Generation(func) => self.generation(*func)?,
            StmtKind::Filter { scope, body, filter } => {
                self.enter(&scope.entry);
                let start = self.begin_capture();
                let flow = self.body(body)?;
                if flow != Flow::Next {
                    self.drop_capture(start);
                    return Ok(flow);
                }
                let text = self.end_capture(start)?;
                self.captured.push(text);
                let value = self.eval(filter)?;
                self.captured.pop();
                self.write_block(&value)?;
                self.leave(&scope.leave);
            }
            StmtKind::With { scope, values, body } => {
                self.enter(&scope.entry);
                for (target, expr) in values {
                    let value = self.eval(expr)?;
                    self.assign(target, value)?;
                }
                let flow = self.body(body)?;
                self.leave(&scope.leave);
                return Ok(flow);
            }
            StmtKind::Block(func) => {
                let func = self.func(*func)?;
                self.enter_call()?;
                self.push(func, 0);
                self.enter(&func.entry);
                self.body(&func.body)?;
                self.pop();
                self.calls -= 1;
            }
            StmtKind::Export(name, slot) => {
                let value = self.slots[self.base + *slot as usize].clone();
                self.context[*name as usize] = value;
            }
            StmtKind::Fail(expr, message) => {
                self.eval(expr)?;
                return Err(Error::type_error(*message));
            }
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn set_block(&mut self, node: &'a SetBlock) -> Result<Flow> {
        self.enter(&node.scope.entry);
        let start = self.begin_capture();
        let flow = self.body(&node.body)?;
        if flow != Flow::Next {
            self.drop_capture(start);
            return Ok(flow);
        }
        let mut text = self.end_capture(start)?;
        if let Some(filter) = &node.filter {
            self.captured.push(text);
            text = self.eval(filter)?;
            self.captured.pop();
        }
        self.assign(&node.target, text)?;
        self.leave(&node.scope.leave);
        Ok(Flow::Next)
    }

    /// Attribute targets must be namespaces, which is checked before the value is computed.
    fn check_namespaces(&self, target: &Target) -> Result<()> {
        match target {
            Target::Slot(_) => Ok(()),
            Target::Attr(var, _) => match &self.slots[self.outer(*var)] {
                Value::Object(object) if matches!(&**object, Object::Namespace(..)) => Ok(()),
                _ => Err(Error::runtime("cannot assign attribute on non-namespace object")),
            },
            Target::Tuple(items) => items.iter().try_for_each(|item| self.check_namespaces(item)),
        }
    }

    pub(super) fn assign(&mut self, target: &'a Target, value: Value<'a>) -> Result<()> {
        match target {
            Target::Slot(slot) => {
                self.set_slot(*slot, value);
                Ok(())
            }
            Target::Attr(var, name) => {
                let place = self.outer(*var);
                set_attribute(&self.slots[place], name, value)
            }
            Target::Tuple(targets) => {
                let items = self.unpack(&value, targets.len())?;
                targets.iter().zip(items).try_for_each(|(target, item)| self.assign(target, item))
            }
        }
    }

    fn unpack(&mut self, value: &Value<'a>, wanted: usize) -> Result<Vec<Value<'a>>> {
        let items = match value {
            Value::List(seq) | Value::Tuple(seq) if seq.items.len() > wanted => {
                return Err(Error::value(format!("too many values to unpack (expected {wanted})")));
            }
            Value::List(seq) | Value::Tuple(seq) => seq.items.to_vec(),
            Value::Undefined(_) => Vec::new(),
            other => {
                let mut iter = iterate(other.clone()).map_err(|_| {
                    Error::type_error(format!("cannot unpack non-iterable {} object", other.type_name()))
                })?;
                let mut items = Vec::new();
                while items.len() <= wanted {
                    let Some(item) = self.next(&mut iter)? else { break };
                    items.push(item);
                }
                items
            }
        };
        if items.len() > wanted {
            return Err(Error::value(format!("too many values to unpack (expected {wanted})")));
        }
        if items.len() < wanted {
            let got = items.len();
            return Err(Error::value(format!("not enough values to unpack (expected {wanted}, got {got})")));
        }
        Ok(items)
    }
}

/// `namespace.name = value`. Only blocks come here with something else, because jinja2 forgot to check them.
fn set_attribute<'a>(namespace: &Value<'a>, name: &'a str, value: Value<'a>) -> Result<()> {
    let object = match namespace {
        Value::Object(object) => object,
        Value::Dict(_) => return Err(Error::unsupported("an assignment into a dict")),
        other => return Err(no_item_assignment(other)),
    };
    let Object::Namespace(attrs, depth) = &**object else { return Err(no_item_assignment(namespace)) };
    if name.starts_with('_') {
        return Err(private_name(name));
    }
    depth.set(depth.get().max(value.depth() + 1));
    if depth.get() > MAX_NESTING {
        return Err(Error::recursion("containers are nested too deeply"));
    }
    let mut attrs = attrs.borrow_mut();
    spend(attrs.len() / 16)?;
    match attrs.iter_mut().find(|(key, _)| key.as_str() == Some(name)) {
        Some(entry) => entry.1 = value,
        None => attrs.push((Value::Str(name), value)),
    }
    Ok(())
}

fn no_item_assignment(value: &Value<'_>) -> Box<Error> {
    Error::type_error(format!("'{}' object does not support item assignment", value.type_name()))
}

/// The refusal of a namespace attribute that starts with an underscore.
pub(crate) fn private_name(name: &str) -> Box<Error> {
    Error::security(format!(
        "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{name}'. Please rename \
         the attribute."
    ))
}
