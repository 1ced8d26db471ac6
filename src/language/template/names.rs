//! Looks through syntax trees for names of filters, tests and lookups that there are not.

use minijinja::machinery::ast::{self, CallArg, Expr, Stmt};

use super::{closest, lookups, pipes, tests};
use crate::text::{Diagnostic, Place, did_you_mean};

/// Checks a template.
pub(super) fn check_template(tree: &Stmt<'_>, place: &Place, found: &mut Vec<Diagnostic>) {
    statement(tree, &mut |expr| check_one(expr, place, found));
}

/// Checks an expression.
pub(super) fn check_expression(tree: &Expr<'_>, place: &Place, found: &mut Vec<Diagnostic>) {
    expression(tree, &mut |expr| check_one(expr, place, found));
}

fn check_one(expr: &Expr<'_>, place: &Place, found: &mut Vec<Diagnostic>) {
    match expr {
        Expr::Filter(filter) if !pipes::exists(filter.name) => {
            let error = Diagnostic::error(format!("there is no filter `{}`", filter.name), place);
            found.push(match closest(filter.name, true) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error,
            });
        }
        Expr::Test(test) if !tests::exists(test.name) => {
            let error = Diagnostic::error(format!("there is no test `{}`", test.name), place);
            found.push(match closest(test.name, false) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error,
            });
        }
        Expr::Call(call) => {
            if let Expr::Var(var) = &call.expr
                && matches!(var.id, "lookup" | "query" | "q")
                && let Some(CallArg::Pos(Expr::Const(name))) = call.args.first()
                && let Some(name) = name.value.as_str()
                && !lookups::exists(name)
            {
                let error = Diagnostic::error(format!("there is no lookup `{name}`"), place);
                found.push(match did_you_mean(name, lookups::names()) {
                    Some(close) => error.hint(format!("did you mean `{close}`?")),
                    None => error,
                });
            }
        }
        _ => {}
    }
}

fn all<'a>(body: &'a [Stmt<'a>], see: &mut dyn FnMut(&Expr<'_>)) {
    for one in body {
        statement(one, see);
    }
}

fn statement(tree: &Stmt<'_>, see: &mut dyn FnMut(&Expr<'_>)) {
    match tree {
        Stmt::Template(t) => all(&t.children, see),
        Stmt::EmitExpr(e) => expression(&e.expr, see),
        Stmt::ForLoop(f) => {
            expression(&f.iter, see);
            if let Some(filter) = &f.filter_expr {
                expression(filter, see);
            }
            all(&f.body, see);
            all(&f.else_body, see);
        }
        Stmt::IfCond(i) => {
            expression(&i.expr, see);
            all(&i.true_body, see);
            all(&i.false_body, see);
        }
        Stmt::WithBlock(w) => {
            for (_, value) in &w.assignments {
                expression(value, see);
            }
            all(&w.body, see);
        }
        Stmt::Set(s) => expression(&s.expr, see),
        Stmt::SetBlock(s) => {
            if let Some(filter) = &s.filter {
                expression(filter, see);
            }
            all(&s.body, see);
        }
        Stmt::AutoEscape(a) => all(&a.body, see),
        Stmt::FilterBlock(f) => {
            expression(&f.filter, see);
            all(&f.body, see);
        }
        Stmt::Block(b) => all(&b.body, see),
        Stmt::Macro(m) => all(&m.body, see),
        Stmt::CallBlock(c) => {
            arguments(&c.call, see);
            all(&c.macro_decl.body, see);
        }
        Stmt::Do(d) => arguments(&d.call, see),
        Stmt::EmitRaw(_)
        | Stmt::Import(_)
        | Stmt::FromImport(_)
        | Stmt::Extends(_)
        | Stmt::Include(_)
        | Stmt::Continue(_)
        | Stmt::Break(_) => {}
    }
}

fn arguments(call: &ast::Call<'_>, see: &mut dyn FnMut(&Expr<'_>)) {
    expression(&call.expr, see);
    args(&call.args, see);
}

fn args(args: &[CallArg<'_>], see: &mut dyn FnMut(&Expr<'_>)) {
    for arg in args {
        match arg {
            CallArg::Pos(e) | CallArg::Kwarg(_, e) | CallArg::PosSplat(e) | CallArg::KwargSplat(e) => {
                expression(e, see);
            }
        }
    }
}

fn expression(tree: &Expr<'_>, see: &mut dyn FnMut(&Expr<'_>)) {
    see(tree);
    match tree {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::Slice(s) => {
            expression(&s.expr, see);
            for part in [&s.start, &s.stop, &s.step].into_iter().flatten() {
                expression(part, see);
            }
        }
        Expr::UnaryOp(u) => expression(&u.expr, see),
        Expr::BinOp(b) => {
            expression(&b.left, see);
            expression(&b.right, see);
        }
        Expr::Compare(c) => {
            expression(&c.expr, see);
            for op in &c.ops {
                expression(&op.expr, see);
            }
        }
        Expr::IfExpr(i) => {
            expression(&i.test_expr, see);
            expression(&i.true_expr, see);
            if let Some(other) = &i.false_expr {
                expression(other, see);
            }
        }
        Expr::Filter(f) => {
            if let Some(input) = &f.expr {
                expression(input, see);
            }
            args(&f.args, see);
        }
        Expr::Test(t) => {
            expression(&t.expr, see);
            args(&t.args, see);
        }
        Expr::GetAttr(g) => expression(&g.expr, see),
        Expr::GetItem(g) => {
            expression(&g.expr, see);
            expression(&g.subscript_expr, see);
        }
        Expr::Call(c) => arguments(c, see),
        Expr::List(l) => l.items.iter().for_each(|e| expression(e, see)),
        Expr::Tuple(t) => t.items.iter().for_each(|e| expression(e, see)),
        Expr::Map(m) => m.keys.iter().chain(&m.values).for_each(|e| expression(e, see)),
    }
}
