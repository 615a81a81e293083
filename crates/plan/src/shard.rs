//! Rendezvous hashing with bounded load: who works on what, without talking.

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

/// Which member should own each shard: by highest random weight, but none more than its even share, rounded up.
///
/// Plain rendezvous hashing moves the least, but gives one of two runners eleven of sixteen shards now and then. Here the
/// greatest weights are served first, and who is full is passed over: the spread is even to one shard, and when a member
/// comes or goes little more moves than must (see the test).
pub fn owners<'a>(shards: u32, members: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let members: Vec<&str> = members.into_iter().collect();
    if members.is_empty() {
        return Vec::new();
    }
    let share = (shards as usize).div_ceil(members.len());
    let mut pairs: Vec<([u8; 32], u32, usize)> = (0..shards)
        .flat_map(|shard| {
            let name = shard.to_string();
            let weigh = move |(n, member): (usize, &&str)| (weight(&name, member), shard, n);
            members.iter().enumerate().map(weigh).collect::<Vec<_>>()
        })
        .collect();
    pairs.sort_unstable_by(|a, b| b.cmp(a));
    let mut owners: Vec<Option<&str>> = vec![None; shards as usize];
    let mut held = vec![0; members.len()];
    for (_, shard, n) in pairs {
        if owners[shard as usize].is_none() && held[n] < share {
            owners[shard as usize] = Some(members[n]);
            held[n] += 1;
        }
    }
    owners.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count)
            .map(|n| format!("drmwatch-runner-default-7d9f-{n}"))
            .collect()
    }

    fn of(shards: u32, members: &[String]) -> Vec<&str> {
        owners(shards, members.iter().map(String::as_str))
    }

    #[test]
    fn the_spread_is_even_to_one_shard() {
        for (shards, count) in [(16, 2), (16, 3), (16, 5), (64, 7), (256, 16), (8, 20)] {
            let members = names(count);
            let owners = of(shards, &members);
            assert_eq!(owners.len(), shards as usize);
            let share = (shards as usize).div_ceil(count);
            for member in &members {
                let held = owners.iter().filter(|o| **o == member).count();
                assert!(held <= share, "{member} holds {held} of {shards} among {count}");
            }
        }
    }

    #[test]
    fn little_more_moves_than_must() {
        let (mut moved, mut must) = (0, 0);
        for count in 2..12 {
            let members = names(count);
            let before = of(128, &members);
            for gone in 0..count {
                let left: Vec<String> = members.iter().filter(|m| **m != members[gone]).cloned().collect();
                let after = of(128, &left);
                moved += before.iter().zip(&after).filter(|(b, a)| b != a).count();
                must += before.iter().filter(|o| **o == members[gone]).count();
            }
        }
        let times = moved as f64 / must as f64;
        assert!(
            (1.0..1.5).contains(&times),
            "{times:.2} times as many shards move as must"
        );
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let members = names(5);
        let mut other = members.clone();
        other.reverse();
        assert_eq!(of(32, &members), of(32, &other));
        assert_eq!(owners(3, []), Vec::<&str>::new());
    }

    #[test]
    fn probes_spread_over_shards() {
        let mut counts = [0; 16];
        for n in 0..16_000 {
            counts[shard_of(&format!("uid-{n}"), 16) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }
}
