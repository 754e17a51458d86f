"""Answers of the gateway as lines for humans."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Answer = Mapping[str, Any]


_COUNTED = (
    "packets_refused",
    "queries_refused",
    "dns_wan",
    "dns_lan",
    "allocation",
    "policy",
    "reputations",
    "reloads",
)


def status(answer: Answer) -> Iterator[str]:
    """What runs."""
    pool_ = answer["pool"]
    yield answer["state"]
    yield from (f"{each['severity']}: {each['part']}: {each['text']}" for each in answer["troubles"])
    yield f"realmgw {answer['version']}: {answer['name']} ({answer['config']}), for {answer['uptime']:.0f} s"
    yield f"subscribers: {answer['hosts']} hosts, {answer['services']} services"
    yield f"pool: {_states(pool_)}; {pool_['queries_waiting']} queries wait"
    yield f"packets admitted: {answer['packets_admitted']}"
    for key in _COUNTED:
        counts = ", ".join(f"{name} {count}" for name, count in answer[key].items() if name != "problems")
        yield f"{key.replace('_', ' ')}: {counts or 'none'}"
    yield from (f"problem: {problem}" for problem in answer["problems"])


def _states(counts: Mapping[str, Any]) -> str:
    return f"{counts['size']} addresses, " + ", ".join(
        f"{counts[key]} {key}" for key in ("free", "waiting", "lingering")
    )


def pool(answer: Answer) -> Iterator[str]:
    """The pool by prefix."""
    yield f"{_states(answer)}, {answer['leaving']} leaving; load {answer['load']:.2f}"
    rows = [[prefix, *map(str, counts.values())] for prefix, counts in answer["prefixes"].items()]
    yield from _table([["prefix", "free", "waiting", "lingering"], *rows])


def reservations(answer: Answer) -> Iterator[str]:
    """What stands at the addresses."""
    yield f"{answer['addresses']} addresses in use"
    rows = [
        [row["address"], row["state"], row["service"], row["host"], str(len(row["claims"])), str(row["sources"])]
        for row in answer["reservations"]
    ]
    yield from _table([["address", "state", "service", "host", "claims", "admitted"], *rows])


def subscribers(answer: Answer) -> Iterator[str]:
    """Hosts."""
    rows = [[row["name"], row["address"], str(row["index"])] for row in answer["subscribers"]]
    yield from _table([["name", "address", "index"], *rows])
    if len(rows) < answer["total"]:
        yield f"{answer['total'] - len(rows)} more"


def subscriber(answer: Answer) -> Iterator[str]:
    """A host."""
    yield f"{answer['name']} {answer['address']}, index {answer['index']}, from {answer['source']}"
    yield f"claims pending: {answer['claims_pending']} of at most {answer['max_claims']}"
    if answer["groups"]:
        yield f"groups: {', '.join(answer['groups'])}"
    rows = [[row["name"], _any(row["protocol"]), _any(row["port"])] for row in answer["services"]]
    yield from _table([["service", "protocol", "port"], *rows])


def _any(number: int) -> str:
    return str(number or "any")


def reputations(answer: Answer) -> Iterator[str]:
    """Resolver groups or clients, a line for each."""
    columns = ("name", "kind", "reputation", "ok", "nok", "neutral")
    rows = [[*(str(row[column]) for column in columns), _remarks(row)] for row in answer["reputations"]]
    yield from _table([[*columns, ""], *rows])
    if len(rows) < answer["total"]:
        yield f"{answer['total'] - len(rows)} more"


def _remarks(row: Answer) -> str:
    remarks = ["sla"] if row.get("sla") else []
    if row.get("nodes", 1) != 1:
        remarks.append(f"{row['nodes']} addresses")
    if row.get("passed"):
        remarks.append(f"passed {', '.join(row['passed'])}")
    return ", ".join(remarks)


def reputation(answer: Answer) -> Iterator[str]:
    """A resolver group or a client, and how its reputation comes about."""
    period = answer["period"]
    yield f"{answer['name']} ({answer['kind']}): reputation {answer['reputation']}"
    yield f"a quarter of {period['previous']} (the period before), three quarters of {period['current']} (this one)"
    yield f"this period: {_outcomes(period)}; began with {period['initial']}"
    yield f"in all: {_outcomes(answer)}"
    if answer["kind"] == "client":
        return
    yield f"addresses: {', '.join(answer['nodes'])}"
    ago = "" if answer["proven_ago"] is None else f", {answer['proven_ago']:.0f} s ago"
    passed = ", ".join(answer["passed"]) or "none"
    yield f"agreement: {'yes' if answer['sla'] else 'no'}; challenges passed: {passed}{ago}"
    yield f"queries: {answer['trusted']} proven, {answer['untrusted']} unproven, where they are counted"
    yield f"a claim is dead after {answer['guard']:.3f} s, of {answer['delays']} clients' delays"


def _outcomes(counts: Answer) -> str:
    return f"{counts['ok']} used, {counts['nok']} unused, {counts['neutral']} neutral"


def reputation_now(answer: Answer) -> Iterator[str]:
    """What was set."""
    yield f"{answer['name']}: reputation {answer['reputation']}"


def reputation_before(answer: Answer) -> Iterator[str]:
    """What was forgotten."""
    yield f"{answer['name']}: forgotten; the reputation was {answer['reputation']}"


def explanation(answer: Answer) -> Iterator[str]:
    """What would be decided, step by step."""
    return (f"{number}. {step}" for number, step in enumerate(answer["steps"], 1))


def plan(answer: Answer) -> Iterator[str]:
    """What a reload would change."""
    yield from answer["lines"]
    yield from (f"problem: {problem}" for problem in answer["problems"])
    if answer["restart"]:
        yield f"A reload would be refused: only a restart can change {', '.join(answer['restart'])}."
    yield f"A reload would change: {answer['summary']}." if answer["different"] else "Nothing is different."


def reload(answer: Answer) -> Iterator[str]:
    """What became of a reload."""
    yield from (f"problem: {problem}" for problem in answer["problems"])
    flows = f", {answer['flows_ended']} flows ended" if answer["flows_ended"] else ""
    waited = f", {answer['waited']:.0f} s of them until files were at rest" if answer["waited"] else ""
    yield f"{answer['status']} in {answer['seconds']:.3f} s{waited}: {answer['plan']['summary']}{flows}"


def purge(answer: Answer) -> Iterator[str]:
    """What was removed."""
    return iter(answer["done"])


def files(answer: Answer, what: str) -> Iterator[str]:
    """Which files were changed, and what the gateway made of it."""
    yield from (f"{what}: {path}" for path in answer[what])
    if answer["reload"] is not None:
        yield from reload(answer["reload"])


def sent(answer: Answer) -> Iterator[str]:
    """What came of subscribers that were given to a repository."""
    new, old = answer["changed"], answer["unchanged"]
    yield f"sent to {answer['sent']}: {new} are new or different, {old} were there already"


def difference(before: str, after: str) -> list[str]:
    """What is different between the running and the written configuration, as `diff` shows it."""
    pair = (before.splitlines(), after.splitlines())
    return list(difflib.unified_diff(*pair, "running", "written", lineterm="", n=1))


def bar(done: int, count: int, width: int = 40) -> str:
    """A progress bar."""
    filled = width * done // max(1, count)
    return f"[{'#' * filled}{' ' * (width - filled)}] {done} of {count}"


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows in columns, the first one being their titles."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
