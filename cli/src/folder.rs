//! What users wrote, and what is said of it where it is wrong.

use drmwatch_api::EgressPolicy;
use drmwatch_folder::{Folder, Stage};
use drmwatch_program::note;
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Why nothing was written.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    #[error("encoding: {0}")]
    Encoding(#[from] serde_saphyr::ser::Error),
    #[error("{0}")]
    Mistakes(String),
    #[error(transparent)]
    Store(#[from] drmwatch_archive::StoreError),
    #[error(transparent)]
    Key(#[from] drmwatch_archive::keys::KeyError),
    #[error(transparent)]
    Postgres(#[from] drmwatch_postgres::Error),
}

/// An error with the path that it is about.
pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Io(path, error)
}

/// Reads a folder without mistakes. What is rendered holds no secret, and is rendered where there are none.
pub fn read(path: &Path) -> Result<Folder, Error> {
    let read = drmwatch_folder::read(path, "", &EgressPolicy::default(), drmwatch_program::now());
    let folder = read.map_err(io(path))?;
    let wrong: Vec<String> = folder
        .mistakes
        .iter()
        .filter(|m| !matches!(m.stage, Stage::Secrets | Stage::Reference))
        .map(ToString::to_string)
        .collect();
    match wrong.is_empty() {
        true => Ok(folder),
        false => Err(Error::Mistakes(wrong.join("\n"))),
    }
}

/// What a command ends with: 2 where what users wrote is wrong, or can't be read.
pub fn exit(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("{error}");
            ExitCode::from(crate::ERROR)
        }
    }
}
