"""Runs the commands of a tutorial word for word, and compares what they print with what the page says they print.

    page.py PAGE [--list]

A fenced block ```sh holds commands. A block ```text output after it holds what they print; without one they must print
nothing. A line `...` of the output stands for any number of lines. What differs from run to run (ages, times, addresses,
the suffixes of pods) is compared by its form alone. A block ```yaml file=PATH must be that file, or consecutive lines of it.

Commands that need what only the reader has carry a marker (MARKERS) and are not run; the runner says which and why.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import time

MARKERS = {
    "images=build": "the images were built before the suite started",
    "cluster=kind": "the suite makes a cluster of its own and loads the images itself",
    "images=registry": "the suite has no registry that a cluster could pull from",
}
# The longest wait of the page is two minutes of an alert's `for`, and what surrounds it.
BLOCK_SECONDS = 240

# Kubernetes makes the suffixes of names of these characters only, so that they form no words.
SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
FORMS = [
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}\b"), "TIME"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"), "ADDRESS"),
    (re.compile(rf"-{SAFE}{{8,10}}-{SAFE}{{5}}\b"), "-SUFFIX"),
    (re.compile(r"(?<!\S)(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(?!\S)"), "AGE"),
    (re.compile(r"\s+"), " "),
]


class Mistake(Exception):
    """The page is wrong, or what it promises did not happen."""


@dataclasses.dataclass
class Block:
    line: int
    info: list
    text: str


@dataclasses.dataclass
class Command:
    line: int
    text: str
    expected: str
    marker: str | None


def blocks(markdown):
    """The fenced blocks of a page."""
    opened = None
    for number, line in enumerate(markdown.splitlines(), 1):
        if opened is None:
            if line.startswith("```"):
                opened = Block(number, line[3:].split(), "")
        elif line == "```":
            yield opened
            opened = None
        else:
            opened.text += line + "\n"
    if opened is not None:
        raise Mistake(f"line {opened.line}: the block does not end")


def commands(markdown):
    """The command blocks of a page, each with what it prints."""
    found = []
    for block in blocks(markdown):
        language, *words = block.info or [""]
        if language == "sh":
            unknown = [word for word in words if word not in MARKERS]
            if unknown or len(words) > 1:
                raise Mistake(f"line {block.line}: unknown marker {' '.join(words)!r}; there are: {', '.join(MARKERS)}")
            found.append(Command(block.line, block.text, "", words[0] if words else None))
        elif language == "text" and words == ["output"]:
            if not found or found[-1].expected:
                raise Mistake(f"line {block.line}: an output without a command of its own")
            found[-1].expected = block.text
    return found


def quotes(markdown, root):
    """Every file that the page quotes says what the page says that it says."""
    for block in blocks(markdown):
        for word in block.info:
            if word.startswith("file="):
                path = word.removeprefix("file=")
                if "\n" + block.text not in "\n" + (root / path).read_text():
                    raise Mistake(f"line {block.line}: {path} does not hold these lines")


def form(line):
    """A line without what differs from run to run."""
    for pattern, name in FORMS:
        line = pattern.sub(name, line)
    return line.strip()


def difference(expected, real):
    """None where the output is as expected; else the first line that is not, in words."""
    wanted, lines = expected.splitlines(), real.splitlines()
    at = 0
    skipping = False
    for want in wanted:
        if want.strip() == "...":
            skipping = True
            continue
        start = at
        while skipping and at < len(lines) and form(lines[at]) != form(want):
            at += 1
        if at >= len(lines):
            where = f"line {start + 1} on" if skipping else "its end"
            return f"expected: {want}\nthe output has no such line from {where}"
        if form(lines[at]) != form(want):
            return f"expected: {want}\nprinted:  {lines[at]}"
        at += 1
        skipping = False
    if not skipping and at < len(lines):
        return f"expected: the end\nprinted:  {lines[at]}"
    return None


def run(command, root, seconds=BLOCK_SECONDS):
    """Runs a block as a reader's terminal would show it."""
    try:
        done = subprocess.run(
            ["bash", "-e", "-c", command.text],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as late:
        printed = (late.stdout or b"").decode(errors="replace")
        raise Mistake(f"line {command.line}: not done after {seconds} s; printed so far:\n{printed}") from late
    if done.returncode != 0:
        raise Mistake(f"line {command.line}: exit status {done.returncode}; printed:\n{done.stdout}")
    found = difference(command.expected, done.stdout)
    if found:
        raise Mistake(f"line {command.line}: the output is not as the page says\n{found}\nall that was printed:\n{done.stdout}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    options = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parents[3]
    markdown = options.page.read_text()
    began = time.monotonic()
    try:
        quotes(markdown, root)
        found = commands(markdown)
        for command in found:
            if options.list:
                print(f"--- line {command.line} {command.marker or ''}\n{command.text}", end="")
            elif command.marker:
                print(f"line {command.line}: not run ({command.marker}): {MARKERS[command.marker]}", flush=True)
            else:
                print("".join(f"$ {line}\n" for line in command.text.splitlines()), end="", flush=True)
                started = time.monotonic()
                print(run(command, root).rstrip("\n"))
                print(f"  as the page says ({time.monotonic() - started:.1f} s)", flush=True)
        ran = [command for command in found if not command.marker]
        if not ran:
            raise Mistake("the page has no command that can be run")
    except Mistake as mistake:
        # The suite shows lines that begin so first.
        print(f"FAIL: {os.path.relpath(options.page, root)}: {mistake}", flush=True)
        return 1
    if not options.list:
        print(f"{len(ran)} blocks run, {len(found) - len(ran)} not, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
