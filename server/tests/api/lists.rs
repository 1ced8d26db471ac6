//! Lists: pages, order, filters, search.

use serde_json::{Value, json};

use crate::shelf::Shelf;

/// Follows the cursors to the end.
fn all_pages(shelf: &Shelf, query: &str) -> Vec<String> {
    let (mut titles, mut path) = (Vec::new(), format!("/api/books?{query}"));
    loop {
        let answer = shelf.server.get(&path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let body = answer.json();
        let items = body["items"].as_array().expect("items");
        titles.extend(items.iter().map(|item| item["title"].as_str().expect("a title").to_owned()));
        let Some(link) = answer.header("link") else {
            assert_eq!(body["next"], Value::Null);
            return titles;
        };
        assert!(link.contains(body["next"].as_str().expect("a cursor")), "{link}");
        link.strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
            .expect("a link")
            .clone_into(&mut path);
        assert!(titles.len() < 1000, "the pages have no end");
    }
}

pub(crate) fn pages_hold_every_row_once(url: &str) {
    let shelf = Shelf::open(url);
    let books: Value = (0..25)
        .map(|n| {
            let price = if n % 5 == 0 { Value::Null } else { json!(f64::from(n % 3) / 10.0) };
            json!({"title": format!("t{n:02}"), "pages": 1 + n % 4, "price": price, "lent": n % 2 == 0})
        })
        .collect();
    assert_eq!(shelf.server.json("POST", "/api/books", &books).status, 201);
    let made: Vec<String> = (0..25).map(|n| format!("t{n:02}")).collect();
    for sort in [
        "",
        "price",
        "-price",
        "pages,-price",
        "-pages,title",
        "lent,-title",
        "-created_at",
        "kind",
        "-id",
        "bought,code",
    ] {
        let whole = shelf.titles(&format!("sort={}", if sort.is_empty() { "created_at,id" } else { sort }));
        let mut sorted = whole.clone();
        sorted.sort();
        assert_eq!(sorted, made, "{sort}");
        for limit in [1, 7, 25] {
            let sort = if sort.is_empty() { String::new() } else { format!("&sort={sort}") };
            assert_eq!(all_pages(&shelf, &format!("limit={limit}{sort}")), whole, "{sort} {limit}");
        }
    }
    // Rows that come and go between pages neither repeat nor hide others.
    let first = shelf.server.get("/api/books?limit=10&sort=title").json();
    let id = first["items"][9]["id"].as_str().expect("an id").to_owned();
    assert_eq!(shelf.server.send("DELETE", &format!("/api/books/{id}"), &[], b"").status, 204);
    shelf.add(&json!({"title": "a new first"}));
    let next = first["next"].as_str().expect("a cursor");
    assert_eq!(shelf.titles(&format!("limit=2&sort=title&cursor={next}")), ["t10", "t11"]);
    assert_eq!(all_pages(&shelf, "limit=4&pages=2&lent=true&sort=-title"), Vec::<String>::new());
    assert_eq!(all_pages(&shelf, "limit=2&pages=2&sort=-title&title%5Blt%5D=t20"), ["t17", "t13", "t05", "t01"]);
}

pub(crate) fn nulls_have_their_place(url: &str) {
    let shelf = Shelf::open(url);
    for (title, price) in [("none", Value::Null), ("low", json!(-1.5)), ("zero", json!(0)), ("high", json!(1e9))] {
        shelf.add(&json!({"title": title, "price": price}));
    }
    assert_eq!(shelf.titles("sort=price"), ["none", "low", "zero", "high"]);
    assert_eq!(shelf.titles("sort=-price"), ["high", "zero", "low", "none"]);
    assert_eq!(shelf.titles("price[null]=true"), ["none"]);
    assert_eq!(shelf.titles("price[null]=false&sort=price"), ["low", "zero", "high"]);
    assert_eq!(shelf.titles("price[ne]=0&sort=price"), ["none", "low", "high"]);
    assert_eq!(shelf.titles("price[lte]=0&sort=price"), ["low", "zero"]);
    assert_eq!(shelf.titles("extra[null]=true").len(), 4);
}

pub(crate) fn filters_compare_as_the_type_does(url: &str) {
    let shelf = Shelf::open(url);
    let books = json!([
        {"title": "a", "pages": 9, "price": 0.1, "lent": true, "kind": "novel", "isbn": "9", "owner": "a@b.c",
         "code": "00000000-0000-4000-8000-00000000000a", "bought": "2024-01-01T00:00:00Z"},
        {"title": "B", "pages": 10, "price": 0.2, "lent": false, "kind": "poems", "isbn": "10", "owner": "A@b.c",
         "code": "00000000-0000-4000-8000-0000000000f0", "bought": "2024-06-01T00:00:00+02:00"},
        {"title": "c ", "pages": 100, "price": 1e10, "lent": true, "kind": "novel", "isbn": "100", "owner": "d@b.c",
         "code": "f0000000-0000-4000-8000-000000000000", "bought": "2025-01-01T00:00:00.000001Z"},
    ]);
    assert_eq!(shelf.server.json("POST", "/api/books", &books).status, 201);
    let cases: [(&str, &[&str]); 20] = [
        ("pages[gte]=10", &["B", "c "]),
        ("pages[gt]=9&pages[lt]=100", &["B"]),
        ("price[gt]=0.1", &["B", "c "]),
        ("price=0.1", &["a"]),
        ("price=1e10", &["c "]),
        ("lent=true", &["a", "c "]),
        ("lent[ne]=true", &["B"]),
        ("kind=novel", &["a", "c "]),
        // Text compares by its bytes, and so does its order.
        ("title[lt]=a", &["B"]),
        ("title=b", &[]),
        ("title=c", &[]),
        ("title=c+", &["c "]),
        ("isbn[gt]=10", &["a", "c "]),
        ("owner=a@b.c", &["a"]),
        ("code=F0000000-0000-4000-8000-000000000000", &["c "]),
        ("code[lt]=00000000-0000-4000-8000-0000000000f1", &["a", "B"]),
        ("bought=2024-05-31T22:00:00Z", &["B"]),
        ("bought[gt]=2025-01-01T00:00:00Z", &["c "]),
        ("bought[lte]=2024-06-01T00:00:00%2B02:00", &["a", "B"]),
        ("pages=-1", &[]),
    ];
    for (query, titles) in cases {
        assert_eq!(shelf.titles(query), titles, "{query}");
    }
    assert_eq!(shelf.titles("sort=title"), ["B", "a", "c "]);
    assert_eq!(shelf.titles("sort=-title"), ["c ", "a", "B"]);
}

pub(crate) fn text_is_searched_alike(url: &str) {
    let shelf = Shelf::open(url);
    for title in ["Über Emma", "über 50% of_them", "EMMA\\[x]", "emma.*", "日本語"] {
        shelf.add(&json!({"title": title, "notes": format!("{title} noted")}));
    }
    let cases: [(&str, &[&str]); 11] = [
        ("title[like]=eMMa", &["Über Emma", "EMMA\\[x]", "emma.*"]),
        ("title[like]=%C3%9Cber", &["Über Emma"]),
        ("title[like]=%C3%BCber", &["über 50% of_them"]),
        ("title[like]=%25", &["über 50% of_them"]),
        ("title[like]=_", &["über 50% of_them"]),
        ("title[like]=a%5C%5B", &["EMMA\\[x]"]),
        ("title[like]=.*", &["emma.*"]),
        ("title[like]=%E6%9C%AC", &["日本語"]),
        ("title[prefix]=emma", &["emma.*"]),
        ("title[prefix]=%C3%9C", &["Über Emma"]),
        ("notes[like]=EMMA&notes[like]=%5Bx", &["EMMA\\[x]"]),
    ];
    for (query, titles) in cases {
        assert_eq!(shelf.titles(query), titles, "{query}");
    }
    assert_eq!(shelf.titles("title[like]=").len(), 5);
}
