//! Rendezvous hashing: who works on what, without talking.

use sha2::{Digest, Sha256};

fn weight(a: &str, b: &str) -> [u8; 32] {
    Sha256::digest(format!("{a}\0{b}").as_bytes()).into()
}

/// The shard of a probe: stable for the life of the probe object.
pub fn shard_of(uid: &str, shards: u32) -> u32 {
    let digest = weight("shard", uid);
    let hash = digest
        .iter()
        .take(8)
        .fold(0u64, |acc, b| acc << 8 | u64::from(*b));
    (hash % u64::from(shards.max(1))) as u32
}

/// The member that should own a shard: the one with the highest hash (highest random weight). When a
/// member comes or goes, only the shards that it gains or held move.
pub fn owner<'a>(shard: u32, members: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let shard = shard.to_string();
    members
        .into_iter()
        .max_by_key(|member| (weight(&shard, member), *member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_leaves_moves_only_its_own_shards() {
        let all = ["a", "b", "c"];
        for shard in 0..256 {
            let before = owner(shard, all).unwrap();
            let after = owner(shard, ["a", "c"]).unwrap();
            assert!(
                before == after || before == "b",
                "shard {shard} moved from {before} to {after}"
            );
        }
    }

    #[test]
    fn probes_spread_over_shards() {
        let mut counts = [0; 16];
        for n in 0..16_000 {
            counts[shard_of(&format!("uid-{n}"), 16) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }

    #[test]
    fn no_members_means_no_owner() {
        assert_eq!(owner(3, []), None);
    }
}
