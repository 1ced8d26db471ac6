//! `stat`: what is known of a path.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::script::{Script, quote_path};
use crate::modules::contract::{Apply, Check, Context, HostModule, Outcome, Verdict};
use crate::modules::guarded::yes;

/// Tells whether a path exists, and what it is.
///
/// ```yaml
/// - stat:
///     path: /etc/foo.conf
///   register: st
/// - fail:
///     msg: "Whoops! file ownership has changed"
///   when: st.stat.pw_name != 'root'
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Stat {
    /// The path.
    #[serde(alias = "dest", alias = "name")]
    path: String,
    /// Look at what a link points to.
    #[serde(default)]
    follow: bool,
    /// Hash the file's content.
    #[serde(default = "yes")]
    get_checksum: bool,
    /// By which algorithm.
    #[serde(default, alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Algorithm,
    /// Guess the type of the content (where the host has `file`).
    #[serde(default = "yes", alias = "mime", alias = "mime_type", alias = "mime-type")]
    get_mime: bool,
    /// Attributes of `chattr`: never looked at.
    #[serde(default = "yes", alias = "attr", alias = "attributes")]
    get_attributes: bool,
    /// SELinux context: never looked at.
    #[serde(default)]
    get_selinux_context: bool,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    Md5,
    #[default]
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl HostModule for Stat {
    type Drift = std::convert::Infallible;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Self::Drift>> {
        let _ = (self.get_attributes, self.get_selinux_context);
        let path = quote_path(&self.path);
        let follow = if self.follow { "-L " } else { "" };
        let sum = match self.checksum_algorithm {
            Algorithm::Md5 => "md5sum",
            Algorithm::Sha1 => "sha1sum",
            Algorithm::Sha224 => "sha224sum",
            Algorithm::Sha256 => "sha256sum",
            Algorithm::Sha384 => "sha384sum",
            Algorithm::Sha512 => "sha512sum",
        };
        let mut script = Script::default();
        script.line(format!("p={path}"));
        if self.path.starts_with('~') {
            script.line("echo \"@p $p\"");
        }
        script.line(format!("s=$(stat {follow}-c '%a %u %g %U %G %s %X %Y %Z %W %i %h %d %b %B %t %T %f' -- \"$p\") 2>/dev/null || {{ echo none; exit 0; }}"));
        script.line("echo \"$s\"");
        // Links are looked at as links, and what they point to for what can be done with it.
        script.line(
            "if [ -L \"$p\" ]; then echo link; readlink -- \"$p\"; readlink -f -- \"$p\"; else echo; echo; echo; fi",
        );
        script.line("printf '%s%s%s\\n' \"$([ -r \"$p\" ] && echo r)\" \"$([ -w \"$p\" ] && echo w)\" \"$([ -x \"$p\" ] && echo x)\"");
        let plain = if self.follow { "[ -f \"$p\" ]" } else { "[ -f \"$p\" ] && [ ! -L \"$p\" ]" };
        if self.get_checksum {
            script.line(format!("if {plain} && [ -r \"$p\" ]; then {sum} <\"$p\" | cut -d' ' -f1; else echo; fi"));
        } else {
            script.line("echo");
        }
        if self.get_mime {
            script.line("file -L --mime-type --mime-encoding -b -- \"$p\" 2>/dev/null || echo");
        }
        script.line("exit 0");
        let (path, follow) = (self.path.clone(), self.follow);
        Ok(Check::ask(script, move |reply| {
            anyhow::ensure!(reply.status == 0, reply.failure("could not look at the path"));
            let text = reply.out();
            let (path, text) = match text.strip_prefix("@p ").and_then(|rest| rest.split_once('\n')) {
                Some((path, rest)) => (path, rest),
                None => (path.as_str(), text.as_str()),
            };
            let lines: Vec<&str> = text.lines().collect();
            let stat = parse(path, &lines, follow);
            Ok(Verdict::Converged(Outcome::ok().with("stat", Value::Object(stat))))
        }))
    }

    fn apply(&self, drift: Self::Drift, _: &Context) -> anyhow::Result<Apply> {
        match drift {}
    }
}

fn parse(path: &str, lines: &[&str], follow: bool) -> Map<String, Value> {
    let mut out = Map::new();
    let fields: Vec<&str> = lines.first().map(|l| l.split(' ').collect()).unwrap_or_default();
    let [
        mode,
        uid,
        gid,
        user,
        group,
        size,
        atime,
        mtime,
        ctime,
        _birth,
        inode,
        links,
        dev,
        blocks,
        block,
        major,
        minor,
        raw,
    ] = fields[..]
    else {
        out.insert("exists".into(), false.into());
        return out;
    };
    let number = |text: &str| text.parse::<i64>().map_or(Value::Null, Value::from);
    let float = |text: &str| text.parse::<f64>().map_or(Value::Null, Value::from);
    let bits = u32::from_str_radix(mode, 8).unwrap_or(0);
    let kind = u32::from_str_radix(raw, 16).unwrap_or(0) & 0o170_000;
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("exists", true.into());
    put("path", path.into());
    put("mode", format!("{bits:04o}").into());
    put("isdir", (kind == 0o040_000).into());
    put("isreg", (kind == 0o100_000).into());
    put("islnk", (kind == 0o120_000).into());
    put("isblk", (kind == 0o060_000).into());
    put("ischr", (kind == 0o020_000).into());
    put("isfifo", (kind == 0o010_000).into());
    put("issock", (kind == 0o140_000).into());
    for (name, bit) in [
        ("rusr", 0o400),
        ("wusr", 0o200),
        ("xusr", 0o100),
        ("rgrp", 0o040),
        ("wgrp", 0o020),
        ("xgrp", 0o010),
        ("roth", 0o004),
        ("woth", 0o002),
        ("xoth", 0o001),
        ("isuid", 0o4000),
        ("isgid", 0o2000),
    ] {
        put(name, (bits & bit != 0).into());
    }
    put("uid", number(uid));
    put("gid", number(gid));
    if user != "UNKNOWN" {
        put("pw_name", user.into());
    }
    if group != "UNKNOWN" {
        put("gr_name", group.into());
    }
    put("size", number(size));
    put("inode", number(inode));
    put("dev", number(dev));
    put("nlink", number(links));
    put("atime", float(atime));
    put("mtime", float(mtime));
    put("ctime", float(ctime));
    put("blocks", number(blocks));
    put("block_size", number(block));
    put(
        "device_type",
        json!((u32::from_str_radix(major, 16).unwrap_or(0) << 8) | u32::from_str_radix(minor, 16).unwrap_or(0)),
    );
    let access = line(4);
    put("readable", access.contains('r').into());
    put("writeable", access.contains('w').into());
    put("executable", access.contains('x').into());
    if line(1) == "link" && !follow {
        put("lnk_target", line(2).into());
        put("lnk_source", line(3).into());
    }
    if !line(5).is_empty() {
        put("checksum", line(5).into());
    }
    if let Some((mime, charset)) = line(6).split_once("; charset=") {
        put("mimetype", mime.into());
        put("mime_type", mime.into());
        put("charset", charset.into());
    }
    put("version", Value::Null);
    put("attributes", Value::Array(vec![]));
    put("attr_flags", "".into());
    out
}
