//! The word that was meant.

/// The candidate that is nearest to a word, if one is near enough to be what was meant: at most a third of its letters differ,
/// two swapped letters counting as one. Case does not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (lower.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= allowed && !candidate.is_empty() && *candidate != word)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "NEAREST"?`, or nothing where no candidate is near.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("; did you mean {candidate:?}?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_and_a_far_one_is_not() {
        let fields = ["intervalSeconds", "cron", "timeZone", "suspend"];
        let near = |word| nearest(word, fields);
        assert_eq!(near("intervalSecond"), Some("intervalSeconds"));
        assert_eq!(near("IntervalSeconds"), Some("intervalSeconds"));
        assert_eq!(near("corn"), Some("cron"));
        assert_eq!(near("interval"), None);
        assert_eq!(near("x"), None);
        assert_eq!(did_you_mean("timezone", fields), "; did you mean \"timeZone\"?");
        assert_eq!(did_you_mean("body", fields), "");
    }
}
