"""Asks a Prometheus every question of every dashboard, as Grafana would, and says which have no answer.

    evaluate.py PROMETHEUS DASHBOARDS MAY-BE-EMPTY [--set NAME=VALUE]... [--minutes N] [--answers FILE] [--without UID]...

Variables get their values from their own queries, in their order; one of a single value takes the first, or what --set says.
Exits with 1 if a question breaks, or has no answer that must have one. --answers keeps what was answered, for a test to look
at, and for picture.py.
"""

import argparse
import json
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

def ask(base, path, **query):
    url = base + path + "?" + urllib.parse.urlencode(query, doseq=True)
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise SystemError(json.load(error).get("error", str(error))) from error


def values_of(base, query, start, end):
    selector, label = query.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
    return ask(base, f"/api/v1/label/{label}/values", **{"match[]": selector, "start": start, "end": end})


def fill(text, values):
    # Longest first: $tenant is the beginning of nothing else today, and need not stay so.
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${{{name}}}", values[name]).replace(f"${name}", values[name])
    return text


def variables(base, dashboard, chosen, start, end, minutes):
    values = {"__rate_interval": "1m", "__range": f"{minutes}m"}
    wrong = []
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        found = values_of(base, fill(variable["query"]["query"], values), start, end)
        if not found:
            wrong.append(f"variable {variable['name']} has no value: {variable['query']['query']}")
        if variable["multi"]:
            values[variable["name"]] = variable["allValue"]
        else:
            values[variable["name"]] = chosen.get(variable["name"]) or (found or ["none"])[0]
    return values, wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("prometheus")
    parser.add_argument("dashboards", type=pathlib.Path)
    parser.add_argument("may_be_empty", type=pathlib.Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--answers", type=pathlib.Path)
    parser.add_argument("--without", action="append", default=[])
    options = parser.parse_args()
    chosen = dict(pair.split("=", 1) for pair in options.set)
    lines = options.may_be_empty.read_text().splitlines()
    may_be_empty = {tuple(line.split("\t")) for line in lines}
    end = time.time()
    start = end - 60 * options.minutes
    step = max(1, 60 * options.minutes // 240)
    wrong, answers, asked, empty = [], [], 0, 0
    for path in sorted(options.dashboards.glob("*.json")):
        dashboard = json.loads(path.read_text())
        uid = dashboard["uid"]
        if uid in options.without:
            continue
        values, unknown = variables(options.prometheus, dashboard, chosen, start, end, options.minutes)
        wrong += [f"{uid}: {what}" for what in unknown]
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                expr = fill(target["expr"], values)
                place = (uid, panel["title"], target["refId"])
                asked += 1
                try:
                    if target["instant"]:
                        data = ask(options.prometheus, "/api/v1/query", query=expr, time=end)
                    else:
                        data = ask(options.prometheus, "/api/v1/query_range", query=expr, start=start, end=end, step=step)
                except SystemError as error:
                    wrong.append(f"{' / '.join(place)}: {error}: {expr}")
                    continue
                # NaN is no answer that a person can read.
                result = [s for s in data["result"] if any(v[1] != "NaN" for v in s.get("values", [s.get("value", [0, "NaN"])]))]
                empty += not result
                if not result and place not in may_be_empty:
                    wrong.append(f"{' / '.join(place)}: no answer: {expr}")
                answers.append({"uid": uid, "panel": panel["title"], "ref": target["refId"], "expr": expr, "result": result})
    if options.answers:
        options.answers.write_text(json.dumps(answers))
    for what in wrong:
        print(what)
    print(f"{asked} questions, {asked - empty} with an answer, {empty} without, {len(wrong)} wrong")
    return 1 if wrong or asked < 50 else 0


sys.exit(main())
