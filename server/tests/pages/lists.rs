//! Lists: pages in both directions, order, search.

use serde_json::json;

use crate::site::{Site, attribute, tag, tags, text};

/// The names of the rows, in their order.
fn names(page: &str) -> Vec<String> {
    let rows = page.split("<th scope=\"row\" role=\"rowheader\">").skip(1);
    rows.map(|row| text(row.split_once('>').and_then(|(_, rest)| rest.split_once('<')).expect("a link").0)).collect()
}

fn link(page: &str, rel: &str) -> Option<String> {
    tags(page, &[&format!("rel=\"{rel}\"")]).first().and_then(|tag| attribute(tag, "href"))
}

pub(crate) fn pages_hold_every_row_once_in_both_directions(url: &str) {
    let site = Site::on(url, &[]);
    // Some have no price, some the same.
    let price = |n: usize| if n.is_multiple_of(3) { json!(null) } else { json!(n / 4) };
    let books: Vec<_> = (0..60).map(|n| json!({"title": format!("book {n}"), "price": price(n)})).collect();
    assert_eq!(site.server.json("POST", "/api/books", &json!(books)).status, 201);
    for sort in ["", "?sort=price", "?sort=-price", "?sort=title", "?sort=-pages", "?q=BOOK&sort=-lent"] {
        let mut page = site.page(&format!("/ui/books{sort}"));
        assert_eq!(link(&page, "prev"), None, "{sort}");
        let mut forward = vec![names(&page)];
        while let Some(next) = link(&page, "next") {
            page = site.page(&next);
            forward.push(names(&page));
        }
        assert_eq!(forward.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 10], "{sort}");
        let mut all = forward.concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 60, "{sort}");
        let mut back = vec![names(&page)];
        while let Some(before) = link(&page, "prev") {
            page = site.page(&before);
            back.push(names(&page));
        }
        back.reverse();
        assert_eq!(back, forward, "{sort}");
    }
    let page = site.page("/ui/books?sort=price");
    assert!(tag(&page, &["th ", "aria-sort"]).contains("aria-sort=\"ascending\""));
    assert!(page.contains("href=\"/ui/books?sort=%2Dprice\""), "the other way round");
    assert_eq!(site.server.get("/ui/books?sort=nothing").status, 400);
    assert_eq!(site.server.get("/ui/books?cursor=nonsense").status, 400);
}

pub(crate) fn searches_find_what_fields_have(url: &str) {
    let site = Site::on(url, &[]);
    let code = "0190a2c5-0000-7000-8000-000000000001";
    let emma = site.add("books", &json!({"title": "Emma 100%", "pages": 512, "code": code, "kind": "novel"}));
    site.add("books", &json!({"title": "Odes", "notes": "by KEATS", "price": 2.5, "pages": 7}));
    let found = |q: &str| names(&site.page(&format!("/ui/books?{}", crate::site::encoded(&[("q", q)]))));
    for (search, names) in [
        ("emma", &["Emma 100%"][..]),
        ("0%", &["Emma 100%"]),
        ("keats", &["Odes"]),
        ("NOVEL", &["Emma 100%"]),
        ("512", &["Emma 100%"]),
        ("2.5", &["Odes"]),
        (code, &["Emma 100%"]),
        (emma["id"].as_str().expect("an id"), &["Emma 100%"]),
        (" e ", &["Odes", "Emma 100%"]),
        ("nowhere", &[]),
        ("' OR 1=1 --", &[]),
        ("_%", &[]),
    ] {
        assert_eq!(found(search), names, "{search}");
    }
    // A search that no field of the resource can have finds nothing, not all.
    site.add(
        "passengers",
        &json!({"survived": true, "passengerClass": 1, "name": "x", "sex": "y", "age": 1,
        "siblingsOrSpousesAboard": 0, "parentsOrChildrenAboard": 0, "fare": 1}),
    );
    assert!(site.page("/ui/passengers?q=nowhere").contains("No record has “nowhere”"));
    let page = site.page("/ui/employees");
    assert!(page.contains("There are no records yet.") && page.contains("href=\"/ui/employees/new\""));
}
