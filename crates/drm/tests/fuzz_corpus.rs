//! What the fuzzer has kept, replayed: `fuzz/corpus`, one folder for each target. `make fuzz` adds to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_kept_input_is_survived_by_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let files: Vec<_> = fs::read_dir(folder.join(name)).unwrap().flatten().collect();
        assert!(!files.is_empty(), "no input for {name}");
        for file in files {
            target(&fs::read(file.path()).unwrap());
        }
    }
}
