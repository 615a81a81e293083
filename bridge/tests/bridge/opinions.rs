//! zenpy, which others use with the real Zendesk, drives the one of the tests (`make opinions`).

use crate::harness::{Group, Place};
use std::{fs, path::Path, process::Command};

#[test]
fn zenpy_gets_along_with_the_zendesk_of_the_tests() {
    let Some(opinions) = std::env::var_os("DRM_OPINIONS") else {
        println!("SKIPPED: needs DRM_OPINIONS (make opinions)");
        return;
    };
    let place = Place::new();
    let bridge = place.bridge("store");
    let group = Group::new("zenpy");
    bridge.send(&group);
    let made = place.until(&group.subject(), "a ticket", |t| t.len() == 1);
    let ca = place.folder.path().join("ca.pem");
    fs::write(&ca, &place.world.certificates.ca_pem).unwrap();
    let output = Command::new(Path::new(&opinions).join("zenpy/bin/python3"))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../e2e/opinions/zendesk/drive.py"
        ))
        .arg(place.world.https.to_string())
        .arg(&ca)
        .arg(made[0]["external_id"].as_str().unwrap())
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!("{said}");
}
