//! What rows do to playlists and boxes.

use jiff::{SignedDuration, Timestamp};

/// Each line of a text.
pub fn lines(text: String, mut edit: impl FnMut(&str) -> String) -> String {
    text.lines().map(|line| edit(line) + "\n").collect()
}

/// Shifts the dates of a playlist.
pub fn shift_dates(text: String, seconds: f64) -> String {
    const TAG: &str = "#EXT-X-PROGRAM-DATE-TIME:";
    lines(text, |line| match line.strip_prefix(TAG) {
        Some(date) => {
            let at: Timestamp = date.parse().unwrap();
            format!("{TAG}{:.3}", at + SignedDuration::from_secs_f64(seconds))
        }
        None => line.to_owned(),
    })
}

/// Shifts the value of an attribute that is a time.
pub fn shift_attribute(text: String, name: &str, seconds: f64) -> String {
    let from = text.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    let to = from + text[from..].find('"').unwrap();
    let at: Timestamp = text[from..to].parse().unwrap();
    format!(
        "{}{:.3}{}",
        &text[..from],
        at + SignedDuration::from_secs_f64(seconds),
        &text[to..]
    )
}

/// Removes an attribute.
pub fn without_attribute(text: String, name: &str) -> String {
    let from = text.find(&format!(" {name}=\"")).unwrap();
    let value = from + name.len() + 3;
    let to = value + text[value..].find('"').unwrap() + 1;
    format!("{}{}", &text[..from], &text[to..])
}

/// Lines of a media playlist by segment: what stands before the first, and each with its URI.
pub fn segments(text: &str) -> (String, Vec<String>) {
    let own = [
        "#EXTINF",
        "#EXT-X-PROGRAM",
        "#EXT-X-DISC",
        "#EXT-X-PART:",
        "#EXT-X-BYTERANGE",
    ];
    let (mut head, mut found, mut open) = (String::new(), Vec::new(), String::new());
    for line in text.lines() {
        let starts = own.iter().any(|p| line.starts_with(p)) && !line.starts_with("#EXT-X-DISCONTINUITY-SEQ");
        if found.is_empty() && open.is_empty() && !starts && line.starts_with('#') {
            head += line;
            head += "\n";
            continue;
        }
        open += line;
        open += "\n";
        if !line.starts_with('#') {
            found.push(std::mem::take(&mut open));
        }
    }
    (head, found)
}

/// The newest segments only.
pub fn newest(text: String, count: usize) -> String {
    let (head, all) = segments(&text);
    let gone = all.len() - count;
    let head = lines(head, |line| match line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
        Some(n) => format!("#EXT-X-MEDIA-SEQUENCE:{}", n.parse::<usize>().unwrap() + gone),
        None => line.to_owned(),
    });
    head + &all[gone..].concat()
}

/// Puts lines before the segment with this place, from the end if it is negative.
pub fn before(text: String, place: isize, inserted: &str) -> String {
    let (head, mut all) = segments(&text);
    let n = all.len() as isize;
    all[((place + n) % n) as usize].insert_str(0, inserted);
    head + &all.concat()
}

/// Inserts a box before the first one of a segment.
pub fn prepend(body: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let size = (8 + content.len()) as u32;
    let made = [&size.to_be_bytes(), &kind[..], content].concat();
    body.splice(0..0, made);
}
