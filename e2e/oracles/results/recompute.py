"""Recomputes SLA reports from the encrypted records alone.

A second implementation: pyarrow opens the files through its own KMS client, and what docs/results.md and docs/reports.md
say is done again here, with nothing of drmwatch's code. Prints one JSON object: by tenant, the rows of its report.

Usage: recompute.py STORE KEYS JOBS.json
JOBS.json: [{"tenant": ID, "zone": ..., "from": ..., "to": ..., "target": 99.9}, ...]
"""

import datetime
import json
import os
import sys
import zoneinfo
from collections import Counter, defaultdict

import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

import recompute_keys


COLUMNS = ["kind", "probe", "uid", "region", "runner", "slot", "lag_ms", "duration_us", "attempt", "counts", "slots",
           "stands_seconds", "outcome", "step", "reason", "maintenance"]


def read(path):
    factory = pe.CryptoFactory(recompute_keys.client(FOLDER))
    properties = factory.file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration(), path)
    table = pq.read_table(path, columns=COLUMNS, decryption_properties=properties)
    table = table.set_column(table.schema.get_field_index("slot"), "slot", table["slot"].cast("int64"))
    return list(zip(*(table[name].to_pylist() for name in COLUMNS)))


def records(tenant):
    kept = {}
    root = os.path.join(STORE, "v1", tenant, "raw")
    for folder, _, names in os.walk(root):
        for name in names:
            if not name.endswith(".parquet"):
                continue
            for row in read(os.path.join(folder, name)):
                kind, probe, uid, region, runner, slot, lag, duration, attempt = row[:9]
                cause = row[14] if kind == "missed" else None
                identity = (kind, uid, region, slot, attempt, cause)
                rank = (lag, duration, runner)
                if identity not in kept or kept[identity][0] < rank:
                    kept[identity] = (rank, row)
    return [row for _, row in kept.values()]


def day_start(date, zone):
    # The first instant of the date that clocks of the zone show.
    utc = datetime.timezone.utc
    low = datetime.datetime.combine(date, datetime.time(), utc) - datetime.timedelta(hours=15)
    for quarter in range(4 * 30):
        at = low + datetime.timedelta(minutes=15 * quarter)
        if at.astimezone(zone).date() >= date:
            return int(at.timestamp())
    raise ValueError(date)


def region_states(rows, start, minutes):
    """How a region saw each minute: None (not watched), 'blind', 'maintenance', 'pass', or a failure's reason and step."""
    rows = sorted(rows, key=lambda r: (r["slot"], r["kind"] == "unwatched"))
    states, last, at = [], None, 0
    for minute in range(minutes):
        begin = start + 60 * minute
        maintained = False
        while at < len(rows) and rows[at]["slot"] < begin + 60:
            row = rows[at]
            at += 1
            if row["kind"] == "missed":
                continue
            if row["kind"] == "run":
                if row["maintenance"] and row["slot"] >= begin:
                    maintained = True
                if not row["counts"]:
                    continue
            last = row
        if last is None or last["kind"] == "unwatched":
            states.append(None)
        elif maintained:
            states.append("maintenance")
        elif last["slot"] + last["stands"] <= begin:
            states.append("blind")
        elif last["maintenance"]:
            states.append("maintenance")
        elif last["outcome"] == "pass":
            states.append("pass")
        elif last["outcome"] == "fail":
            states.append(("fail", last["reason"], last["step"]))
        else:
            states.append("blind")
    return states


def consensus(by_region, minute):
    seen = {region: states[minute] for region, states in by_region.items()}
    if "maintenance" in seen.values():
        return ("maintenance", None)
    watched = {r: s for r, s in seen.items() if s is not None}
    if not watched:
        return ("unwatched", None)
    failing = [r for r in sorted(watched) if isinstance(watched[r], tuple)]
    reporting = len(failing) + sum(1 for s in watched.values() if s == "pass")
    if reporting == 0 or 2 * reporting < len(watched):
        return ("no data", None)
    if not failing:
        return ("up", None)
    votes = Counter(watched[r] for r in failing)
    most = max(votes.values())
    cause = next(watched[r] for r in failing if votes[watched[r]] == most)
    return ("down" if 3 * len(failing) >= 2 * reporting else "degraded", cause[1:] + (" ".join(failing),))


ALONE = {None: "unwatched", "blind": "no data", "maintenance": "maintenance", "pass": "up"}


def alone(region, state):
    if isinstance(state, tuple):
        return ("down", state[1:] + (region,))
    return (ALONE[state], None)


def figures(states, start):
    count = Counter(state for state, _ in states)
    good = count["up"] + count["degraded"]
    counted = good + count["down"]
    incidents, going = [], None
    for minute, (state, cause) in enumerate(states):
        at = start + 60 * minute
        if state == "down":
            if going is None:
                going = {"start": at, "minutes": 0, "cause": cause}
            going["minutes"] += 1
            going["end"] = at + 60
        elif state != "no data" and going is not None:
            incidents.append(going | {"open": False})
            going = None
    if going is not None:
        incidents.append(going | {"open": True})
    return count, good, counted, incidents


def percent(part, whole):
    if whole == 0:
        return ""
    parts = part * 1_000_000 // whole
    return f"{parts // 10_000}.{parts % 10_000:04}"


def number(value, places):
    if value is None:
        return ""
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def iso(second):
    return datetime.datetime.fromtimestamp(second, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def row(job, probe, region, states, runs, start, latencies):
    count, good, counted, incidents = figures(states, start)
    seen = counted
    target = job["target"]
    budget = counted * (100 - target) / 100
    ended = [i["minutes"] * 60 for i in incidents if not i["open"]]
    return {
        "probe": probe,
        "region": region,
        "runs": runs["run"],
        "ok": runs["pass"],
        "failed": runs["fail"],
        "error": runs["inconclusive"],
        "missed_slots": runs["missed"],
        "total_min": len(states),
        "up_min": count["up"],
        "degraded_min": count["degraded"],
        "downtime_min": count["down"],
        "maintenance_min": count["maintenance"],
        "no_data_min": count["no data"],
        "not_watched_min": count["unwatched"],
        "availability_pct": percent(good, counted),
        "coverage_pct": percent(seen, seen + count["no data"]),
        "budget_min": number(budget, 3),
        "budget_used_pct": number(count["down"] * 100 / budget if budget else None, 2),
        "incidents": len(incidents),
        "mttr_s": number(sum(ended) / len(ended) if ended else None, 1),
        "mtbf_s": number(good * 60 / len(incidents) if incidents else None, 1),
        "longest_outage_s": max((i["minutes"] * 60 for i in incidents), default=0),
        "latencies": quantiles(latencies),
    }, [
        [iso(i["start"]), iso(i["end"]), i["minutes"], i["cause"][0], i["cause"][1] or "", i["cause"][2], i["open"]]
        for i in incidents
    ]


def quantiles(values):
    values = sorted(values)
    return [values[int(q * (len(values) - 1))] / 1000 for q in (0.5, 0.95, 0.99)] if values else []


def report(job):
    zone = zoneinfo.ZoneInfo(job["zone"])
    date = datetime.date.fromisoformat
    start, end = day_start(date(job["from"]), zone), day_start(date(job["to"]), zone)
    probes = defaultdict(lambda: defaultdict(list))
    for (kind, probe, _, region, _, slot, _, duration, _, counts, slots, stands, outcome, step, reason,
         maintenance) in records(job["tenant"]):
        probes[probe][region].append({
            "kind": kind, "slot": slot // 1000, "duration": duration, "counts": counts, "slots": slots, "stands": stands,
            "outcome": outcome, "step": step, "reason": reason, "maintenance": maintenance is not None,
        })
    rows, incidents = [], []
    for probe in sorted(probes):
        by_region, counts, latencies = {}, {}, {}
        for region, of in probes[probe].items():
            # What was before the period is known, too: the minutes from the first record on, cut to the period.
            first = min(start, min(r["slot"] for r in of) // 60 * 60)
            states = region_states(of, first, (end - first) // 60)
            by_region[region] = states[(start - first) // 60:]
            inside = [r for r in of if start <= r["slot"] < end]
            runs = Counter()
            for r in inside:
                if r["kind"] == "missed":
                    runs["missed"] += r["slots"]
                elif r["kind"] == "run" and r["counts"]:
                    runs["run"] += 1
                    runs[r["outcome"]] += 1
            counts[region] = runs
            passed = [r["duration"] for r in inside if r["kind"] == "run" and r["counts"] and r["outcome"] == "pass"]
            latencies[region] = [max(1, d) for d in passed]
        total = sum(counts.values(), Counter())
        both = [consensus(by_region, m) for m in range((end - start) // 60)]
        of, found = row(job, probe, "*", both, total, start, sum(latencies.values(), []))
        rows.append(of)
        incidents += [[i[0], probe] + i[1:] for i in found]
        for region in sorted(by_region):
            own = [alone(region, s) for s in by_region[region]]
            rows.append(row(job, probe, region, own, counts[region], start, latencies[region])[0])
    return {"rows": rows, "incidents": sorted(incidents, key=lambda i: (i[0], i[2], i[1]))}


STORE, FOLDER, JOBS = sys.argv[1:4]
with open(JOBS) as jobs:
    json.dump({job["tenant"]: report(job) for job in json.load(jobs)}, sys.stdout)
