//! Dates and times.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::call::{Answer, Call, Filter, float, truncate};

pub(super) const FILTERS: &[(&str, Filter)] = &[("strftime", strftime), ("to_datetime", to_datetime)];

fn strftime(call: &Call) -> Answer {
    call.only(&["second", "utc"])?;
    let format = call.string();
    let zone = if call.flag(1, "utc") { TimeZone::UTC } else { TimeZone::system() };
    let moment = match call.argument(0, "second") {
        None | Some(Value::Null) => Timestamp::now(),
        Some(value) => {
            let seconds = float(value)
                .ok_or_else(|| format!("Invalid value for epoch value ({})", crate::text::python::str_of(value)))?;
            Timestamp::from_second(truncate(seconds.floor()))
                .map_err(|error| format!("Invalid value for epoch value: {error}"))?
        }
    };
    jiff::fmt::strtime::format(&format, &moment.to_zoned_datetime(zone))
        .map(Value::from)
        .map_err(|error| error.to_string())
}

fn to_datetime(call: &Call) -> Answer {
    let format = call.text(0, "format").unwrap_or_else(|| "%Y-%m-%d %H:%M:%S".into());
    let moment = DateTime::strptime(&format, call.string())
        .map_err(|error| format!("time data '{}' does not match format '{format}': {error}", call.string()))?;
    Ok(moment.strftime("%Y-%m-%d %H:%M:%S").to_string().into())
}
