//! SQLite: a file.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Database, new_name};

pub struct Sqlite {
    folder: TempDir,
}

impl Sqlite {
    pub fn start() -> Self {
        Self { folder: TempDir::new().expect("a folder") }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("data/crud.db")
    }
}

impl Database for Sqlite {
    fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    fn fresh(&self) -> String {
        format!("sqlite://{}/{}/crud.db", self.folder.path().display(), new_name())
    }
}
