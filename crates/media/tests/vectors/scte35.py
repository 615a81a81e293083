#!/usr/bin/env python3
"""Makes scte35.json with threefive3 3.0.45 (PyPI), an implementation of SCTE 35 that is not ours. The result
is committed; run this only to change it:   pip install threefive3 && python3 scte35.py"""
import base64, json, os
import threefive3


def crc(data):
    """CRC-32 of MPEG-2: 0 over a section with its checksum. threefive3 reads on where it is wrong."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if value & 0x80000000 else value << 1
    return value


# From the standard's annex of samples (14.1 to 14.8), and cues as packagers write them.
CUES = [
    "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg==",
    "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo=",
    "/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g=",
    "/DBIAAAAAAAA///wBQb+ek2ItgAyAhdDVUVJSAAAGH+fCAgAAAAALMvDRBEAAAIXQ1VFSUgAABl/nwgIAAAAACyk26AQAACZcuND",
    "/DAvAAAAAAAA///wBQb+rr//ZAAZAhdDVUVJSAAACH+fCAgAAAAALKVs9RAAAJUdsKg=",
    "/DBhAAAAAAAA///wBQb+qM1E7QBLAhdDVUVJSAAArX+fCAgAAAAALLLXnTUCAAIXQ1VFSUgAACZ/nwgIAAAAACyy150RAAACF0NVRUlIAAAnf58ICAAAAAAsstezEAAAihiGnw==",
    "/DAlAAAAAAAAAP/wFAUAAAPof+//SVqZrP4Ae5igAAEBAQAAQcfnVA==",
    "/DARAAAAAAAAAP/wAAAAAHpPv/8=",
]
found = []
for text in CUES:
    cue = threefive3.Cue(text)
    ok = cue.decode()
    command = cue.command
    found.append({
        "cue": text,
        "decodes": bool(ok),
        "whole": crc(base64.b64decode(text)) == 0,
        "command": command.command_type,
        "pts": getattr(command, "pts_time", None),
        "duration": getattr(command, "break_duration", None),
        "out": getattr(command, "out_of_network_indicator", None),
        "types": [d.segmentation_type_id for d in cue.descriptors if d.tag == 2],
    })
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "scte35.json"), "w") as f:
    json.dump(found, f, indent=1)
    f.write("\n")
