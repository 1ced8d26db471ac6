//! The query of a URL as names and values; what is not UTF-8 is refused, not replaced.

use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// The pairs in their order, decoded.
pub(super) fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<String, Problem> {
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| Problem::bad("the query is not UTF-8"))
}
