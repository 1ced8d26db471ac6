//! What a lookup may know of the template that it stands in.

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::eval::{Fault, Interp, Result, key_text};
use super::value::{V, str_of};
use super::{TextOptions, call, lookups};

struct Around<'a, 'b> {
    cx: RefCell<&'a mut Interp<'b>>,
    /// The last error that was about something undefined.
    undefined: RefCell<Option<String>>,
}

impl Around<'_, '_> {
    fn plain<T>(&self, result: Result<T>) -> std::result::Result<T, String> {
        result.map_err(|fault| {
            if fault.undefined {
                *self.undefined.borrow_mut() = Some(fault.message.clone());
            }
            fault.message
        })
    }
}

impl lookups::Surroundings for Around<'_, '_> {
    fn search_paths(&self) -> Vec<PathBuf> {
        self.cx.borrow().scope.search_paths()
    }

    fn variable(&self, name: &str) -> std::result::Result<Option<Value>, String> {
        let mut cx = self.cx.borrow_mut();
        let value = cx.lookup(name);
        let value = match self.plain(value)? {
            V::Undefined(_) | V::Function(_) => return Ok(None),
            value => cx.json(value),
        };
        self.plain(value).map(Some)
    }

    fn names(&self) -> Vec<String> {
        self.cx.borrow().scope.names()
    }

    fn render(&self, _name: &str, text: &str, options: &Map<String, Value>) -> std::result::Result<String, String> {
        let cx = self.cx.borrow();
        let mut inner = Interp::new(cx.templar, &cx.scope);
        if let Some(Value::Object(vars)) = options.get("template_vars") {
            for (key, value) in vars {
                inner.set(key, V::Json(value.clone()));
            }
        }
        let options = TextOptions { keep_trailing_newline: true, ..TextOptions::from_map(options) };
        let value = inner.template(text, Some(&options)).and_then(|value| inner.json(value));
        self.plain(value).map(|value| str_of(&value))
    }

    fn decrypt(&self, text: &str) -> std::result::Result<String, String> {
        self.cx.borrow().scope.decrypt(text).map_err(|error| format!("{error:#}"))
    }

    fn matching(&self, pattern: &str) -> std::result::Result<Vec<String>, String> {
        let Some(Value::Object(groups)) = self.variable("groups")? else { return Ok(vec![]) };
        let mut inventory = crate::language::Inventory::default();
        for (group, hosts) in &groups {
            for host in call::items(hosts).unwrap_or_default() {
                inventory.add_host(&key_text(&host), &[], Map::new());
                inventory.add_to_group(&key_text(&host), group);
            }
        }
        inventory.matching(pattern).map_err(|error| error.message)
    }
}

/// Runs a lookup.
pub(super) fn run(
    cx: &mut Interp<'_>,
    name: &str,
    terms: Vec<Value>,
    options: Map<String, Value>,
) -> Result<Vec<Value>> {
    let around = Around { cx: RefCell::new(cx), undefined: RefCell::new(None) };
    let found = lookups::run(name, terms, options, &around);
    let undefined = around.undefined.take();
    found.map_err(|message| match undefined {
        Some(message) => Fault { message, undefined: true, line: None },
        None => Fault::new(message),
    })
}
