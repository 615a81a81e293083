use super::*;
use crate::Place;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn mpd(attributes: &str, template: &str) -> Mpd {
    let text = format!(
        "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" {attributes}>\n<Period id=\"1\" start=\"PT0S\">\n<AdaptationSet contentType=\"video\">\n{template}\n<Representation id=\"v\" bandwidth=\"1000\"/>\n</AdaptationSet></Period></MPD>"
    );
    parse(text.as_bytes()).unwrap()
}

const LIVE: &str =
    "type=\"dynamic\" availabilityStartTime=\"2026-11-23T12:00:00Z\" timeShiftBufferDepth=\"PT10S\"";

fn available(mpd: &Mpd, now: &str) -> Option<(SegmentRef, SegmentRef)> {
    let period = mpd.current(at(now))?;
    let representation = &period.sets[0].representations[0];
    Some((
        representation.oldest(mpd, period, at(now))?,
        representation.newest(mpd, period, at(now))?,
    ))
}

#[test]
fn with_a_duration_alone_the_clock_says_what_there_is() {
    let mpd = mpd(
        LIVE,
        "<SegmentTemplate timescale=\"10\" duration=\"20\" startNumber=\"5\" media=\"$Number%03d$.m4s\"/>",
    );
    assert_eq!(mpd.problems, []);
    assert_eq!(available(&mpd, "2026-11-23T12:00:01.9Z"), None);
    let (oldest, newest) = available(&mpd, "2026-11-23T12:00:21Z").unwrap();
    assert_eq!(
        (newest.url.as_str(), newest.start, newest.duration),
        ("014.m4s", 18.0, 2.0)
    );
    assert_eq!(oldest.url, "010.m4s");
}

#[test]
fn a_timeline_lists_what_there_is_and_an_open_run_fills_the_period() {
    let timeline = |s: &str| {
        format!(
            "<SegmentTemplate timescale=\"10\" media=\"$Time$\"><SegmentTimeline>{s}</SegmentTimeline></SegmentTemplate>"
        )
    };
    let listed = mpd(LIVE, &timeline("<S t=\"100\" d=\"20\" r=\"2\"/><S d=\"10\"/>"));
    let (oldest, newest) = available(&listed, "2026-11-23T12:00:21Z").unwrap();
    assert_eq!((oldest.time, newest.time, newest.number), (100, 160, 4));
    let open = mpd(
        "type=\"static\" mediaPresentationDuration=\"PT9.5S\"",
        &timeline("<S t=\"0\" d=\"20\" r=\"-1\"/>"),
    );
    assert_eq!(available(&open, "2026-11-23T12:00:21Z").unwrap().1.time, 80);
    let jumpy = mpd(
        LIVE,
        &timeline("<S t=\"0\" d=\"20\"/><S t=\"30\" d=\"10\"/><S t=\"35\" d=\"10\"/>"),
    );
    let Addressing::Template(template) = &jumpy.periods[0].sets[0].representations[0].segments else {
        panic!()
    };
    assert_eq!(
        template
            .timeline
            .as_ref()
            .unwrap()
            .jumps()
            .map(|j| j.1)
            .collect::<Vec<_>>(),
        [10, -5]
    );
}

#[test]
fn the_current_period_is_the_last_that_has_begun() {
    let text = format!(
        "<MPD {LIVE}><Period id=\"a\" start=\"PT0S\"/><Period id=\"b\" start=\"PT10S\"><AdaptationSet><Representation id=\"x\" bandwidth=\"1\"/></AdaptationSet></Period><Period id=\"c\" start=\"PT1H\"/></MPD>"
    );
    let mpd = parse(text.as_bytes()).unwrap();
    assert_eq!(
        mpd.current(at("2026-11-23T12:00:11Z")).unwrap().id.as_deref(),
        Some("b")
    );
    assert_eq!(
        mpd.current(at("2026-11-23T12:00:09Z")).unwrap().id.as_deref(),
        Some("a")
    );
    assert_eq!(mpd.periods[0].end, Some(10.0));
}

#[test]
fn durations_of_years_are_read_and_noted() {
    let mpd = mpd(
        "type=\"static\" mediaPresentationDuration=\"P1M\" minBufferTime=\"P0Y0DT1H2M3.5S\"",
        "",
    );
    assert_eq!(
        (mpd.duration, mpd.min_buffer_time),
        (Some(30.0 * 86_400.0), Some(3723.5))
    );
    assert_eq!(mpd.calendar_durations.len(), 1);
}

#[test]
fn protection_keeps_systems_key_ids_and_boxes() {
    let mpd = mpd(
        "type=\"static\"",
        "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cbcs\" cenc:default_KID=\"a7e61c37-3e21-9033-c210-91fa607bf3b8\"/>\n<ContentProtection schemeIdUri=\"urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED\"><cenc:pssh>AAAA</cenc:pssh></ContentProtection>",
    );
    let protection: Vec<_> = mpd.protection().collect();
    assert!(protection[0].is_common() && protection[0].value == "cbcs");
    assert_eq!(protection[1].system().unwrap()[..2], [0xed, 0xef]);
    assert_eq!(protection[1].pssh, [[0, 0, 0]]);
    assert_eq!(mpd.kids()[0].to_string(), "a7e61c373e219033c21091fa607bf3b8");
}

#[test]
fn mistakes_name_line_and_element_and_reading_goes_on() {
    assert!(matches!(parse(b"<html/>"), Err(DashError::Root { .. })));
    assert!(matches!(parse(b"<MPD>"), Err(DashError::Xml(_))));
    let mpd = mpd(
        "type=\"dynamic\"",
        "<SegmentTemplate timescale=\"x\" media=\"a\" duration=\"0\"/>",
    );
    let said: Vec<String> = mpd.problems.iter().map(ToString::to_string).collect();
    assert!(
        said.contains(&"line 2: MPD must have @availabilityStartTime when @type is dynamic".to_owned()),
        "{said:?}"
    );
    assert!(
        said.contains(
            &"line 5: SegmentTemplate must have a whole number in @timescale, not \"x\"".to_owned()
        )
    );
    assert!(
        mpd.problems
            .iter()
            .any(|p| p.place == Place::Line(5) && p.message.contains("@duration above 0"))
    );
}

#[test]
fn a_patch_names_its_mpd_and_its_changes() {
    let patch = parse_patch(
        b"<Patch mpdId=\"x\" originalPublishTime=\"2026-11-23T12:00:00Z\" publishTime=\"2026-11-23T12:00:02Z\"><replace sel=\"/MPD/@publishTime\">y</replace>\n<move/></Patch>",
    )
    .unwrap();
    assert_eq!((patch.operations.len(), patch.mpd_id.as_deref()), (1, Some("x")));
    assert_eq!(
        patch.problems[0].to_string(),
        "line 2: move must be add, replace or remove"
    );
}

#[test]
fn a_period_of_negative_length_and_times_of_64_bits_are_survived() {
    let text = "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT6S\">\n\
        <Period start=\"PT12M34S\"><AdaptationSet contentType=\"video\"><SegmentTemplate duration=\"2\" media=\"$Number$.m4s\"/>\n\
        <Representation id=\"v\" bandwidth=\"1000\"/></AdaptationSet></Period></MPD>";
    let ends_before = parse(text.as_bytes()).unwrap();
    assert_eq!(available(&ends_before, "2026-11-23T12:00:00Z"), None);
    for (from, to, expected) in [
        (0, u64::MAX, i64::MAX),
        (u64::MAX - 1, 0, i64::MIN),
        (1 << 63, (1 << 63) + 5, 4),
    ] {
        let run = |start| Run {
            start,
            duration: 1,
            count: Some(1),
            line: 1,
        };
        let runs = vec![run(from), run(to)];
        assert_eq!(Timeline { runs }.jumps().collect::<Vec<_>>(), [(1, expected)]);
    }
}
