//! Which variable a name means: jinja2's symbol analysis.
//!
//! A scope is analysed as a whole before it is compiled. A name that is read before any scope knows it is looked up in
//! the context when the scope is entered; a name that is assigned becomes a variable of the scope from its start, which
//! begins as a copy of the outer variable if there is one. Assignments in some branch of an `if` keep the outer value
//! for the other branches.

use std::rc::Rc;

use crate::template::ast::{Expr, For, Kind, Macro, Stmt, StmtKind, Target};
use crate::template::error::{Error, Result};

/// A variable: unique by function, space, level and name, exactly as jinja2 names its Python variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ident<'s> {
    pub(super) func: usize,
    pub(super) space: u32,
    pub(super) level: u16,
    pub(super) name: &'s str,
}

/// How a variable gets its first value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action<'s> {
    Parameter,
    Resolve(&'s str),
    Alias(Ident<'s>),
    Undefined,
}

/// The symbols of one scope.
#[derive(Clone)]
pub(super) struct Symbols<'s> {
    func: usize,
    space: u32,
    level: u16,
    parent: Option<Rc<Symbols<'s>>>,
    refs: Vec<(&'s str, Ident<'s>)>,
    loads: Vec<(Ident<'s>, Action<'s>)>,
    stores: Vec<&'s str>,
}

impl<'s> Symbols<'s> {
    pub(super) fn root(func: usize) -> Self {
        Self {
            func,
            space: 0,
            level: 0,
            parent: None,
            refs: Vec::new(),
            loads: Vec::new(),
            stores: Vec::new(),
        }
    }

    /// A scope inside `parent`, in function `func`.
    pub(super) fn child(parent: &Rc<Self>, func: usize) -> Self {
        let level = parent.level.saturating_add(1);
        Self { level, parent: Some(Rc::clone(parent)), ..Self::root(func) }
    }

    /// Keeps the variables of this scope apart from those of its siblings.
    pub(super) fn in_space(mut self, space: u32) -> Self {
        self.space = space;
        self
    }

    pub(super) fn loads(&self) -> &[(Ident<'s>, Action<'s>)] {
        &self.loads
    }

    fn own(&self, name: &str) -> Option<Ident<'s>> {
        self.refs.iter().find(|(known, _)| *known == name).map(|(_, ident)| *ident)
    }

    fn find(&self, name: &str) -> Option<Ident<'s>> {
        self.own(name).or_else(|| self.parent.as_ref()?.find(name))
    }

    /// The variable that a name means here.
    pub(super) fn reference(&self, name: &str) -> Result<Ident<'s>> {
        let unknown =
            || Error::syntax(format!("Tried to resolve a name to a reference that was unknown ('{name}')"));
        self.find(name).ok_or_else(unknown)
    }

    fn define(&mut self, name: &'s str, action: Action<'s>) {
        let ident = Ident { func: self.func, space: self.space, level: self.level, name };
        if self.own(name).is_none() {
            self.refs.push((name, ident));
        }
        self.set_load(ident, action);
    }

    fn set_load(&mut self, ident: Ident<'s>, action: Action<'s>) {
        match self.loads.iter_mut().find(|(known, _)| *known == ident) {
            Some(load) => load.1 = action,
            None => self.loads.push((ident, action)),
        }
    }

    fn add_store(&mut self, name: &'s str) {
        if !self.stores.contains(&name) {
            self.stores.push(name);
        }
    }

    fn store(&mut self, name: &'s str) {
        self.add_store(name);
        if self.own(name).is_some() {
            return;
        }
        let outer = self.parent.as_ref().and_then(|parent| parent.find(name));
        self.define(name, outer.map_or(Action::Undefined, Action::Alias));
    }

    pub(super) fn declare_parameter(&mut self, name: &'s str) {
        self.add_store(name);
        self.define(name, Action::Parameter);
    }

    fn load(&mut self, name: &'s str) {
        if self.find(name).is_none() {
            self.define(name, Action::Resolve(name));
        }
    }

    /// Takes over what the branches of an `if` found.
    fn merge_branches(&mut self, branches: Vec<Self>) {
        let mut stores: Vec<&'s str> = branches.iter().flat_map(|b| b.stores.iter().copied()).collect();
        stores.retain(|name| !self.stores.contains(name));
        for branch in branches {
            for (name, ident) in branch.refs {
                if self.own(name).is_none() {
                    self.refs.push((name, ident));
                }
            }
            for (ident, action) in branch.loads {
                self.set_load(ident, action);
            }
            for name in branch.stores {
                self.add_store(name);
            }
        }
        for name in stores {
            let Some(target) = self.find(name) else { continue };
            let outer = self.parent.as_ref().and_then(|parent| parent.find(name));
            self.set_load(target, outer.map_or(Action::Resolve(name), Action::Alias));
        }
    }

    pub(super) fn visit_body(&mut self, body: &[Stmt<'s>]) {
        body.iter().for_each(|stmt| self.visit(stmt));
    }

    /// A macro's own scope: its arguments, defaults and body.
    pub(super) fn visit_macro(&mut self, node: &Macro<'s>) {
        node.args.iter().for_each(|name| self.declare_parameter(name));
        node.defaults.iter().for_each(|expr| self.visit_expr(expr));
        self.visit_body(&node.body);
    }

    pub(super) fn visit_loop(&mut self, node: &For<'s>) {
        self.visit_target(&node.target, true);
        self.visit_body(&node.body);
    }

    pub(super) fn visit_loop_test(&mut self, node: &For<'s>) {
        self.visit_target(&node.target, true);
        node.test.iter().for_each(|expr| self.visit_expr(expr));
    }

    pub(super) fn visit_target(&mut self, target: &Target<'s>, parameter: bool) {
        match target {
            Target::Name(name) if parameter => self.declare_parameter(name),
            Target::Name(name) => self.store(name),
            Target::Attr(name, _) => self.load(name),
            Target::Tuple(items) => items.iter().for_each(|item| self.visit_target(item, parameter)),
        }
    }

    pub(super) fn visit_expr(&mut self, expr: &Expr<'s>) {
        match &expr.kind {
            Kind::Name(name) => self.load(name),
            _ => {
                // The closure cannot borrow `self` and the child's lifetime at once, so names are gathered first.
                let mut names = Vec::new();
                gather(expr, &mut names);
                names.into_iter().for_each(|name| self.load(name));
            }
        }
    }

    fn visit(&mut self, stmt: &Stmt<'s>) {
        match &stmt.kind {
            StmtKind::Output(items) => items.iter().for_each(|expr| self.visit_expr(expr)),
            StmtKind::Set(target, expr) => {
                self.visit_expr(expr);
                self.visit_target(target, false);
            }
            StmtKind::SetBlock(target, ..) => self.visit_target(target, false),
            StmtKind::For(node) => self.visit_expr(&node.iter),
            StmtKind::If(branches, otherwise) => {
                if let Some(((test, body), elifs)) = branches.split_first() {
                    self.visit_if(test, body, elifs, otherwise);
                }
            }
            StmtKind::Macro(node) => self.store(node.name),
            StmtKind::CallBlock(_, expr) | StmtKind::FilterBlock(_, expr) => self.visit_expr(expr),
            StmtKind::With(pairs, _) => pairs.iter().for_each(|(_, expr)| self.visit_expr(expr)),
            StmtKind::NoLoader(expr, names) => {
                self.visit_expr(expr);
                names.iter().for_each(|name| self.store(name));
            }
            StmtKind::Generation(_) | StmtKind::Block { .. } | StmtKind::Break | StmtKind::Continue => {}
        }
    }

    /// jinja2 sees the first branch, all `elif`s together, and the `else` as three alternatives.
    fn visit_if(&mut self, test: &Expr<'s>, body: &[Stmt<'s>], elifs: &[Branch<'s>], otherwise: &[Stmt<'s>]) {
        self.visit_expr(test);
        let mut first = self.clone();
        first.visit_body(body);
        let mut second = self.clone();
        for (test, body) in elifs {
            second.visit_if(test, body, &[], &[]);
        }
        let mut last = self.clone();
        last.visit_body(otherwise);
        self.merge_branches(vec![first, second, last]);
    }
}

type Branch<'s> = (Expr<'s>, Vec<Stmt<'s>>);

/// The names that an expression reads, in order.
fn gather<'s>(expr: &Expr<'s>, names: &mut Vec<&'s str>) {
    if let Kind::Name(name) = &expr.kind {
        names.push(name);
    }
    expr.each_child(&mut |child| gather(child, names));
}
