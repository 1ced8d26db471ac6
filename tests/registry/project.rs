//! A clone of a small service, and `crudctl` in it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::server::run;

/// What a command said.
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    status: Option<i32>,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { out: text(&output.stdout), err: text(&output.stderr), status: output.status.code() }
    }

    /// Holds it to a status and to a part of what it says.
    pub(crate) fn expect(self, status: i32, part: &str) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert!(
            self.status == Some(status) && all.contains(part),
            "not {status} and `{part}`: {:?}\n{all}",
            self.status
        );
        self
    }
}

/// The clone; `docker/` beside it is its user's folder of credentials.
pub(crate) struct Project {
    pub(crate) folder: TempDir,
}

impl Project {
    /// The service of the fixtures as a git repository with one commit, which is always the same.
    pub(crate) fn new(crudctl_yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Self { folder };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/service/.");
        std::fs::create_dir_all(project.path()).expect("a folder");
        run(Command::new("cp").args(["-r", source]).arg(project.path()));
        std::fs::write(project.path().join("crudctl.yaml"), crudctl_yaml).expect("written");
        std::fs::write(project.path().join(".gitignore"), "target/\n").expect("written");
        project.git(&["init", "-q", "-b", "main"]);
        project.commit();
        project
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub(crate) fn docker(&self) -> PathBuf {
        self.folder.path().join("docker")
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a change"]);
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_at(1_700_000_000, arguments)
    }

    /// At a time in seconds since 1970.
    pub(crate) fn git_at(&self, time: u32, arguments: &[&str]) -> String {
        let date = format!("{time} +0000");
        run(Command::new("git")
            .arg("-C")
            .arg(self.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crudctl"));
        command.current_dir(self.path()).args(arguments).stdin(Stdio::null());
        for name in ["GITHUB_ACTIONS", "GITLAB_CI", "CRUDCTL_OUTPUT"] {
            command.env_remove(name);
        }
        command.env("DOCKER_CONFIG", self.docker());
        command
    }

    pub(crate) fn crudctl(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(arguments))
    }
}

pub(crate) fn said(command: &mut Command) -> Said {
    Said::of(&command.output().expect("crudctl"))
}
