//! A downloaded file, put into its place on the host.

use crate::host::{Script, ShellFunction};
use crate::modules::guarded::{Call, GUARD, flag, variables};

/// Where it goes, and how.
#[derive(Debug, Default)]
pub(super) struct Place<'a> {
    /// A file, or a directory for `name`.
    pub(super) dest: &'a str,
    /// The file's name where `dest` is a directory.
    pub(super) name: &'a str,
    pub(super) owner: Option<&'a str>,
    pub(super) group: Option<&'a str>,
    pub(super) mode: Option<&'a str>,
    /// Keep a copy of the old file.
    pub(super) backup: bool,
}

/// `own=… grp=… mode=… bak=1 crud_place SOURCE DEST NAME`; without a SOURCE only owner, group and mode are set.
static PLACE: ShellFunction = ShellFunction {
    name: "crud_place",
    text: r#"crud_pl_put() {
if [ -n "$bak" ] && [ -e "$2" ]; then pl_b=$2.$$.$(date +%Y-%m-%d@%H:%M:%S)~; cp -p -- "$2" "$pl_b" || return 1; crud_say backup_file "$pl_b"; fi
pl_t=$2.crud$$
cat -- "$1" >"$pl_t" || { rm -f -- "$pl_t"; return 1; }
[ ! -e "$2" ] || { chmod "$(stat -c %a -- "$2")" "$pl_t"; chown "$(stat -c %u:%g -- "$2")" "$pl_t" 2>/dev/null; }
mv -f -- "$pl_t" "$2"; }
crud_place() {
pl_d=$2; [ ! -d "$pl_d" ] || pl_d=${pl_d%/}/$3
[ -d "$(dirname -- "$pl_d")" ] || crud_fail "destination directory $(dirname -- "$pl_d") does not exist"
[ -z "$1" ] || { cmp -s -- "$1" "$pl_d"; } || crud_do crud_pl_put "$1" "$pl_d"
pl_a=$(stat -c %u:%g:%a -- "$pl_d" 2>/dev/null)
[ -z "$own$grp" ] || chown "$own${grp:+:$grp}" -- "$pl_d" || exit 1
[ -z "$mode" ] || chmod "$mode" -- "$pl_d" || exit 1
[ "$pl_a" = "$(stat -c %u:%g:%a -- "$pl_d")" ] || crud_ch=1
crud_say dest "$pl_d"; crud_say state file
crud_say owner "$(stat -c %U -- "$pl_d")"; crud_say group "$(stat -c %G -- "$pl_d")"; crud_say mode "0$(stat -c %a -- "$pl_d")"
crud_num uid "$(stat -c %u -- "$pl_d")"; crud_num gid "$(stat -c %g -- "$pl_d")"; crud_num size "$(stat -c %s -- "$pl_d")"; }"#,
    needs: &[&GUARD],
};

impl Place<'_> {
    /// The call that puts `content` there (none: the file is there already).
    pub(super) fn call(&self, content: Option<&[u8]>) -> Call {
        let mut script = Script::new("");
        let source = content.map_or_else(|| "''".to_owned(), |content| script.upload(content));
        let line =
            variables(&[("own", self.owner), ("grp", self.group), ("mode", self.mode), ("bak", flag(self.backup))]);
        let (dest, name) = (crate::host::script::quote_path(self.dest), crate::host::quote(self.name));
        script.text = format!("{line}crud_place {source} {dest} {name}");
        Call::of(script.function(&PLACE))
    }
}

/// The file's name that an answer suggests: its `Content-Disposition`, else the last part of the URL's path.
pub(super) fn file_name(url: &str, disposition: Option<&str>) -> String {
    let given = disposition.and_then(|text| text.split(';').find_map(|part| part.trim().strip_prefix("filename=")));
    let given = given.map(|name| name.trim_matches('"').rsplit('/').next().unwrap_or_default().to_owned());
    let from_url = || {
        let path = url::Url::parse(url).map(|url| url.path().to_owned()).unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let name = given.filter(|name| !name.is_empty()).unwrap_or_else(from_url);
    if name.is_empty() || name == "." || name == ".." { "index.html".to_owned() } else { name }
}
