//! JSON web tokens, signed by openssl, which knows nothing of the server's own library.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use common::Server;
use common::databases::{Database as _, Sqlite, left_out};
use serde_json::{Value, json};
use tempfile::TempDir;

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl is missing: install the Debian package `openssl`");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A key pair in a file.
struct Signer {
    file: PathBuf,
    kid: &'static str,
    rsa: bool,
}

impl Signer {
    fn new(folder: &TempDir, kid: &'static str, rsa: bool) -> Self {
        let file = folder.path().join(format!("{kid}.pem"));
        let kind: &[&str] = if rsa { &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] } else { &["ED25519"] };
        openssl(&[&["genpkey", "-out", text(&file), "-algorithm"], kind].concat());
        Self { file, kid, rsa }
    }

    fn public(&self) -> Value {
        if self.rsa {
            let said =
                String::from_utf8(openssl(&["rsa", "-in", text(&self.file), "-modulus", "-noout"])).expect("text");
            let hex = said.trim().strip_prefix("Modulus=").expect("a modulus").to_owned();
            let bytes: Vec<u8> =
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
            return json!({"kty": "RSA", "kid": self.kid, "use": "sig", "n": BASE64.encode(bytes), "e": "AQAB"});
        }
        let der = openssl(&["pkey", "-in", text(&self.file), "-pubout", "-outform", "DER"]);
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": BASE64.encode(&der[der.len() - 32..])})
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": if self.rsa { "RS256" } else { "EdDSA" }, "kid": self.kid});
        let said = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let file = self.file.with_extension("said");
        std::fs::write(&file, &said).expect("written");
        let signature = if self.rsa {
            openssl(&["dgst", "-sha256", "-sign", text(&self.file), text(&file)])
        } else {
            openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", text(&self.file), "-in", text(&file)])
        };
        format!("{said}.{}", BASE64.encode(signature))
    }
}

fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    i64::try_from(now).expect("a time") + seconds
}

fn status(server: &Server, token: &str, method: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    server.send(method, "/api/employees", &[("authorization", &authorization)], b"{}").status
}

#[test]
fn a_token_is_taken_if_everything_about_it_is_right() {
    if left_out("a_token_is_taken_if_everything_about_it_is_right") {
        return;
    }
    let (folder, database) = (TempDir::new().expect("a folder"), Sqlite::start());
    let (good, rsa) = (Signer::new(&folder, "one", false), Signer::new(&folder, "two", true));
    let stranger = Signer { kid: "one", ..Signer::new(&folder, "stranger", false) };
    let secret = json!({"kty": "oct", "kid": "secret", "k": BASE64.encode("secret")});
    let set = json!({"keys": [good.public(), rsa.public(), secret]}).to_string();
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, set).expect("written");
    let url = database.url();
    let env = [
        ("DATABASE_URL", url.as_str()),
        ("AUTH", "keys"),
        ("JWKS", text(&jwks)),
        ("JWT_ISSUER", "https://id.example.org"),
        ("JWT_AUDIENCE", "crud"),
        ("JWT_ROLE_CLAIM", "roles"),
    ];
    let mut server = Server::start(&env, &[]);
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": "https://id.example.org", "aud": ["other", "crud"], "sub": "ann", "exp": in_seconds(600), "roles": ["x", "writer"],
        });
        change(&mut claims);
        claims
    };
    let whole = claims(&|_| {});
    for signer in [&good, &rsa] {
        assert_eq!(status(&server, &signer.sign(&whole), "GET"), 200, "{}", signer.kid);
        assert_eq!(status(&server, &signer.sign(&whole), "POST"), 422, "{}", signer.kid);
    }
    assert!(server.wait_for("\"key\":\"ann\"").contains("/api/employees"));
    let reader = claims(&|claims| claims["roles"] = "reader".into());
    assert_eq!(status(&server, &good.sign(&reader), "GET"), 200);
    assert_eq!(status(&server, &good.sign(&reader), "POST"), 403);
    assert_eq!(status(&server, &good.sign(&claims(&|claims| claims["roles"] = json!(7))), "GET"), 403);

    let wrong: [&dyn Fn(&mut Value); 7] = [
        &|claims| claims["exp"] = in_seconds(-120).into(),
        &|claims| drop(claims.as_object_mut().and_then(|claims| claims.remove("exp"))),
        &|claims| claims["nbf"] = in_seconds(600).into(),
        &|claims| claims["iss"] = "https://evil.example.org".into(),
        &|claims| drop(claims.as_object_mut().and_then(|claims| claims.remove("iss"))),
        &|claims| claims["aud"] = "other".into(),
        &|claims| drop(claims.as_object_mut().and_then(|claims| claims.remove("aud"))),
    ];
    for (index, change) in wrong.iter().enumerate() {
        assert_eq!(status(&server, &good.sign(&claims(change)), "GET"), 401, "case {index}");
    }
    // Another's signature under a known name, a changed text, and the tricks with the algorithm.
    assert_eq!(status(&server, &stranger.sign(&whole), "GET"), 401);
    let token = good.sign(&reader);
    let parts: Vec<&str> = token.split('.').collect();
    let changed = format!("{}.{}.{}", parts[0], BASE64.encode(whole.to_string()), parts[2]);
    assert_eq!(status(&server, &changed, "GET"), 401);
    let body = BASE64.encode(whole.to_string());
    for (alg, kid) in [("none", "one"), ("HS256", "one"), ("HS256", "secret"), ("RS256", "one")] {
        let head = BASE64.encode(json!({"alg": alg, "kid": kid}).to_string());
        let said = format!("{head}.{body}");
        let file = folder.path().join("said");
        std::fs::write(&file, &said).expect("written");
        let mac = openssl(&["dgst", "-sha256", "-hmac", "secret", "-binary", text(&file)]);
        assert_eq!(status(&server, &format!("{said}.{}", BASE64.encode(mac)), "GET"), 401, "{alg} {kid}");
        assert_eq!(status(&server, &format!("{said}."), "GET"), 401, "{alg} {kid}");
    }
    for nonsense in ["a.b.c", "..", "a.b"] {
        assert_eq!(status(&server, nonsense, "GET"), 401, "{nonsense}");
    }
}

#[test]
fn keys_at_a_url_may_change_and_may_be_away() {
    if left_out("keys_at_a_url_may_change_and_may_be_away") {
        return;
    }
    let (folder, database) = (TempDir::new().expect("a folder"), Sqlite::start());
    let (old, new) = (Signer::new(&folder, "old", false), Signer::new(&folder, "new", true));
    let answer = Arc::new(Mutex::new(String::from("not yet")));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = format!("http://{}/jwks", listener.local_addr().expect("an address"));
    let said = answer.clone();
    // Ends with the process: the server may ask at any time.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let body = said.lock().expect("no panic").clone();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            if stream.read(&mut request).is_ok() {
                drop(stream.write_all((head + &body).as_bytes()));
            }
        }
    });
    let url = database.url();
    let server = Server::start(&[("DATABASE_URL", &url), ("AUTH", "keys"), ("JWKS", &at)], &[]);
    let claims = json!({"exp": in_seconds(600), "role": "reader"});
    let (with_old, with_new) = (old.sign(&claims), new.sign(&claims));
    assert_eq!(status(&server, &with_old, "GET"), 503, "the keys cannot be had");
    *answer.lock().expect("no panic") = json!({"keys": [old.public()]}).to_string();
    assert_eq!(status(&server, &with_old, "GET"), 200);
    assert_eq!(status(&server, &with_new, "GET"), 401);
    *answer.lock().expect("no panic") = json!({"keys": [new.public()]}).to_string();
    let end = Instant::now() + Duration::from_mins(1);
    while status(&server, &with_new, "GET") != 200 {
        assert!(Instant::now() < end, "the new key is never seen");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(status(&server, &with_old, "GET"), 401);
}
