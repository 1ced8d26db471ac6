//! Compiles a cargo package to one static binary, the same bytes wherever and whenever it is done.
//!
//! The target is `<arch>-unknown-linux-gnu` with `+crt-static`: it needs nothing that `rustup` would have to add, and since glibc 2.34 names
//! resolve in such a binary too. What would differ between two machines is taken out: paths (`--remap-path-prefix`, and the C compiler's
//! equivalent for the crates that build C), times (`SOURCE_DATE_EPOCH`), incremental state, debug information and symbols. The release profile is
//! the package's own but for these, and for link-time optimisation over all crates, which is always on.
//! The compiler's version is the user's affair: pin it with `rust-toolchain.toml`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

/// What is built.
#[derive(Debug, Clone)]
pub struct CargoBuild {
    /// The folder with the package's `Cargo.toml`.
    pub package: PathBuf,
    /// The binary, where the package has more than one.
    pub binary: Option<String>,
    /// `SOURCE_DATE_EPOCH`: the commit's time.
    pub epoch: i64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The static binary.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// Architecture as images name it: `amd64`, `arm64`.
    pub architecture: String,
}

impl CargoBuild {
    /// Builds; each line that cargo prints (`Compiling …`, a compiler's error) goes to `on_line` as it comes.
    pub async fn run(&self, mut on_line: impl FnMut(&str) + Send) -> Result<Built> {
        let manifest = self.package.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "no cargo package in {}: there is no Cargo.toml (`image.build.cargo` names the folder of the package)",
            self.package.display()
        );
        let package = Package::read(&self.package, self.binary.as_deref()).await?;
        let toolchain = Toolchain::read(&self.package).await?;
        let mut fetch = cargo(&self.package);
        fetch.args(["fetch", "--target", &toolchain.target]).args(package.locked());
        run(fetch, "cargo fetch", &mut on_line).await?;
        let mut build = cargo(&self.package);
        build
            .args(["build", "--release", "--message-format", "json-render-diagnostics"])
            .args(["--package", &package.name, "--bin", &package.binary, "--target", &toolchain.target])
            .args(package.locked())
            .arg("--target-dir")
            .arg(package.target_directory.join("image"))
            .envs(self.environment(&package, &toolchain)?);
        let messages = run(build, "cargo build", &mut on_line).await?;
        let path = executable(&messages, &package.binary)?;
        ensure_static(&path).await?;
        Ok(Built {
            path,
            name: package.binary,
            version: package.version,
            architecture: architecture(&toolchain.target)?.to_owned(),
        })
    }

    fn environment(&self, package: &Package, toolchain: &Toolchain) -> Result<Vec<(&'static str, OsString)>> {
        let remaps = remaps(package, toolchain)?;
        let mut flags: Vec<String> = vec!["-Ctarget-feature=+crt-static".into()];
        flags.extend(remaps.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")));
        let prefix_maps = remaps.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}"));
        let for_c = prefix_maps.collect::<Vec<_>>().join(" ");
        let with_users = |name: &str| match std::env::var(name) {
            Ok(own) => format!("{own} {for_c}").into(),
            Err(_) => OsString::from(&for_c),
        };
        Ok(vec![
            ("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}").into()),
            ("CFLAGS", with_users("CFLAGS")),
            ("CXXFLAGS", with_users("CXXFLAGS")),
            ("SOURCE_DATE_EPOCH", self.epoch.to_string().into()),
            ("CARGO_INCREMENTAL", "0".into()),
            ("CARGO_PROFILE_RELEASE_DEBUG", "false".into()),
            ("CARGO_PROFILE_RELEASE_STRIP", "symbols".into()),
            // Optimised as one piece: the bundled server is a third smaller, for no more CPU time.
            ("CARGO_PROFILE_RELEASE_LTO", "fat".into()),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1".into()),
        ])
    }
}

/// The folders whose names must not show in the binary, and what stands for them. Later ones win in rustc, so the longest come last.
fn remaps(package: &Package, toolchain: &Toolchain) -> Result<Vec<(String, &'static str)>> {
    let mut remaps = vec![(package.workspace.clone(), "/src")];
    for (folder, name) in [("registry/src", "/cargo/registry"), ("git/checkouts", "/cargo/git")] {
        // Each registry has a folder of its own below, named after its address, and a mirror has another address.
        match std::fs::read_dir(toolchain.cargo_home.join(folder)) {
            Ok(entries) => {
                for entry in entries {
                    remaps.push((utf8(&entry?.path())?, name));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("cannot read cargo's home"),
        }
    }
    remaps.push((utf8(&toolchain.sysroot.join("lib/rustlib/src/rust"))?, "/rustc"));
    remaps.sort_by_key(|(from, _)| from.len());
    Ok(remaps)
}

fn utf8(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// What `cargo metadata` says about a package and all that it depends on for the target of images.
///
/// # Errors
/// Cargo does not tell.
pub(super) async fn resolved(folder: &Path) -> Result<Value> {
    let package = Package::read(folder, None).await?;
    let toolchain = Toolchain::read(folder).await?;
    let mut command = cargo(folder);
    command.args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &toolchain.target]);
    command.args(package.locked());
    let text = run(command, "cargo metadata", &mut |_| {}).await?;
    serde_json::from_str(&text).context("`cargo metadata` did not answer in JSON")
}

/// What `cargo metadata` says about the package.
struct Package {
    name: String,
    version: String,
    binary: String,
    workspace: String,
    target_directory: PathBuf,
}

impl Package {
    async fn read(folder: &Path, binary: Option<&str>) -> Result<Self> {
        let mut command = cargo(folder);
        command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
        let text = run(command, "cargo metadata", &mut |_| {}).await?;
        let metadata: Value = serde_json::from_str(&text).context("`cargo metadata` did not answer in JSON")?;
        let manifest = std::fs::canonicalize(folder.join("Cargo.toml"))?;
        let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let package = packages
            .iter()
            .find(|package| package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
            .with_context(|| format!("{} is a workspace without a package of its own", folder.display()))?;
        let field = |value: &Value, name: &str| -> Result<String> {
            let text = value[name].as_str().with_context(|| format!("`cargo metadata` has no `{name}`"))?;
            Ok(text.to_owned())
        };
        let name = field(package, "name")?;
        Ok(Self {
            binary: choose_binary(package, &name, binary)?,
            version: field(package, "version")?,
            name,
            workspace: field(&metadata, "workspace_root")?,
            target_directory: field(&metadata, "target_directory")?.into(),
        })
    }

    /// With a lock file the versions in it are meant; without one cargo has to write it.
    fn locked(&self) -> Option<&'static str> {
        Path::new(&self.workspace).join("Cargo.lock").is_file().then_some("--locked")
    }
}

fn choose_binary(package: &Value, name: &str, wanted: Option<&str>) -> Result<String> {
    let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_binary = |target: &&Value| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "bin"));
    let binaries: Vec<&str> = targets.iter().filter(is_binary).filter_map(|t| t["name"].as_str()).collect();
    if let Some(wanted) = wanted {
        ensure!(binaries.contains(&wanted), "package `{name}` has no binary `{wanted}` (it has {binaries:?})");
        return Ok(wanted.to_owned());
    }
    let default = package["default_run"].as_str().or_else(|| binaries.contains(&name).then_some(name));
    match (binaries.as_slice(), default) {
        (_, Some(default)) => Ok(default.to_owned()),
        ([only], None) => Ok((*only).to_owned()),
        ([], None) => bail!("package `{name}` has no binary"),
        (several, None) => bail!("package `{name}` has several binaries, name one of them: {several:?}"),
    }
}

/// What the compiler says about itself, asked in the package's folder, where a `rust-toolchain.toml` may choose it.
struct Toolchain {
    target: String,
    sysroot: PathBuf,
    cargo_home: PathBuf,
}

impl Toolchain {
    async fn read(folder: &Path) -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ask = async |arguments: &[&str]| {
            let mut command = Command::new(&rustc);
            command.current_dir(folder).args(arguments);
            run(command, "rustc", &mut |_| {}).await
        };
        let version = ask(&["-vV"]).await?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("`rustc -vV` does not say its host")?;
        let (architecture, _) = host.split_once('-').context("`rustc -vV` says no usable host")?;
        let sysroot = ask(&["--print", "sysroot"]).await?.trim().into();
        let cargo_home = match std::env::var_os("CARGO_HOME") {
            Some(home) => home.into(),
            None => std::env::home_dir().context("neither CARGO_HOME nor HOME is set")?.join(".cargo"),
        };
        Ok(Self { target: format!("{architecture}-unknown-linux-gnu"), sysroot, cargo_home })
    }
}

/// The architecture of a target as the OCI specification (that is, Go) names it.
fn architecture(target: &str) -> Result<&'static str> {
    Ok(match target.split('-').next().unwrap_or_default() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "riscv64gc" => "riscv64",
        "powerpc64le" => "ppc64le",
        "s390x" => "s390x",
        other => bail!("images for the architecture `{other}` are not supported"),
    })
}

fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).env("CARGO_TERM_COLOR", "never");
    // Set by `cargo run` for the program it starts: flags meant for that build must not leak into this one.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    // And what it tells that program about its own package: build scripts that look at it would run anew.
    for (name, _) in std::env::vars_os() {
        let own =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command`, hands over the lines of its stderr while they come, and returns its stdout. On failure the error holds the last lines.
async fn run(mut command: Command, what: &str, on_line: &mut (dyn FnMut(&str) + Send)) -> Result<String> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let mut child = match child {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "`{what}` cannot be run: no such program; building the service needs a Rust toolchain (or name an image with `image.reference`)"
            )
        }
        other => other.with_context(|| format!("`{what}` cannot be run"))?,
    };
    let stdout = child.stdout.take().context("no stdout")?;
    let stderr = child.stderr.take().context("no stderr")?;
    let mut last = Vec::new();
    let mut keep = |line: &str| {
        on_line(line);
        last.push(line.to_owned());
        if last.len() > 200 {
            last.remove(0);
        }
    };
    let mut output = String::new();
    let mut collect = |line: &str| {
        output.push_str(line);
        output.push('\n');
    };
    tokio::try_join!(each_line(stderr, &mut keep), each_line(stdout, &mut collect))?;
    let status = child.wait().await?;
    if !status.success() {
        let hint = if last.iter().any(|line| line.contains("--locked")) {
            "\nthe lock file does not fit Cargo.toml: run `cargo build` once and commit Cargo.lock"
        } else {
            ""
        };
        bail!("`{what}` failed ({status})\n{}{hint}", last.join("\n"));
    }
    Ok(output)
}

async fn each_line(stream: impl AsyncRead + Unpin, on_line: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        on_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
    Ok(())
}

/// Cargo says in its messages where the binary is; guessing it would have to know profiles, targets and configuration.
fn executable(messages: &str, binary: &str) -> Result<PathBuf> {
    let parsed = messages.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == binary)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no binary `{binary}`"))
}

/// An ELF file with a PT_INTERP segment asks for a dynamic loader, which the image does not have.
async fn ensure_static(path: &Path) -> Result<()> {
    let bytes = tokio::fs::read(path).await.with_context(|| format!("cannot read {}", path.display()))?;
    match has_interpreter(&bytes) {
        Some(false) => Ok(()),
        Some(true) => bail!("{} is not a static binary: it asks for a dynamic loader", path.display()),
        None => bail!("{} is not a 64-bit little-endian ELF file", path.display()),
    }
}

/// Reads the program headers (System V ABI, chapter 5). `None` for another kind of file.
fn has_interpreter(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        elf.get(at..at + size)?.iter().rev().try_fold(0u64, |sum, byte| Some((sum << 8) | u64::from(*byte)))
    };
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let start = usize::try_from(number(32, 8)?).ok()?;
    let (size, count) = (usize::try_from(number(54, 2)?).ok()?, usize::try_from(number(56, 2)?).ok()?);
    let mut found = false;
    for index in 0..count {
        found |= number(start.checked_add(index * size)?, 4)? == u64::from(PT_INTERP);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_told_from_a_static_one() {
        let shell = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(has_interpreter(&shell), Some(true), "the test itself is dynamic");
        assert_eq!(has_interpreter(b"#!/bin/sh\n"), None);
        assert_eq!(has_interpreter(b"\x7fELF\x02\x01"), None, "cut off");
    }

    #[test]
    fn the_binary_is_chosen_as_cargo_run_does() {
        let package = |names: &[&str], default: Option<&str>| {
            let targets: Vec<_> = names.iter().map(|n| serde_json::json!({"kind": ["bin"], "name": n})).collect();
            serde_json::json!({"targets": targets, "default_run": default})
        };
        assert_eq!(choose_binary(&package(&["only"], None), "p", None).unwrap(), "only");
        assert_eq!(choose_binary(&package(&["a", "p"], None), "p", None).unwrap(), "p");
        assert_eq!(choose_binary(&package(&["a", "p"], Some("a")), "p", None).unwrap(), "a");
        assert_eq!(choose_binary(&package(&["a", "b"], None), "p", Some("b")).unwrap(), "b");
        for (names, wanted) in [(&["a", "b"][..], None), (&[][..], None), (&["a"][..], Some("c"))] {
            assert!(choose_binary(&package(names, None), "p", wanted).is_err());
        }
    }

    #[tokio::test]
    async fn a_missing_package_is_said() {
        let build = CargoBuild { package: "/nonexistent".into(), binary: None, epoch: 0 };
        let error = build.run(|_| {}).await.unwrap_err().to_string();
        assert!(error.contains("no cargo package in /nonexistent"), "{error}");
    }

    #[tokio::test]
    async fn a_compile_error_is_shown_as_it_comes_and_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"x\"\nedition = \"2024\"\n").unwrap();
        std::fs::write(folder.path().join("src/main.rs"), "fn main() { nonsense }\n").unwrap();
        let mut lines = Vec::new();
        let build = CargoBuild { package: folder.path().into(), binary: None, epoch: 0 };
        let error = build.run(|line| lines.push(line.to_owned())).await.unwrap_err().to_string();
        assert!(error.contains("cannot find value `nonsense`"), "{error}");
        assert!(lines.iter().any(|line| line.contains("nonsense")), "{lines:?}");
    }
}
