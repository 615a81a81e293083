use super::*;

fn document(text: &str) -> Document {
    parse(text.as_bytes()).unwrap()
}

fn media(text: &str) -> Media {
    let document = document(text);
    assert_eq!(document.problems, []);
    match document.playlist {
        Playlist::Media(media) => media,
        other => panic!("{other:?}"),
    }
}

fn problems(text: &str) -> Vec<String> {
    document(text).problems.iter().map(ToString::to_string).collect()
}

const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n";

#[test]
fn dates_are_carried_from_segment_to_segment_but_not_across_a_discontinuity() {
    let list = media(&format!(
        "{HEAD}#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:00.000+0000\n#EXTINF:6,\na\n#EXTINF:5.5,\nb\n#EXT-X-DISCONTINUITY\n#EXTINF:6,\nc\n"
    ));
    assert_eq!(list.segments[1].sequence, 8);
    assert_eq!(
        list.segments[1].program_date_time,
        Some("2026-11-23T12:00:06Z".parse().unwrap())
    );
    assert_eq!(list.segments[1].own_date, None);
    assert_eq!(
        (
            list.segments[2].program_date_time,
            list.segments[2].discontinuity_sequence
        ),
        (None, 1)
    );
    assert!(list.is_live());
}

#[test]
fn a_key_applies_until_the_next_of_its_format_and_none_ends_all() {
    let list = media(&format!(
        "{HEAD}#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://1\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:x,y\",KEYID=0x00112233445566778899aabbccddeeff\n\
         #EXTINF:6,\na\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://2\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
         #EXTINF:6,\nb\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:6,\nc\n"
    ));
    assert_eq!(
        list.segments[0].keys[1].kid.unwrap().to_string(),
        "00112233445566778899aabbccddeeff"
    );
    let uris: Vec<&str> = list.segments[1].keys.iter().map(|k| k.uri.as_str()).collect();
    assert_eq!(uris, ["data:x,y", "skd://2"]);
    assert!(list.segments[2].keys.is_empty());
}

#[test]
fn byte_ranges_without_offset_go_on_where_the_last_ended() {
    let list = media(&format!(
        "{HEAD}#EXTINF:6,\n#EXT-X-BYTERANGE:100@10\na\n#EXTINF:6,\n#EXT-X-BYTERANGE:50\na\n"
    ));
    assert_eq!(list.segments[1].byte_range, Some((110, 50)));
}

#[test]
fn low_latency_tags_are_kept_with_their_segments() {
    let list = media(&format!(
        "{HEAD}#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=36\n#EXT-X-PART-INF:PART-TARGET=0.33\n\
         #EXT-X-PART:DURATION=0.33,URI=\"a.1\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.33,URI=\"a.2\"\n#EXTINF:0.66,\na\n\
         #EXT-X-PART:DURATION=0.33,URI=\"b.1\",BYTERANGE=10@0\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b.2\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"../x\",LAST-MSN=3,LAST-PART=1\n"
    ));
    assert_eq!((list.segments[0].parts.len(), list.parts.len()), (2, 1));
    assert_eq!(list.parts[0].byte_range, Some((0, 10)));
    assert_eq!(list.rendition_reports[0].last_msn, Some(3));
    assert_eq!(list.preload_hints[0].uri, "b.2");
    assert_eq!(list.server_control.unwrap().can_skip_until, Some(36.0));
}

#[test]
fn variables_are_filled_in_from_all_three_sources() {
    let known = BTreeMap::from([("host".to_owned(), "cdn".to_owned())]);
    let text = format!(
        "{HEAD}#EXT-X-DEFINE:NAME=\"a\",VALUE=\"x\"\n#EXT-X-DEFINE:IMPORT=\"host\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n#EXTINF:6,\n{{$host}}/{{$a}}?t={{$token}}\n"
    );
    let around = Surroundings {
        imports: Some(&known),
        query: Some("b=1&token=p%2Fq"),
    };
    let found = parse_in(text.as_bytes(), around).unwrap();
    assert_eq!(found.problems, []);
    let Playlist::Media(list) = found.playlist else {
        panic!()
    };
    assert_eq!(list.segments[0].uri, "cdn/x?t=p/q");
    assert!(problems(&text)[0].contains("imports \"host\""));
    assert_eq!(
        problems(&format!("{HEAD}#EXTINF:6,\n{{$b}}\n")),
        ["line 4: the URI refers to the variable \"b\", which no EXT-X-DEFINE gives"]
    );
}

#[test]
fn a_delta_update_merges_to_the_whole_playlist() {
    let segments =
        |numbers: std::ops::Range<u64>| numbers.map(|n| format!("#EXTINF:6,\n{n}\n")).collect::<String>();
    let date = "#EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:00Z\n#EXT-X-MAP:URI=\"i\"\n";
    let before = media(&format!(
        "{HEAD}#EXT-X-MEDIA-SEQUENCE:10\n{date}{}",
        segments(10..20)
    ));
    let delta = media(&format!(
        "{HEAD}#EXT-X-MEDIA-SEQUENCE:12\n#EXT-X-SKIP:SKIPPED-SEGMENTS=6\n{}",
        segments(18..22)
    ));
    let merged = merge(&before, &delta).unwrap();
    let numbers: Vec<(u64, &str)> = merged
        .segments
        .iter()
        .map(|s| (s.sequence, s.uri.as_str()))
        .collect();
    assert_eq!((numbers[0], numbers[9]), ((12, "12"), (21, "21")));
    assert_eq!(merged.segments[9].map.as_ref().unwrap().uri, "i");
    assert_eq!(merged.live_edge(), Some("2026-11-23T12:01:12Z".parse().unwrap()));
    assert_eq!(merge(&before, &before), Err(DeltaError::NotADelta));
    let gone = media(&format!(
        "{HEAD}#EXT-X-MEDIA-SEQUENCE:12\n#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n{}",
        segments(21..22)
    ));
    assert_eq!(merge(&before, &gone), Err(DeltaError::Unknown(20)));
}

#[test]
fn markers_of_advertisements_stay_with_the_segment_behind_them() {
    let list = media(&format!(
        "{HEAD}#EXTINF:6,\na\n#EXT-OATCLS-SCTE35:/DA0\n#EXT-X-CUE-OUT:DURATION=30.5\n#EXTINF:6,\nb\n#EXT-X-CUE-IN\n#EXTINF:6,\nc\n"
    ));
    assert_eq!(list.segments[1].cues[1], Cue::Out(Some(30.5)));
    assert!(matches!(&list.segments[1].cues[0], Cue::Scte35(Some(bytes)) if bytes[0] == 0xfc));
    assert_eq!(list.segments[2].cues, [Cue::In]);
}

#[test]
fn reading_goes_on_behind_a_mistake_and_every_mistake_names_line_and_tag() {
    assert_eq!(parse(b"<html>"), Err(HlsError::NoHeader));
    assert_eq!(parse(b""), Err(HlsError::NoHeader));
    assert_eq!(
        problems(&format!(
            "{HEAD}#EXTINF:x,\na\n#EXT-X-MEDIA-SEQUENCE:-1\nb\n#EXT-X-KEY:METHOD=AES-128\n#EXTINF:6,\nc"
        )),
        [
            "line 3: EXTINF must begin with a duration in seconds, not \"x\"",
            "line 5: EXT-X-MEDIA-SEQUENCE must be a whole number, not \"-1\"",
            "line 5: EXT-X-MEDIA-SEQUENCE must come before the first segment",
            "line 6: EXTINF must stand before this URI",
            "line 7: EXT-X-KEY must have a URI with METHOD=AES-128",
        ]
    );
    assert_eq!(
        problems("#EXTM3U\n#EXTINF:6,\na"),
        ["line 1: EXT-X-TARGETDURATION must be there in a media playlist"]
    );
    assert_eq!(
        problems("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-TARGETDURATION:6\n"),
        ["line 4: the playlist must not mix tags of media and of multivariant playlists"]
    );
    assert_eq!(
        problems("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=x,BANDWIDTH=2,RESOLUTION=\"1x2\nb\n"),
        [
            "line 2: EXT-X-STREAM-INF must not have \"BANDWIDTH\" twice",
            "line 2: EXT-X-STREAM-INF must close the quotes of \"RESOLUTION\"",
            "line 2: EXT-X-STREAM-INF must have a whole number as BANDWIDTH, not \"x\"",
        ]
    );
}

#[test]
fn discontinuities_are_counted_as_far_as_64_bits_reach() {
    let list = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-DISCONTINUITY-SEQUENCE:18446744073709551615\n#EXTINF:2,\n1.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n2.ts\n",
    );
    assert_eq!(list.segments[1].discontinuity_sequence, u64::MAX);
}
