"""Draws what evaluate.py was answered: a page with the panels of a few dashboards.

    picture.py DASHBOARDS ANSWERS OUT.html UID...

It is no Grafana and does not look like one: the same questions, asked of a real Prometheus, drawn with as little as will do,
since there is no Grafana in the tests.
"""

import datetime
import html
import json
import pathlib
import sys

COLOURS = ["#2f7ed8", "#c0392b", "#27ae60", "#8e44ad", "#e67e22", "#16a085", "#7f8c8d", "#d4ac0d"]
NAMED = {"green": "#27ae60", "yellow": "#d4ac0d", "orange": "#e67e22", "red": "#c0392b", "blue": "#2f7ed8"}
STYLE = """
body { font: 13px/1.4 system-ui, sans-serif; margin: 16px; background: #f4f5f7; color: #1c2733; width: 1240px }
h1 { font-size: 18px; margin: 18px 0 2px } h2 { font-size: 13px; margin: 10px 0 4px; color: #5a6b7b; clear: both }
p { margin: 0 0 6px; color: #5a6b7b }
.row { display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px }
.panel { background: #fff; border: 1px solid #dde3e9; border-radius: 4px; padding: 6px 8px; overflow: hidden; min-width: 0 }
.panel b { font-weight: 600; display: block; white-space: nowrap } .stat { font-size: 26px; line-height: 1.3 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: 1px 8px 1px 0; border-bottom: 1px solid #eef1f4; white-space: nowrap }
th { color: #5a6b7b; font-weight: 500 } .legend { font-size: 11px; color: #5a6b7b; white-space: nowrap; overflow: hidden } .none { color: #9aa7b4 }
"""


def show(value, unit):
    value = float(value)
    if unit == "percentunit":
        return f"{value * 100:.2f}".rstrip("0").rstrip(".") + " %"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if abs(value) >= size:
                return f"{value / size:.1f} {name}"
        return f"{value:.3g} s"
    if unit in ("Bps", "bytes"):
        return f"{value / 1024:.1f} KiB" + ("/s" if unit == "Bps" else "")
    ending = {"cpm": "/min", "cps": "/s", "reqpm": "/min", "percent": " %"}.get(unit, "")
    return f"{value:.4g}{ending}"


def colour(value, steps):
    chosen = "#1c2733"
    for step in steps:
        if step["value"] is None or float(value) >= step["value"]:
            chosen = NAMED.get(step["color"], step["color"])
    return chosen


def legend(target, metric):
    text = target["legendFormat"]
    for name, value in metric.items():
        text = text.replace("{{" + name + "}}", value)
    return text.strip()


def words(panel):
    found = {}
    for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
        found.update(mapping["options"])
    return found


def stat(panel, asked):
    defaults, known = panel["fieldConfig"]["defaults"], words(panel)
    parts = []
    for target, result in asked:
        for series in result:
            value = series["value"][1]
            number = f"{float(value):g}"
            word = known.get(number)
            text = word["text"] if word else show(value, defaults["unit"])
            tint = NAMED.get(word["color"], word["color"]) if word else colour(value, defaults["thresholds"]["steps"])
            name = legend(target, series["metric"]) if len(result) > 1 or len(asked) > 1 else ""
            parts.append(f'<div class="stat" style="color:{tint}">{html.escape(text)} <small>{html.escape(name)}</small></div>')
    return "".join(parts) or '<span class="none">none</span>'


def table(panel, asked):
    organised = panel["transformations"][-1]["options"]
    hidden = set(organised["excludeByName"]) | {"__name__"}
    units = {o["matcher"]["options"]: o["properties"][0]["value"] for o in panel["fieldConfig"]["overrides"]}
    unit = panel["fieldConfig"]["defaults"]["unit"]
    rows, columns = {}, []
    for target, result in asked:
        for series in result:
            labels = {k: v for k, v in series["metric"].items() if k not in hidden}
            row = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
            columns += [c for c in labels if c not in columns]
            if "Value" not in hidden:
                row[target["legendFormat"]] = show(series["value"][1], units.get(target["legendFormat"], unit))
    if not rows:
        return '<span class="none">none</span>'
    columns += [t["legendFormat"] for t, _ in asked if "Value" not in hidden]
    head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(r.get(c, '')))}</td>" for c in columns) + "</tr>" for r in list(rows.values())[:12])
    return f"<table><tr>{head}</tr>{body}</table>"


# From when to when.
SHOWN = [0.0, 1.0]


def lines(panel, asked, width, height):
    series = [(legend(t, s["metric"]), [(float(a), float(b)) for a, b in s["values"] if b != "NaN"]) for t, result in asked for s in result]
    series = [s for s in series if s[1]][:8]
    if not series:
        return '<span class="none">none</span>'
    first, last = SHOWN
    stacked = "stacking" in panel["fieldConfig"]["defaults"].get("custom", {})
    base = {}
    drawn = []
    for name, points in series:
        if stacked:
            points = [(t, base.get(t, 0) + v) for t, v in points]
            base.update(dict(points))
        drawn.append((name, points))
    top = max(v for _, points in drawn for _, v in points) or 1
    low = min(0, min(v for _, points in drawn for _, v in points))
    unit = panel["fieldConfig"]["defaults"]["unit"]

    def place(t, v):
        return f"{(t - first) / max(1, last - first) * width:.1f},{height - (v - low) / (top - low or 1) * (height - 14):.1f}"

    paths = "".join(
        f'<polyline fill="none" stroke="{COLOURS[n % 8]}" stroke-width="1.5" points="{" ".join(place(t, v) for t, v in points)}"/>'
        for n, (_, points) in enumerate(drawn)
    )
    names = " ".join(f'<span style="color:{COLOURS[n % 8]}">&#9644;</span> {html.escape(name)}' for n, (name, _) in enumerate(drawn))
    top_text = html.escape(show(top, unit))
    return f'<svg viewBox="0 0 {width} {height}" width="100%" height="{height}" preserveAspectRatio="none"><text x="0" y="10" font-size="10" fill="#9aa7b4">{top_text}</text>{paths}</svg><div class="legend">{names}</div>'


def states(panel, asked, width):
    known, rows = words(panel), ""
    first, last = SHOWN
    for target, result in asked:
        for series in result[:8]:
            values = [(float(t), f"{float(v):g}") for t, v in series["values"]]
            step = min([b[0] - a[0] for a, b in zip(values, values[1:])] or [15])
            cells = ""
            for t, v in values:
                word = known.get(v, {"color": "#7f8c8d"})
                x, w = (t - first) / max(1, last - first + step) * width, step / max(1, last - first + step) * width + 0.5
                cells += f'<rect x="{x:.1f}" y="0" width="{w:.1f}" height="16" fill="{NAMED.get(word["color"], word["color"])}"/>'
            rows += f'<div class="legend">{html.escape(legend(target, series["metric"]))}</div><svg viewBox="0 0 {width} 16" width="100%" height="16" preserveAspectRatio="none">{cells}</svg>'
    return rows or '<span class="none">none</span>'


def heat(asked, width, height):
    series = sorted(((float(s["metric"]["le"].replace("+Inf", "inf")), s["values"]) for _, result in asked for s in result), key=lambda s: s[0])
    if not series:
        return '<span class="none">none</span>'
    first, last = SHOWN
    before, cells, rows = {}, "", len(series)
    counts = []
    for n, (_, values) in enumerate(series):
        now = {float(t): float(v) for t, v in values}
        counts += [(n, t, max(0, v - before.get(t, 0))) for t, v in now.items()]
        before = now
    most = max(c for _, _, c in counts) or 1
    steps = sorted({t for _, t, _ in counts})
    wide = width / max(1, len(steps))
    for n, t, c in counts:
        if c > 0:
            cells += f'<rect x="{steps.index(t) * wide:.1f}" y="{height - (n + 1) * height / rows:.1f}" width="{wide + 0.4:.1f}" height="{height / rows:.1f}" fill="#2f7ed8" opacity="{0.15 + 0.85 * c / most:.2f}"/>'
    labels = "".join(f'<text x="2" y="{height - n * height / rows - 2:.1f}" font-size="9" fill="#5a6b7b">{le:g} s</text>' for n, (le, _) in enumerate(series) if n % 2 == 0)
    return f'<svg viewBox="0 0 {width} {height}" width="100%" height="{height}" preserveAspectRatio="none">{cells}{labels}</svg>'


def bars(panel, asked):
    found = [(legend(t, s["metric"]), float(s["value"][1])) for t, result in asked for s in result][:8]
    most = max([v for _, v in found] or [1]) or 1
    return "".join(f'<div class="legend">{html.escape(n)} {v:g}</div><div style="height:8px;width:{v / most * 100:.0f}%;background:#2f7ed8"></div>' for n, v in found) or '<span class="none">none</span>'


def main():
    folder, answers, out, *wanted = sys.argv[1:]
    found = {(a["uid"], a["panel"], a["ref"]): a["result"] for a in json.loads(pathlib.Path(answers).read_text())}
    SHOWN[:] = [f(float(v[n][0]) for a in found.values() for s in a if (v := s.get("values"))) for f, n in ((min, 0), (max, -1))]
    page = f"<!doctype html><meta charset=utf-8><title>drmwatch's dashboards</title><style>{STYLE}</style>"
    for uid in wanted:
        dashboard = json.loads((pathlib.Path(folder) / f"{uid.removeprefix('drmwatch-')}.json").read_text())
        page += f"<h1>{html.escape(dashboard['title'])}</h1><p>{html.escape(dashboard['description'])}</p><div>"
        opened = False
        for panel in dashboard["panels"]:
            if panel["type"] == "row":
                page += ("</div>" if opened else "") + f"<h2>{html.escape(panel['title'])}</h2><div class=row>"
                opened = True
                continue
            asked = [(t, found.get((uid, panel["title"], t["refId"]), [])) for t in panel["targets"]]
            place = panel["gridPos"]
            width, height = place["w"] * 50, place["h"] * 17
            drawn = {
                "stat": lambda: stat(panel, asked),
                "table": lambda: table(panel, asked),
                "timeseries": lambda: lines(panel, asked, width, height),
                "state-timeline": lambda: states(panel, asked, width),
                "heatmap": lambda: heat(asked, width, height),
                "bargauge": lambda: bars(panel, asked),
            }[panel["type"]]()
            title = panel["title"].replace("$system", "all")
            page += f'<div class=panel style="grid-column:span {place["w"]}"><b>{html.escape(title)}</b>{drawn}</div>'
        page += "</div></div>"
    stamp = datetime.datetime.fromtimestamp(SHOWN[1], datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    page += f"<p style='margin-top:10px'>The questions of drmwatch's Grafana dashboards, asked of a real Prometheus after an outage in the end-to-end tests ({stamp}), drawn by e2e/dashboards/picture.py. Not Grafana.</p>"
    pathlib.Path(out).write_text(page)


main()
