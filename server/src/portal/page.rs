//! The page, as text. It works without scripts.

use super::cache::{List, Seen};

/// Nothing is loaded from anywhere; the page's own style is in it.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = "
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 48rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding-bottom: .5rem; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid GrayText; overflow-wrap: anywhere; }
.note { border-left: .3rem solid; padding-left: .7rem; }
";

pub(super) fn html(seen: &Seen) -> String {
    let main = match seen {
        Seen::Fresh { list, .. } => table(list),
        Seen::Stale(list) => format!(
            "<p class=\"note\" role=\"status\">The hardware service does not answer. This is what it said {} seconds ago.</p>\n{}",
            list.age.as_secs(),
            table(list)
        ),
        Seen::Nothing => {
            "<p class=\"note\" role=\"alert\">The hardware service does not answer. Please try again.</p>".into()
        }
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Hardware</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>Hardware</h1>\n{main}\n</main>\n</body>\n</html>\n"
    )
}

fn table(list: &List) -> String {
    if list.items.is_empty() {
        return "<p>There is no hardware.</p>".into();
    }
    let rows: Vec<String> = list
        .items
        .iter()
        .map(|item| {
            let cell = |text: &str| format!("<td>{}</td>", escaped(text));
            format!("<tr>{}{}{}</tr>", cell(&item.provider), cell(&item.name), cell(&item.availability))
        })
        .collect();
    format!(
        "<table>\n<caption>What is to be had</caption>\n\
         <thead><tr><th scope=\"col\">Provider</th><th scope=\"col\">Name</th><th scope=\"col\">Availability</th></tr></thead>\n\
         <tbody>\n{}\n</tbody>\n</table>",
        rows.join("\n")
    )
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
