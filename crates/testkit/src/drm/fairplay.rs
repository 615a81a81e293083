//! FairPlay: an application certificate of our own, and frames whose insides are noise.

use super::Refusal;
use crate::{
    Fault, Faults,
    services::{Answer, answer, json},
};
use drmwatch_drm::fairplay::{Spc, malformed_spc};
use serde_json::json;
use sha1::{Digest, Sha1};
use std::sync::OnceLock;

/// Certificates, DER: good, another, expired. Made once for the process, so that recordings stay good.
fn certificates() -> &'static [Vec<u8>; 3] {
    static MADE: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    MADE.get_or_init(|| {
        let make = |year: i32| {
            let key = rcgen::KeyPair::generate().ok()?;
            let mut parameters = rcgen::CertificateParams::new(vec!["fps.drm.town".to_owned()]).ok()?;
            parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
            Some(parameters.self_signed(&key).ok()?.der().to_vec())
        };
        [2036, 2036, 2021].map(|year| make(year).unwrap_or_default())
    })
}

/// A key request as a player records it, for the good certificate.
pub fn recorded_spc() -> Vec<u8> {
    let mut spc = vec![0x5a; 176 + 64];
    spc[..4].copy_from_slice(&1u32.to_be_bytes());
    spc[152..172].copy_from_slice(&Sha1::digest(&certificates()[0]));
    spc[172..176].copy_from_slice(&64u32.to_be_bytes());
    spc
}

pub(super) struct Server;

impl Server {
    pub fn new() -> Server {
        Server
    }

    pub fn certificate(&self, faults: &Faults) -> Answer {
        let which = match () {
            () if faults.has(Fault::DrmCertificateRotated) => 1,
            () if faults.has(Fault::DrmCertificateExpired) => 2,
            () => 0,
        };
        let mut der = certificates()[which].clone();
        if faults.has(Fault::DrmCertificateBroken) {
            der.truncate(100);
        }
        answer(200, "application/octet-stream", der)
    }

    pub fn readable(&self, body: &[u8]) -> bool {
        body != malformed_spc() && Spc::parse(body).is_ok()
    }

    pub fn grant(&self, faults: &Faults) -> Answer {
        let mut ckc = vec![0u8; 28];
        ckc[3] = 1;
        ckc[8..24].copy_from_slice(&rand::random::<[u8; 16]>());
        ckc[24..28].copy_from_slice(&640u32.to_be_bytes());
        ckc.extend([0xa5; 640]);
        if faults.has(Fault::DrmBroken) || faults.has(Fault::DrmNoKeys) {
            ckc[3] = 9;
        }
        answer(200, "application/octet-stream", ckc)
    }
}

/// Refusals that Apple's server SDK has a status for.
pub(super) fn refuse(refusal: Refusal) -> Option<Answer> {
    let status = match refusal {
        Refusal::Malformed => -42581,
        Refusal::SecurityLevel => -42604,
        Refusal::Internal => -42601,
        _ => return None,
    };
    let body = json!({ "fairplay-streaming-response": { "create-ckc": [{ "id": 1, "status": status }] } });
    Some(json(200, body))
}
