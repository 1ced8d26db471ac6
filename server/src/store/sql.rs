//! Statements, built from a resource and typed values. Names come from declarations (checked to be plain words, and
//! quoted all the same); values are always bound.

use super::row::Bound;
use super::target::Dialect;
use crate::model::{Column, Resource, Value};

/// A comparison of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal; with a null: is null.
    Eq,
    /// Not equal; with a null: is not null. A null differs from every value.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Contains this text; ASCII letters of either case are one.
    Contains,
    /// Starts with this text, case kept.
    Prefix,
}

/// One condition of a `WHERE`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// The comparison.
    pub operator: Operator,
    /// The value, typed for the column.
    pub value: Value,
}

impl Condition {
    /// `column = value`
    pub fn equal(column: &str, value: Value) -> Self {
        Self { column: column.to_owned(), operator: Operator::Eq, value }
    }
}

/// One column of an `ORDER BY`. Nulls come first ascending, last descending, on every database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub column: String,
    /// Largest first.
    pub descending: bool,
}

/// A query for rows.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// At least one of these must hold (when there are any): the search of the pages.
    pub any: Vec<Condition>,
    /// The order.
    pub sort: Vec<Sort>,
    /// The row behind which the answer starts: one value for each column of `sort`.
    pub after: Option<Vec<Value>>,
    /// At most so many rows.
    pub limit: Option<u32>,
}

/// A statement and its values.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) values: Vec<Bound>,
    dialect: Dialect,
}

impl Statement {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { text: String::new(), values: Vec::new(), dialect }
    }

    fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    fn name(&mut self, name: &str) -> &mut Self {
        let quote = quote(self.dialect);
        self.text.push(quote);
        self.text.push_str(name);
        self.text.push(quote);
        self
    }

    fn value(&mut self, column: Column<'_>, value: Value) -> &mut Self {
        self.values.push((column.store, value));
        match self.dialect {
            Dialect::Postgres => self.text.push_str(&format!("${}", self.values.len())),
            Dialect::Sqlite | Dialect::Mysql => self.text.push('?'),
        }
        self
    }

    fn names<'a>(&mut self, columns: impl IntoIterator<Item = &'a str>) -> &mut Self {
        for (index, column) in columns.into_iter().enumerate() {
            self.push(if index == 0 { "" } else { ", " }).name(column);
        }
        self
    }

    fn condition(&mut self, resource: &Resource, condition: &Condition) {
        let Some(column) = resource.column(&condition.column) else {
            // Callers take their columns from the resource; an unknown one must not widen the result.
            self.push("1 = 0");
            return;
        };
        let null = condition.value == Value::Null;
        match condition.operator {
            Operator::Eq if null => drop(self.name(column.name).push(" IS NULL")),
            Operator::Ne if null => drop(self.name(column.name).push(" IS NOT NULL")),
            Operator::Ne => {
                self.push("(").name(column.name).push(" <> ").value(column, condition.value.clone());
                self.push(" OR ").name(column.name).push(" IS NULL)");
            }
            Operator::Contains => self.like(column, &condition.value, true),
            Operator::Prefix => self.like(column, &condition.value, false),
            operator => {
                let sign = match operator {
                    Operator::Lt => " < ",
                    Operator::Lte => " <= ",
                    Operator::Gt => " > ",
                    Operator::Gte => " >= ",
                    _ => " = ",
                };
                self.name(column.name).push(sign).value(column, condition.value.clone());
            }
        }
    }

    /// `LIKE` differs in case and in its escape between the databases: finding a position does not.
    fn like(&mut self, column: Column<'_>, value: &Value, anywhere: bool) {
        let text = if let Value::Text(text) = value { text.as_str() } else { "" };
        if text.is_empty() {
            // Not every database takes an empty pattern.
            self.name(column.name).push(" IS NOT NULL");
            return;
        }
        let function = if self.dialect == Dialect::Postgres { "strpos(" } else { "instr(" };
        match (anywhere, self.dialect) {
            (false, _) => {
                self.push(function).name(column.name).push(", ").value(column, value.clone()).push(") = 1");
            }
            // Only ASCII letters are folded, which is what `lower` does in SQLite and in PostgreSQL's collation "C".
            (true, Dialect::Sqlite | Dialect::Postgres) => {
                let collation = if self.dialect == Dialect::Postgres { " COLLATE \"C\"" } else { "" };
                self.push(function).push("lower(").name(column.name).push(collation).push("), ");
                self.value(column, Value::Text(text.to_ascii_lowercase())).push(") > 0");
            }
            // MySQL's `lower` folds all letters.
            (true, Dialect::Mysql) => {
                self.name(column.name).push(" REGEXP ").value(column, Value::Text(either_case(text)));
            }
        }
    }

    fn conditions(&mut self, resource: &Resource, select: &Select) {
        let mut word = " WHERE ";
        for condition in &select.conditions {
            self.push(std::mem::replace(&mut word, " AND "));
            self.condition(resource, condition);
        }
        if !select.any.is_empty() {
            self.push(std::mem::replace(&mut word, " AND ")).push("(");
            for (index, condition) in select.any.iter().enumerate() {
                self.push(if index == 0 { "" } else { " OR " });
                self.condition(resource, condition);
            }
            self.push(")");
        }
        if let Some(after) = &select.after {
            self.push(word).push("(");
            self.at_or_behind(resource, &select.sort, after);
            self.behind(resource, &select.sort, after);
            self.push("))");
        }
    }

    /// `a >= 1 AND (`: says nothing that the rest does not say, but in a way for which a database uses an index.
    fn at_or_behind(&mut self, resource: &Resource, sort: &[Sort], after: &[Value]) {
        if let (Some(first), Some(value)) = (sort.first(), after.first())
            && *value != Value::Null
        {
            let nullable = resource.field(&first.column).is_some_and(|field| !field.required);
            let operator = match (first.descending, nullable) {
                (false, _) => Some(Operator::Gte),
                (true, false) => Some(Operator::Lte),
                // Nulls come last.
                (true, true) => None,
            };
            if let Some(operator) = operator {
                self.condition(resource, &Condition { column: first.column.clone(), operator, value: value.clone() });
                self.push(" AND ");
            }
        }
        self.push("(");
    }

    /// The rows behind a place in the order: `a > 1 OR (a = 1 AND (b > 2 OR ...))`, with nulls as the smallest value.
    fn behind(&mut self, resource: &Resource, sort: &[Sort], after: &[Value]) {
        let (Some(first), Some(value)) = (sort.first(), after.first()) else {
            self.push("1 = 0");
            return;
        };
        let null = *value == Value::Null;
        let compare = |operator| Condition { column: first.column.clone(), operator, value: value.clone() };
        match (first.descending, null) {
            (false, true) => self.condition(resource, &compare(Operator::Ne)),
            (false, false) => self.condition(resource, &compare(Operator::Gt)),
            (true, true) => drop(self.push("1 = 0")),
            (true, false) => {
                self.push("(");
                self.condition(resource, &compare(Operator::Lt));
                self.push(" OR ").name(&first.column).push(" IS NULL)");
            }
        }
        if sort.len() > 1 {
            self.push(" OR (");
            self.condition(resource, &compare(Operator::Eq));
            self.push(" AND (");
            self.behind(resource, &sort[1..], &after[1..]);
            self.push("))");
        }
    }

    fn order(&mut self, resource: &Resource, sort: &[Sort]) {
        for (index, sort) in sort.iter().enumerate() {
            self.push(if index == 0 { " ORDER BY " } else { ", " }).name(&sort.column);
            self.push(if sort.descending { " DESC" } else { "" });
            let nullable = resource.field(&sort.column).is_some_and(|field| !field.required);
            if self.dialect == Dialect::Postgres && nullable {
                self.push(if sort.descending { " NULLS LAST" } else { " NULLS FIRST" });
            }
        }
    }
}

/// A regular expression that finds the text with its ASCII letters in either case.
fn either_case(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphabetic() => {
                pattern.extend(['[', c.to_ascii_lowercase(), c.to_ascii_uppercase(), ']']);
            }
            c if c.is_ascii_punctuation() => pattern.extend(['\\', c]),
            c => pattern.push(c),
        }
    }
    pattern
}

fn quote(dialect: Dialect) -> char {
    if dialect == Dialect::Mysql { '`' } else { '"' }
}

pub(super) fn select(dialect: Dialect, resource: &Resource, query: &Select) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.push("SELECT ").names(resource.columns().iter().map(|column| column.name));
    statement.push(" FROM ").name(&resource.table);
    statement.conditions(resource, query);
    statement.order(resource, &query.sort);
    if let Some(limit) = query.limit {
        statement.text.push_str(&format!(" LIMIT {limit}"));
    }
    statement
}

pub(super) fn count(dialect: Dialect, resource: &Resource, query: &Select) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.push("SELECT count(*) FROM ").name(&resource.table);
    statement.conditions(resource, query);
    statement
}

pub(super) fn insert(dialect: Dialect, resource: &Resource, rows: &[Vec<Value>]) -> Statement {
    let columns = resource.columns();
    let mut statement = Statement::new(dialect);
    statement.push("INSERT INTO ").name(&resource.table).push(" (");
    statement.names(columns.iter().map(|column| column.name)).push(") VALUES ");
    for (index, row) in rows.iter().enumerate() {
        statement.push(if index == 0 { "(" } else { ", (" });
        for (index, (column, value)) in columns.iter().zip(row).enumerate() {
            statement.push(if index == 0 { "" } else { ", " }).value(*column, value.clone());
        }
        statement.push(")");
    }
    statement
}

/// Sets columns, moves the version on; answers the new row where the database can.
pub(super) fn update(
    dialect: Dialect,
    resource: &Resource,
    set: &[(String, Value)],
    conditions: &[Condition],
) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.push("UPDATE ").name(&resource.table).push(" SET ");
    for (name, value) in set {
        if let Some(column) = resource.column(name) {
            statement.name(name).push(" = ").value(column, value.clone()).push(", ");
        }
    }
    statement.push("row_version = row_version + 1");
    statement.conditions(resource, &Select { conditions: conditions.to_vec(), ..Select::default() });
    if dialect != Dialect::Mysql {
        statement.push(" RETURNING ").names(resource.columns().iter().map(|column| column.name));
    }
    statement
}

pub(super) fn delete(dialect: Dialect, resource: &Resource, conditions: &[Condition]) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.push("DELETE FROM ").name(&resource.table);
    statement.conditions(resource, &Select { conditions: conditions.to_vec(), ..Select::default() });
    statement
}
