//! HLS AES-128 (RFC 8216 section 5): whole segments under AES-CBC with a key that is served in the clear.
//!
//! Such a key protects a transport, not content: whoever may have the playlist may have it. One block is
//! opened to tell a right key from a wrong one, and thrown away.

use aes::{
    Aes128,
    cipher::{BlockCipherDecrypt, KeyInit},
};

/// Whether a key opens a segment: its first block, decrypted, begins as media does.
pub fn opens(key: &[u8; 16], vector: &[u8; 16], first: &[u8; 16]) -> bool {
    let mut block = (*first).into();
    Aes128::new(key.into()).decrypt_block(&mut block);
    let plain: Vec<u8> = block.iter().zip(vector).map(|(b, v)| b ^ v).collect();
    let boxes = [b"styp", b"moof", b"sidx", b"prft", b"emsg", b"ftyp"];
    plain[0] == 0x47
        || plain.starts_with(b"ID3")
        || plain.starts_with(b"WEBVTT")
        || (plain[0] == 0xff && plain[1] & 0xe0 == 0xe0)
        || plain.starts_with(&[0x0b, 0x77])
        || boxes.iter().any(|kind| plain[4..8] == kind[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::BlockCipherEncrypt;

    #[test]
    fn the_right_key_and_vector_open_and_others_do_not() {
        let (key, vector) = ([7; 16], [9; 16]);
        let mut plain = *b"\0\0\0\x18stypmsdh\0\0\0\0";
        plain.iter_mut().zip(&vector).for_each(|(p, v)| *p ^= v);
        let mut block = plain.into();
        Aes128::new(&key.into()).encrypt_block(&mut block);
        let first: [u8; 16] = block.into();
        assert!(opens(&key, &vector, &first));
        assert!(!opens(&[8; 16], &vector, &first));
        assert!(!opens(&key, &[8; 16], &first));
    }
}
