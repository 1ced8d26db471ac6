//! Numbers, sizes, and what picks from lists.

use serde_json::Value;

use super::super::call::{Answer, Call, Filter, float, integer, items, truncate, type_name};
use crate::text::python;

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("log", log),
    ("pow", pow),
    ("root", root),
    ("human_readable", human_readable),
    ("human_to_bytes", human_to_bytes),
    ("int", int),
    ("float", to_float),
    ("round", round),
    ("random", random),
    ("shuffle", shuffle),
    ("bool", bool),
    ("filesizeformat", filesizeformat),
];

fn number(value: f64) -> Answer {
    serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| "the result is no finite number".into())
}

fn operand(value: &Value, filter: &str) -> Result<f64, String> {
    match value {
        Value::Number(_) | Value::Bool(_) => {
            float(value).ok_or_else(|| format!("{filter}() can only be used on numbers"))
        }
        _ => Err(format!(
            "{filter}() can only be used on numbers: must be real number, not {}",
            super::super::call::type_name(value)
        )),
    }
}

fn log(call: &Call) -> Answer {
    let value = operand(&call.value, "log")?;
    if value <= 0.0 {
        return Err("log() can only be used on numbers: math domain error".into());
    }
    match call.argument(0, "base") {
        None | Some(Value::Null) => number(value.ln()),
        Some(base) => match operand(base, "log")? {
            10.0 => number(value.log10()),
            base => number(value.ln() / base.ln()),
        },
    }
}

fn pow(call: &Call) -> Answer {
    let exponent = call.required(0, "y")?;
    number(operand(&call.value, "pow")?.powf(operand(exponent, "pow")?))
}

fn root(call: &Call) -> Answer {
    let value = operand(&call.value, "root")?;
    match call.argument(0, "base") {
        None | Some(Value::Null) => number(value.sqrt()),
        Some(base) => match operand(base, "root")? {
            2.0 => number(value.sqrt()),
            base => number(value.powf(1.0 / base)),
        },
    }
}

const UNITS: &[(char, f64)] = &[
    ('Y', 1_208_925_819_614_629_174_706_176.0),
    ('Z', 1_180_591_620_717_411_303_424.0),
    ('E', 1_152_921_504_606_846_976.0),
    ('P', 1_125_899_906_842_624.0),
    ('T', 1_099_511_627_776.0),
    ('G', 1_073_741_824.0),
    ('M', 1_048_576.0),
    ('K', 1_024.0),
];

fn human_readable(call: &Call) -> Answer {
    let size = float(&call.value).ok_or_else(|| format!("human_readable() failed on bad input: {}", call.string()))?;
    let bits = call.flag(0, "isbits");
    let base = if bits { "bits" } else { "Bytes" };
    let wanted = call.text(1, "unit").and_then(|unit| unit.chars().next()).map(|c| c.to_ascii_uppercase());
    let found = match wanted {
        Some(unit) => UNITS.iter().find(|(name, _)| *name == unit),
        None => UNITS.iter().find(|(_, limit)| size >= *limit),
    };
    Ok(Value::from(match found {
        Some((unit, limit)) => format!("{:.2} {unit}{}", size / limit, if bits { "b" } else { "B" }),
        None => format!("{size:.2} {base}"),
    }))
}

fn human_to_bytes(call: &Call) -> Answer {
    let text = call.string();
    let bits = call.flag(1, "isbits");
    let fail = || format!("human_to_bytes() can't interpret following string: {text}");
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let amount: f64 = trimmed[..end].parse().map_err(|_| fail())?;
    let unit = match trimmed[end..].trim() {
        "" => call.text(0, "default_unit").unwrap_or_default(),
        unit => unit.to_owned(),
    };
    let Some(first) = unit.chars().next() else { return Ok(Value::from(truncate(amount.round()))) };
    let upper = first.to_ascii_uppercase();
    if upper == 'B' {
        return Ok(Value::from(truncate(amount.round())));
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == upper).ok_or_else(|| {
        format!("human_to_bytes() failed to convert {text} (unit = {unit}). The suffix must be one of Y, Z, E, P, T, G, M, K, B")
    })?;
    let rest = &unit[first.len_utf8()..];
    let expected = if bits { "b" } else { "B" };
    let long = if bits { "bit" } else { "byte" };
    if !(rest.is_empty() || rest == expected || rest.to_lowercase().trim_end_matches('s') == long) {
        return Err(format!(
            "human_to_bytes() failed to convert {text}. Value is not a valid string (expect {upper}{expected})"
        ));
    }
    Ok(Value::from(truncate((amount * factor).round())))
}

fn int(call: &Call) -> Answer {
    let default = call.argument(0, "default").cloned().unwrap_or_else(|| Value::from(0));
    let base = call.integer(1, "base")?.unwrap_or(10);
    Ok(match &call.value {
        Value::String(text) => {
            let text = text.trim().replace('_', "");
            let (sign, digits) = text.strip_prefix('-').map_or(("", text.trim_start_matches('+')), |rest| ("-", rest));
            let prefix: &[&str] = match base {
                16 => &["0x", "0X"],
                8 => &["0o", "0O"],
                2 => &["0b", "0B"],
                _ => &[],
            };
            let digits = prefix.iter().find_map(|prefix| digits.strip_prefix(prefix)).unwrap_or(digits);
            let radix = u32::try_from(base)
                .ok()
                .filter(|base| (2..=36).contains(base))
                .ok_or("int() base must be >= 2 and <= 36")?;
            match i64::from_str_radix(&format!("{sign}{digits}"), radix) {
                Ok(number) => Value::from(number),
                Err(_) => float(&Value::from(text)).map_or(default, |number| Value::from(truncate(number))),
            }
        }
        Value::Number(number) if number.is_f64() => Value::from(truncate(number.as_f64().unwrap_or_default())),
        Value::Number(_) => call.value.clone(),
        Value::Bool(b) => Value::from(i64::from(*b)),
        _ => default,
    })
}

fn to_float(call: &Call) -> Answer {
    let default = || call.argument(0, "default").cloned().unwrap_or_else(|| Value::from(0.0));
    Ok(float(&call.value).and_then(serde_json::Number::from_f64).map_or_else(default, Value::Number))
}

fn round(call: &Call) -> Answer {
    call.only(&["precision", "method"])?;
    let value = float(&call.value).filter(|_| !call.value.is_string()).ok_or("round() needs a number")?;
    let precision = call.integer(0, "precision")?.unwrap_or(0);
    let factor = 10_f64.powi(i32::try_from(precision).map_err(|_| "the precision is too large")?);
    let scaled = value * factor;
    number(match call.text(1, "method").as_deref().unwrap_or("common") {
        "common" => {
            // Python rounds halves to even.
            let rounded = scaled.round();
            let half = (scaled - scaled.trunc()).abs() - 0.5;
            if half.abs() < f64::EPSILON && rounded % 2.0 != 0.0 {
                (rounded - scaled.signum()) / factor
            } else {
                rounded / factor
            }
        }
        "ceil" => scaled.ceil() / factor,
        "floor" => scaled.floor() / factor,
        _ => return Err("method must be common, ceil or floor".into()),
    })
}

/// Numbers that follow from a seed (or from nothing): a small generator, SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: Option<&Value>) -> Self {
        let bytes = match seed {
            Some(seed) => {
                use sha2::Digest as _;
                sha2::Sha256::digest(python::str_of(seed).as_bytes())[..8].to_vec()
            }
            None => uuid::Uuid::new_v4().as_bytes()[8..].to_vec(),
        };
        Self(bytes.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte)))
    }

    /// Below `limit`, which is not zero.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

fn random(call: &Call) -> Answer {
    call.only(&["start", "step", "seed"])?;
    let seed = call.named.get("seed").or_else(|| call.positional.get(2));
    let mut random = Random::new(seed.filter(|seed| !seed.is_null()));
    if let Value::Number(_) = call.value {
        let end = integer(&call.value).ok_or("random can only be used on sequences and integers")?;
        let start = call.integer(0, "start")?.unwrap_or(0);
        let step = call.integer(1, "step")?.unwrap_or(1);
        if step == 0 || (end - start) / step <= 0 && (end - start).signum() != step.signum() {
            return Err("empty range for random".into());
        }
        let count = (end - start).unsigned_abs().div_ceil(step.unsigned_abs());
        let index = i64::try_from(random.below(count)).map_err(|_| "the range is too large")?;
        return Ok(Value::from(start + index * step));
    }
    if call.named.contains_key("start") || call.named.contains_key("step") {
        return Err("start and step can only be used with integer values".into());
    }
    let items = items(&call.value).map_err(|_| {
        format!("random can only be used on sequences and integers, not on '{}'", type_name(&call.value))
    })?;
    if items.is_empty() {
        return Err("random can't choose from nothing".into());
    }
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let index = usize::try_from(random.below(count)).unwrap_or_default();
    Ok(items[index].clone())
}

fn shuffle(call: &Call) -> Answer {
    // What has no items stays as it is.
    let Ok(mut items) = call.items() else { return Ok(call.value.clone()) };
    let mut random = Random::new(call.argument(0, "seed").filter(|seed| !seed.is_null()));
    for i in (1..items.len()).rev() {
        let limit = u64::try_from(i + 1).unwrap_or(u64::MAX);
        items.swap(i, usize::try_from(random.below(limit)).unwrap_or_default());
    }
    Ok(Value::Array(items))
}

fn bool(call: &Call) -> Answer {
    Ok(match &call.value {
        Value::Bool(_) => call.value.clone(),
        Value::String(text) => match text.to_lowercase().trim() {
            "yes" | "on" | "1" | "true" | "y" | "t" => true.into(),
            "no" | "off" | "0" | "false" | "n" | "f" => false.into(),
            // What is no boolean is false, as it always was in Ansible (which warns of it now).
            _ => false.into(),
        },
        Value::Number(_) => Value::from(float(&call.value) == Some(1.0)),
        _ => false.into(),
    })
}

fn filesizeformat(call: &Call) -> Answer {
    let bytes = float(&call.value).ok_or("filesizeformat needs a number")?;
    let binary = call.flag(0, "binary");
    let base = if binary { 1024.0 } else { 1000.0 };
    if (bytes - 1.0).abs() < f64::EPSILON {
        return Ok("1 Byte".into());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", truncate(bytes)).into());
    }
    let units = if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    };
    let mut unit = base;
    for (i, name) in units.iter().enumerate() {
        unit = base.powi(i32::try_from(i).unwrap_or(0) + 2);
        if bytes < unit {
            return Ok(format!("{:.1} {name}", base * bytes / unit).into());
        }
    }
    Ok(format!("{:.1} {}", base * bytes / unit, units[7]).into())
}

/// Kept for sums of integers, which stay integers.
pub(super) fn sum(items: &[Value], start: &Value) -> Answer {
    let mut whole = integer(start).filter(|_| !matches!(start, Value::Number(n) if n.is_f64()));
    let mut total = float(start).ok_or("sum needs numbers")?;
    for item in items {
        if item.is_string() {
            return Err("unsupported operand type(s) for +: 'int' and 'str'".into());
        }
        total += float(item).ok_or("sum needs numbers")?;
        whole = match (whole, item) {
            (Some(sum), Value::Number(n)) if !n.is_f64() => n.as_i64().and_then(|n| sum.checked_add(n)),
            (Some(sum), Value::Bool(b)) => sum.checked_add(i64::from(*b)),
            _ => None,
        };
    }
    whole.map_or_else(|| number(total), |sum| Ok(Value::from(sum)))
}
