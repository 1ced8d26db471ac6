//! The body of a request, from what a task says.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::modules::Context;

/// How a body is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// `application/x-www-form-urlencoded`.
    #[serde(alias = "form")]
    FormUrlencoded,
    /// JSON.
    Json,
    /// As it is.
    #[default]
    Raw,
    /// `multipart/form-data`.
    FormMultipart,
}

/// The bytes of a body and their content type, where the format has one.
pub(super) fn body(format: Format, value: &Value, cx: &Context) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    Ok(match format {
        Format::Raw => (text(value).into_bytes(), None),
        Format::Json => {
            let json = if let Value::String(text) = value { text.clone() } else { value.to_string() };
            (json.into_bytes(), Some("application/json".into()))
        }
        Format::FormUrlencoded => (form(value)?.into_bytes(), Some("application/x-www-form-urlencoded".into())),
        Format::FormMultipart => {
            let boundary = uuid::Uuid::new_v4().simple().to_string();
            (multipart(value, &boundary, cx)?, Some(format!("multipart/form-data; boundary={boundary}")))
        }
    })
}

/// A value as Python's `str` has it, for scalars.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        other => other.to_string(),
    }
}

fn form(value: &Value) -> anyhow::Result<String> {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    let mut add = |name: &str, value: &Value| match value {
        Value::Array(items) => items.iter().for_each(|item| {
            out.append_pair(name, &text(item));
        }),
        other => {
            out.append_pair(name, &text(other));
        }
    };
    match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Object(map) => map.iter().for_each(|(name, value)| add(name, value)),
        Value::Array(pairs) => {
            for pair in pairs {
                let [name, value] = pair.as_array().map(Vec::as_slice).unwrap_or_default() else {
                    anyhow::bail!("failed to parse body as form_urlencoded: a list holds pairs of name and value");
                };
                add(&text(name), value);
            }
        }
        _ => anyhow::bail!("failed to parse body as form_urlencoded: it is neither a mapping nor a list of pairs"),
    }
    Ok(out.finish())
}

/// RFC 7578.
fn multipart(value: &Value, boundary: &str, cx: &Context) -> anyhow::Result<Vec<u8>> {
    let fields = value.as_object().context("failed to parse body as form-multipart: it is not a mapping")?;
    let mut out = Vec::new();
    for (name, field) in fields {
        let get = |key: &str| field.get(key).map(text);
        let (mut content, mut mime) = (text(field).into_bytes(), "text/plain".to_owned());
        let mut disposition = format!("form-data; name=\"{}\"", name.replace(['"', '\r', '\n'], "_"));
        let mut encoding = None;
        if field.is_object() {
            let file = get("filename");
            mime = get("mime_type")
                .unwrap_or_else(|| if file.is_some() { "application/octet-stream" } else { "text/plain" }.into());
            content = match (get("content"), &file) {
                (Some(content), _) => content.into_bytes(),
                (None, Some(file)) => {
                    let path = cx.find_file("files", file)?;
                    std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?
                }
                (None, None) => anyhow::bail!("`{name}` of the body needs `content` or `filename`"),
            };
            if let Some(file) = file {
                let base = file.rsplit('/').next().unwrap_or_default().replace(['"', '\r', '\n'], "_");
                disposition.push_str(&format!("; filename=\"{base}\""));
            }
            encoding = get("multipart_encoding");
        }
        out.extend(format!("--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {mime}\r\n").bytes());
        match encoding.as_deref() {
            None | Some("7or8bit") => out.extend(b"\r\n"),
            Some("base64") => {
                out.extend(b"Content-Transfer-Encoding: base64\r\n\r\n");
                content = STANDARD.encode(&content).into_bytes();
            }
            Some(other) => anyhow::bail!("`multipart_encoding: {other}` is neither base64 nor 7or8bit"),
        }
        out.extend(content);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").bytes());
    Ok(out)
}
