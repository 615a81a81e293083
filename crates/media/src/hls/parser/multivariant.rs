//! Tags of a multivariant playlist (section 4.4.6).

use super::*;

impl Parser<'_> {
    pub(super) fn multivariant_tag(&mut self, line: usize, name: &str, value: &str) {
        match name {
            "EXT-X-STREAM-INF" => {
                if let Some(before) = &self.variant {
                    let message = format!(
                        "must be followed by a URI; the one on line {} is not",
                        before.line
                    );
                    self.wrong(line, "EXT-X-STREAM-INF", message);
                }
                let variant = self.variant("EXT-X-STREAM-INF", line, value);
                self.variant = Some(variant);
            }
            "EXT-X-I-FRAME-STREAM-INF" => {
                let variant = self.variant("EXT-X-I-FRAME-STREAM-INF", line, value);
                self.multivariant.i_frames.push(variant);
            }
            "EXT-X-MEDIA" => {
                let mut list = self.attributes("EXT-X-MEDIA", line, value);
                let rendition = Rendition {
                    kind: list.required("TYPE").unwrap_or_default(),
                    group: list.required("GROUP-ID").unwrap_or_default(),
                    name: list.required("NAME").unwrap_or_default(),
                    language: list.text("LANGUAGE"),
                    uri: list.text("URI"),
                    default: list.yes("DEFAULT"),
                    autoselect: list.yes("AUTOSELECT"),
                    forced: list.yes("FORCED"),
                    channels: list.text("CHANNELS"),
                    characteristics: list.text("CHARACTERISTICS"),
                    line,
                };
                match rendition.kind.as_str() {
                    "AUDIO" | "VIDEO" | "" => {}
                    "SUBTITLES" if rendition.uri.is_none() => {
                        list.wrong("must have a URI with TYPE=SUBTITLES")
                    }
                    "SUBTITLES" => {}
                    "CLOSED-CAPTIONS" if rendition.uri.is_some() => {
                        list.wrong("must not have a URI with TYPE=CLOSED-CAPTIONS");
                    }
                    "CLOSED-CAPTIONS" => {}
                    other => list.wrong(format!(
                        "must have AUDIO, VIDEO, SUBTITLES or CLOSED-CAPTIONS as TYPE, not {}",
                        quoted(other)
                    )),
                }
                self.multivariant.renditions.push(rendition);
            }
            "EXT-X-SESSION-KEY" => {
                if let Some(key) = self.read_key("EXT-X-SESSION-KEY", line, value)
                    && self.multivariant.session_keys.len() < MAX_KEYS
                {
                    self.multivariant.session_keys.push(key);
                }
            }
            "EXT-X-CONTENT-STEERING" => {
                self.once(line, "EXT-X-CONTENT-STEERING");
                let mut list = self.attributes("EXT-X-CONTENT-STEERING", line, value);
                let (server, pathway) = (list.required("SERVER-URI"), list.text("PATHWAY-ID"));
                self.multivariant.steering = server.map(|server| Steering {
                    server,
                    pathway,
                    line,
                });
            }
            _ => {
                let mut list = self.attributes("EXT-X-SESSION-DATA", line, value);
                list.required("DATA-ID");
                if list.has("VALUE") == list.has("URI") {
                    list.wrong("must have exactly one of VALUE, URI");
                }
            }
        }
    }

    pub(super) fn variant(&mut self, tag: &'static str, line: usize, value: &str) -> Variant {
        let mut list = self.attributes(tag, line, value);
        let codecs = list.text("CODECS").unwrap_or_default();
        let variant = Variant {
            uri: if tag == "EXT-X-I-FRAME-STREAM-INF" {
                list.required("URI").unwrap_or_default()
            } else {
                String::new()
            },
            bandwidth: list.integer("BANDWIDTH").unwrap_or(0),
            average_bandwidth: list.integer("AVERAGE-BANDWIDTH"),
            codecs: codecs
                .split(',')
                .map(|c| c.trim().to_owned())
                .filter(|c| !c.is_empty())
                .collect(),
            resolution: list.resolution("RESOLUTION"),
            frame_rate: list.number("FRAME-RATE"),
            hdcp_level: list.text("HDCP-LEVEL"),
            audio: list.text("AUDIO"),
            video: list.text("VIDEO"),
            subtitles: list.text("SUBTITLES"),
            closed_captions: list.text("CLOSED-CAPTIONS").filter(|v| v != "NONE"),
            pathway: list.text("PATHWAY-ID").unwrap_or_else(|| ".".into()),
            line,
        };
        if !list.has("BANDWIDTH") {
            list.wrong("must have a BANDWIDTH in bits per second");
        }
        variant
    }
}
