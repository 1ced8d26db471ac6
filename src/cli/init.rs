//! `crudctl init`: a project file to start from.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::exit::Exit;
use super::failure::Failure;
use super::{complain, say};
use crate::project::FILE;

/// Write a commented crudctl.yaml to start from
///
/// Nothing that is there is overwritten.
#[derive(Debug, Args)]
pub struct Init {
    /// The project's directory
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The service's name [default: made from the directory's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write a pipeline that builds and pushes the image, in place of crudctl.yaml
    #[arg(long, value_enum, value_name = "SYSTEM", conflicts_with = "name")]
    ci: Option<Ci>,
}

/// A CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ci {
    /// .github/workflows/image.yml
    Github,
    /// .gitlab-ci.yml
    Gitlab,
    /// A Makefile
    Make,
}

impl Ci {
    /// Where the file goes, and what is in it.
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Github => (".github/workflows/image.yml", include_str!("../../templates/ci/github.yml")),
            Self::Gitlab => (".gitlab-ci.yml", include_str!("../../templates/ci/gitlab.yml")),
            Self::Make => ("Makefile", include_str!("../../templates/ci/Makefile")),
        }
    }
}

impl Init {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        if let Some(ci) = self.ci {
            let (name, text) = ci.file();
            write_new(&self.dir.join(name), text)?;
            return Ok(Exit::Ok);
        }
        let name = match &self.name {
            Some(name) => name.clone(),
            None => service_name(&std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone())),
        };
        let path = self.dir.join(FILE);
        let text = project_file(&name);
        // What is written must be what the other verbs read, a name that was given included.
        crate::project::Project::read(&path, &text).map_err(|error| Failure::of(Exit::Usage, vec![error]))?;
        write_new(&path, &text)?;
        complain("next: crudctl plan · crudctl up");
        Ok(Exit::Ok)
    }
}

/// Writes a file that is not there yet, and says its name.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::Usage, format!("{} is there already; it was left as it is", path.display()))
        }
        _ => Failure::new(Exit::Error, format!("could not write {}: {error}", path.display())),
    };
    std::fs::create_dir_all(super::common::directory(path)).map_err(failed)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    say(&path.display().to_string());
    Ok(())
}

/// A directory's name as a service's.
fn service_name(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('_');
    if name.is_empty() { "crud".to_owned() } else { name.chars().take(40).collect() }
}

/// The file, with each setting at its default.
fn project_file(name: &str) -> String {
    format!(
        "# What `crudctl up` sets up, and where. `crudctl schema --project` describes every setting.
name: {name}                 # of its containers, its image, its database

image:
  build: {{ cargo: server }}    # the folder of the cargo package
  # registry: registry.example.org/team   # where `crudctl build-push` pushes it

service:
  port: 8080                  # that the service listens on, in its container
  health: /readyz             # must answer 200 before the proxy is switched to a new release
  health_timeout: 30          # seconds
  env: {{}}                     # LOG_LEVEL: info
  secrets: []                 # names of environment variables of this process; never printed
  # memory: 268435456         # limit in bytes

database: sqlite              # or postgres: installed on the host, with a role and a password of its own

proxy:
  port: 80
  # host: crud.example.org    # the name that it answers to; without one: every name
  # tls: {{ cert: cert.pem, key: key.pem }}

docker: {{ source: distribution }}   # or docker-ce

hosts: []                     # deploy@203.0.113.7; none: this machine
# inventory: hosts.ini        # in place of hosts
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories_become_names_of_services() {
        for (dir, name) in [("/srv/My-App", "my_app"), ("/srv/2024-crud_", "crud"), ("/", "crud"), ("/srv/ü", "crud")]
        {
            assert_eq!(service_name(Path::new(dir)), name);
        }
    }
}
