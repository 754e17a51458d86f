"""What a node has said, as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def check(answer: Mapping[str, Any]) -> Iterator[str]:
    """Lines of `check`."""
    yield from answer["problems"] or ["nothing speaks against a start"]
    yield from (f"doubtful: {line}" for line in answer["doubts"])


def status(answer: Mapping[str, Any]) -> Iterator[str]:
    """Lines of `status`."""
    yield f"realmgw-synproxy {answer['version']}: {answer['state']}"
    yield from (f"  broken: {line}" for line in answer["broken"])
    yield from (f"  doubtful: {line}" for line in answer["doubtful"])
    yield f"{answer['entries']} entries of at most {answer['most_entries']}, {answer['varieties']} different options"
    yield f"connected: {', '.join(answer['peers']) or 'nobody'}"
    for thing in answer["placed"]:
        yield f"{thing['what']} {thing['name']}: {thing['is']}"
    yield from counters(answer["counts"])


def counters(counts: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Lines of `counters`: each counter by its name, with those of what it is in."""
    for name, value in counts.items():
        if isinstance(value, Mapping):
            yield from counters(value, f"{before}{name}.")
        else:
            yield f"{before}{name}: {value}"


def entries(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of `entries`."""
    for each in found:
        sack = "sack" if each["sack"] else "no sack"
        whose = each["client"] or "an earlier run"
        yield f"{each['key']}: mss {each['mss']}, {sack}, window scale {each['window_scale']}; of {whose}"
