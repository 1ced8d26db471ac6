//! `If-Match` and `If-None-Match` (RFC 9110, section 13). A row's entity tag is its version: `"3"`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// What a request demands of the row's version.
#[derive(Debug)]
pub(super) struct Preconditions {
    must: Option<Tags>,
    must_not: Option<Tags>,
}

#[derive(Debug)]
enum Tags {
    Any,
    /// (weak, the text between the quotes)
    Some(Vec<(bool, String)>),
}

impl Preconditions {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self { must: tags(headers, &header::IF_MATCH)?, must_not: tags(headers, &header::IF_NONE_MATCH)? })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.must.is_none() && self.must_not.is_none()
    }

    /// Whether only a row that nobody else changes meanwhile will do.
    pub(super) fn names_versions(&self) -> bool {
        matches!(self.must, Some(Tags::Some(_))) || matches!(self.must_not, Some(Tags::Some(_)))
    }

    /// Whether a row of this version may be changed: 412 if not.
    pub(super) fn check(&self, version: i64) -> Result<(), Problem> {
        let version = version.to_string();
        let met = match &self.must {
            None | Some(Tags::Any) => true,
            // Strong comparison: a weak tag never matches.
            Some(Tags::Some(tags)) => tags.iter().any(|(weak, tag)| !weak && *tag == version),
        };
        if met && !self.unchanged(&version) { Ok(()) } else { Err(lost()) }
    }

    /// Whether a reader has this version already: 304.
    pub(super) fn read_before(&self, version: i64) -> bool {
        self.unchanged(&version.to_string())
    }

    fn unchanged(&self, version: &str) -> bool {
        match &self.must_not {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::Some(tags)) => tags.iter().any(|(_, tag)| tag == version),
        }
    }
}

/// 412
pub(super) fn lost() -> Problem {
    let text = "the row is not in the state that the request's conditions ask for: read it again, then decide";
    Problem::new(StatusCode::PRECONDITION_FAILED, text)
}

/// The entity tag of a version.
pub(super) fn etag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a header's value")
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let bad = || Problem::bad(format!("the header {name} must be * or a list of entity tags such as \"3\""));
    let mut found = None;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| bad())?.trim();
        let tags = if text == "*" { Tags::Any } else { Tags::Some(list(text).ok_or_else(bad)?) };
        found = match (found, tags) {
            (None, tags) => Some(tags),
            (Some(Tags::Some(mut all)), Tags::Some(more)) => {
                all.extend(more);
                Some(Tags::Some(all))
            }
            _ => return Err(bad()),
        };
    }
    Ok(found)
}

/// `"1", W/"2"`: a tag may hold commas, so the list is read from the front.
fn list(mut text: &str) -> Option<Vec<(bool, String)>> {
    let mut tags = Vec::new();
    loop {
        let weak = text.starts_with("W/");
        let rest = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?;
        let (tag, rest) = rest.split_once('"')?;
        tags.push((weak, tag.to_owned()));
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        text = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Preconditions, Problem> {
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_static(value));
        Preconditions::read(&headers)
    }

    #[test]
    fn tags_are_compared_as_rfc_9110_says() {
        let may = |name, value, version| read(name, value).expect(value).check(version).is_ok();
        assert!(may("if-match", "\"3\"", 3) && may("if-match", "\"1\" , \"3\"", 3) && may("if-match", "*", 9));
        assert!(!may("if-match", "\"2\"", 3) && !may("if-match", "W/\"3\"", 3) && !may("if-match", "\"a,b\"", 3));
        assert!(
            !may("if-none-match", "*", 3) && !may("if-none-match", "W/\"3\"", 3) && may("if-none-match", "\"4\"", 3)
        );
        assert!(read("if-none-match", "W/\"3\"").expect("read").read_before(3));
        for bad in ["3", "\"3", "\"3\" \"4\"", "", "\"3\","] {
            assert!(read("if-match", bad).is_err(), "{bad}");
        }
    }
}
