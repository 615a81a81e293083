//! `drmwatch verify`: whether reports are what was signed.

use crate::{
    folder::{Error, exit, io},
    place::with_ending,
};
use clap::Args;
use drmwatch_program::say;
use std::{fs, path::PathBuf, process::ExitCode};

/// Verify the signatures of report files. The signature of FILE is in FILE.sig.
///
/// The same with OpenSSL: openssl pkeyutl -verify -pubin -inkey KEY -rawin -in FILE -sigfile FILE.sig
#[derive(Args)]
pub struct Verify {
    /// File with the public key (PEM): the .pub file of `drmwatch keys signing`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Signed files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Verify {
    pub fn run(self) -> ExitCode {
        exit(self.work())
    }

    fn work(self) -> Result<(), Error> {
        let public = fs::read_to_string(&self.key).map_err(io(&self.key))?;
        let mut wrong = Vec::new();
        for file in &self.files {
            let beside = with_ending(file, ".sig");
            let text = fs::read(file).map_err(io(file))?;
            let signature = fs::read(&beside).map_err(io(&beside))?;
            match drmwatch_archive::sign::verify(&public, &text, &signature) {
                Ok(()) => say!("{}: signature is valid", file.display()),
                Err(error) => wrong.push(format!("{}: {error}", file.display())),
            }
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Error::Mistakes(wrong.join("\n"))),
        }
    }
}
