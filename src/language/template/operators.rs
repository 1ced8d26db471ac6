//! Python's operators over plain values.

use minijinja::machinery::ast::{BinOpKind, CompareOpKind};
use serde_json::Value;

use super::eval::{Fault, Result, key_text};
use super::format::percent;
use super::value::{compare, equal, float, number, type_name};

pub(super) fn negate(value: &Value) -> Result<Value> {
    match (value, value.as_i64()) {
        (Value::Bool(flag), _) => Ok(Value::from(-i64::from(*flag))),
        (_, Some(n)) => Ok(n.checked_neg().map_or_else(|| float(-super::call::widen(n)), Value::from)),
        _ => number(value)
            .map(|n| float(-n))
            .ok_or_else(|| Fault::new(format!("bad operand type for unary -: '{}'", type_name(value)))),
    }
}

/// Whether a comparison holds.
pub(super) fn compared(op: CompareOpKind, left: &Value, right: &Value) -> Result<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = |symbol: &str| {
        compare(left, right).ok_or_else(|| {
            Fault::new(format!(
                "'{symbol}' not supported between instances of '{}' and '{}'",
                type_name(left),
                type_name(right)
            ))
        })
    };
    Ok(match op {
        CompareOpKind::Eq => equal(left, right),
        CompareOpKind::Ne => !equal(left, right),
        CompareOpKind::Lt => order("<")? == Less,
        CompareOpKind::Lte => matches!(order("<=")?, Less | Equal),
        CompareOpKind::Gt => order(">")? == Greater,
        CompareOpKind::Gte => matches!(order(">=")?, Greater | Equal),
        CompareOpKind::In => contains(right, left)?,
        CompareOpKind::NotIn => !contains(right, left)?,
    })
}

/// `needle in haystack`.
pub(super) fn contains(haystack: &Value, needle: &Value) -> Result<bool> {
    match (haystack, needle) {
        (Value::String(text), Value::String(part)) => Ok(text.contains(part.as_str())),
        (Value::String(_), other) => {
            Err(Fault::new(format!("'in <string>' requires string as left operand, not {}", type_name(other))))
        }
        (Value::Array(items), _) => Ok(items.iter().any(|item| equal(item, needle))),
        (Value::Object(map), Value::Array(_) | Value::Object(_)) if map.is_empty() => Ok(false),
        (Value::Object(map), _) => Ok(map.contains_key(&key_text(needle))),
        (other, _) => Err(Fault::new(format!("argument of type '{}' is not iterable", type_name(other)))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Python falls back to floats here")]
pub(super) fn arithmetic(op: BinOpKind, left: &Value, right: &Value) -> Result<Value> {
    let symbol = match op {
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        _ => "** or pow()",
    };
    let unsupported = || {
        if let (BinOpKind::Add, Value::String(_)) = (op, left) {
            return Fault::new(format!("can only concatenate str (not \"{}\") to str", type_name(right)));
        }
        if let (BinOpKind::Add, Value::Array(_)) = (op, left) {
            return Fault::new(format!("can only concatenate list (not \"{}\") to list", type_name(right)));
        }
        Fault::new(format!(
            "unsupported operand type(s) for {symbol}: '{}' and '{}'",
            type_name(left),
            type_name(right)
        ))
    };
    let int = |value: &Value| match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        other => other.as_i64(),
    };
    match (op, left, right) {
        (BinOpKind::Add, Value::String(a), Value::String(b)) => return Ok(Value::String(format!("{a}{b}"))),
        (BinOpKind::Add, Value::Array(a), Value::Array(b)) => return Ok(Value::Array([a.clone(), b.clone()].concat())),
        (BinOpKind::Mul, Value::String(text), n) | (BinOpKind::Mul, n, Value::String(text)) if int(n).is_some() => {
            let times = usize::try_from(int(n).unwrap_or(0).max(0)).unwrap_or(0);
            if text.len().saturating_mul(times) > 100_000_000 {
                return Err(Fault::new("the repeated string is too long"));
            }
            return Ok(Value::String(text.repeat(times)));
        }
        (BinOpKind::Mul, Value::Array(items), n) | (BinOpKind::Mul, n, Value::Array(items)) if int(n).is_some() => {
            let times = usize::try_from(int(n).unwrap_or(0).max(0)).unwrap_or(0);
            if items.len().saturating_mul(times) > 10_000_000 {
                return Err(Fault::new("the repeated list is too long"));
            }
            return Ok(Value::Array(std::iter::repeat_n(items, times).flatten().cloned().collect()));
        }
        (BinOpKind::Rem, Value::String(pattern), args) => return percent(pattern, args).map(Value::String),
        _ => {}
    }
    if let (Some(a), Some(b)) = (int(left), int(right)) {
        let wide = match op {
            BinOpKind::Add => a.checked_add(b),
            BinOpKind::Sub => a.checked_sub(b),
            BinOpKind::Mul => a.checked_mul(b),
            BinOpKind::Div => {
                if b == 0 {
                    return Err(Fault::new("division by zero"));
                }
                return Ok(float(a as f64 / b as f64));
            }
            BinOpKind::FloorDiv if b != 0 => Some(a.div_euclid(b) - i64::from(b < 0 && a.rem_euclid(b) != 0)),
            BinOpKind::Rem if b != 0 => {
                let r = a % b;
                Some(if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
            }
            BinOpKind::FloorDiv | BinOpKind::Rem => return Err(Fault::new("integer division or modulo by zero")),
            _ => match u32::try_from(b) {
                Ok(b) => a.checked_pow(b),
                Err(_) => return Ok(float((a as f64).powf(b as f64))),
            },
        };
        return Ok(match (wide, op) {
            (Some(n), _) => Value::from(n),
            (None, BinOpKind::Add) => float(a as f64 + b as f64),
            (None, BinOpKind::Sub) => float(a as f64 - b as f64),
            (None, BinOpKind::Mul) => float(a as f64 * b as f64),
            (None, _) => float((a as f64).powf(b as f64)),
        });
    }
    let (Some(a), Some(b)) = (number(left), number(right)) else { return Err(unsupported()) };
    Ok(match op {
        BinOpKind::Add => float(a + b),
        BinOpKind::Sub => float(a - b),
        BinOpKind::Mul => float(a * b),
        BinOpKind::Div if b != 0.0 => float(a / b),
        BinOpKind::FloorDiv if b != 0.0 => float((a / b).floor()),
        BinOpKind::Rem if b != 0.0 => float(a - b * (a / b).floor()),
        BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem => return Err(Fault::new("float division by zero")),
        _ => float(a.powf(b)),
    })
}
