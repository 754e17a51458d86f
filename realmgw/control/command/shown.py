"""Answers of the gateway as lines for humans."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from realmgw.control.command.counted import TOGETHER, numbers, texts
from realmgw.control.durations import duration
from realmgw.system.writing import visible

Answer = Mapping[str, Any]


MOST = 10
"""So many problems are shown, the others counted."""
LABEL = 13
"""What stands at the left of a screen has so many characters."""
WIDTH = 64
"""So many signs of a picture stand in a line."""
FIRST = ("kernel", "queue", "dns", "admission", "allocation")
"""The parts that stand first."""


def status(answer: Answer, *, width: int = 100, every: bool = False) -> Iterator[str]:
    """What runs, on one screen.

    Args:
        answer: The gateway's.
        width: Of the screen, in characters.
        every: Counters that are 0, too, and all problems.
    """
    worst, *others = [f"{each['part']}: {each['text']}" for each in answer["troubles"]] or [""]
    is_ill = answer["state"] != "healthy"
    yield f"{answer['state']}: {worst}" if is_ill else answer["state"]
    also = others if is_ill else [each for each in (worst, *others) if each]
    beyond = [f"{len(also) - MOST} more"] if len(also) > MOST and not every else []
    for label, text in (
        *(("also", text) for text in [*(also if every else also[:MOST]), *beyond]),
        ("gateway", _gateway(answer)),
        ("subscribers", f"{answer['hosts']} hosts, {answer['services']} services"),
        ("pool", picture(answer["pool"])),
        *(("pool IPv6", line) for line in ipv6(answer["pool"]["ipv6"])),
        *_keepers(answer["pool"]),
        ("placed", _placed(answer["placed"])),
        ("rates", _rates(answer["rates"])),
        *_refusals(answer["counts"]),
        *_counted(answer["counts"], every=every),
    ):  # fmt: skip
        yield from _labelled(label, text, width)
    problems = answer["problems"]
    shown_ = problems if every else problems[:MOST]
    yield from (f"problem: {problem}" for problem in shown_)
    if len(shown_) < len(problems):
        yield f"{len(problems) - len(shown_)} more problems: `realmgw check` has all of them, and `--all`"


def _gateway(answer: Answer) -> str:
    up = _together(f"up {duration(answer['uptime'])}")
    return f"{answer['name']} by {answer['config']}, realmgw {answer['version']}, {up}"


def _placed(things: Sequence[Answer]) -> str:
    """Everything that is to be outside of the process."""
    wrong = [f"{each['what']} {each['name']} {each['is']}" for each in things if each["is"] != each["should_be"]]
    return f"{len(things)} things, " + (f"not as they should be: {', '.join(wrong)}" if wrong else "all in place")


def health(answer: Answer) -> Iterator[str]:
    """How the gateway is."""
    yield answer["state"]
    yield from (f"{each['severity']}: {each['part']}: {each['text']}" for each in answer["troubles"])


def _labelled(label: str, text: str, width: int) -> Iterable[str]:
    """A text with its label at the left, over as many lines as it needs; no word is broken."""
    lines = textwrap.wrap(
        text,
        max(width, 2 * LABEL),
        initial_indent=label.ljust(LABEL),
        subsequent_indent=" " * LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return (line.replace(TOGETHER, " ") for line in lines)


def picture(counts: Answer, length: int = 20) -> str:
    """The pool: what is waited at, what lingers, and what is free."""
    size = max(1, counts["size"])
    waiting = -(-length * counts["waiting"] // size)
    lingering = min(length - waiting, -(-length * counts["lingering"] // size))
    bar_ = f"{'#' * waiting}{'+' * lingering}".ljust(length, ".")
    return f"[{bar_}] {_states(counts)}; {counts['queries_waiting']} queries wait"


def _keepers(counts: Answer) -> Iterator[tuple[str, str]]:
    """Resolvers that keep answers."""
    if counts["keepers"]:
        named = ", ".join(_together(f"{each['resolver']} ({each['seconds']:g} s)") for each in counts["keepers"])
        held = counts["held_for_keepers"]
        yield "keepers", f"clients come for old answers of {named}; {held} addresses stand for them"


def _rates(rates: Answer) -> str:
    """By the second."""
    named = {"queries": "queries", "lent": "addresses lent", "admitted": "flows admitted"}
    said = ", ".join(f"{rates[name]:.1f} {what}" for name, what in named.items())
    lately = _together(f"{rates['seconds']:.0f} s")
    return f"each second, over the last {lately}: {said}"


def _refusals(counts: Answer) -> Iterator[tuple[str, str]]:
    """Why packets and queries were refused."""
    for what, part in (("packets", "admission"), ("queries", "allocation")):
        text = numbers(counts.get(part, {}).get("refused", {}), every=False)
        if text:
            yield "refused", f"{what}: {text}"


def _counted(counts: Answer, *, every: bool) -> Iterator[tuple[str, str]]:
    """A line for each part that has counted something."""
    order = (*(part for part in FIRST if part in counts), *(part for part in counts if part not in FIRST))
    for part in order:
        found = counts[part]
        if part == "kernel":
            found = {name: each["packets"] for name, each in found.items()}
        views = found if part == "dns" else {"": found}
        for view, each in views.items():
            text = "; ".join(texts(each, every=every))
            if text:
                yield f"{part} {view}".strip(), text


def _together(text: str) -> str:
    """Words that stand on one line."""
    return text.replace(" ", TOGETHER)


def _states(counts: Mapping[str, Any]) -> str:
    return f"{counts['size']} addresses, " + ", ".join(
        f"{counts[key]} {key}" for key in ("free", "waiting", "lingering")
    )


def ipv6(counts: Answer) -> Iterator[str]:
    """The pool of IPv6, if there is one."""
    if counts["prefixes"]:
        prefixes = _together(", ".join(counts["prefixes"]))
        yield f"{prefixes}: {counts['waiting']} addresses waiting, {counts['kept']} kept"


def pool(answer: Answer) -> Iterator[str]:
    """The pool by prefix."""
    yield f"{_states(answer)}, {answer['leaving']} leaving; load {answer['load']:.2f}"
    yield from (f"IPv6: {line}" for line in ipv6(answer["ipv6"]))
    rows = [[prefix, *counts.values()] for prefix, counts in answer["prefixes"].items()]
    yield from listed(("prefix", "free", "waiting", "lingering"), rows)


def drawn(answer: Answer) -> Iterator[str]:
    """The pool as a picture; a cell is what most of its addresses in use are."""
    yield f"{answer['size']} addresses, {answer['each']} in a sign: # waited for, + lingering, . free"
    cells = zip(answer["waiting"], answer["lingering"], strict=True)
    signs = "".join("." if not waiting + lingering else "+#"[waiting >= lingering] for waiting, lingering in cells)
    yield from (signs[begin : begin + WIDTH] for begin in range(0, len(signs), WIDTH))


def reservations(answer: Answer) -> Iterator[str]:
    """What stands at the addresses."""
    yield f"{answer['addresses']} addresses in use"
    columns = ("address", "state", "service", "host")
    rows = [[*(row[each] for each in columns), len(row["claims"]), row["sources"]] for row in answer["reservations"]]
    yield from listed((*columns, "claims", "admitted"), rows)


def subscribers(answer: Answer) -> Iterator[str]:
    """Hosts."""
    rows = [[row["name"], _addresses(row), row["index"]] for row in answer["subscribers"]]
    return listed(("name", "address", "index"), rows, answer["total"])


def _addresses(host: Answer) -> str:
    return ", ".join(filter(None, (host["address"], host["address6"])))


def subscriber(answer: Answer) -> Iterator[str]:
    """A host."""
    yield f"{answer['name']} {_addresses(answer)}, index {answer['index']}, from {answer['source']}"
    if registered := answer["registered"]:
        key = f"with the key {registered['key']}" if registered["key"] else "without a key"
        ends = "" if registered["ends_in"] is None else f", it ends in {duration(registered['ends_in'])}"
        ago = [duration(registered[word]) for word in ("since", "refreshed")]
        yield f"registered {ago[0]} ago {key}, refreshed {ago[1]} ago{ends}"
    yield f"clients are expected at {answer['places_held']} places, of at most {answer['max_claims']}"
    if answer["groups"]:
        told = answer["group_origins"]
        yield f"groups: {', '.join(f'{each} ({told[each]})' if each in told else each for each in answer['groups'])}"
    rows = [[row["name"], row["protocol"] or "any", row["port"] or "any"] for row in answer["services"]]
    yield from listed(("service", "protocol", "port"), rows)


def reputations(answer: Answer) -> Iterator[str]:
    """Resolver groups or clients, a line for each."""
    columns = ("name", "kind", "reputation", "ok", "nok", "neutral")
    rows = [[*(row[each] for each in columns), _remarks(row)] for row in answer["reputations"]]
    return listed((*columns, ""), rows, answer["total"])


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


def flows(answer: Answer) -> Iterator[str]:
    """Flows, a line for each."""
    rows = [
        [
            row["direction"],
            row["protocol"],
            row["host"] or "-",
            *(end_of(row[end], row[port]) for end, port in ENDS),
            row["service"] or "-",
            row["state"] or ("answered" if row["answered"] else "unanswered"),
            duration(row["remaining"]),
            row["trace_id"] or "-",
        ]
        for row in answer["flows"]
    ]
    columns = ("", "protocol", "host", "address", "via", "client", "name", "state", "ends in", "trace id")
    return listed(columns, rows, answer["total"])


ENDS = (("address", "port"), ("via", "via_port"), ("client", "client_port"))
"""What a flow has ends by: addresses, and ports."""


def why(value: Answer) -> str:
    """Why somebody was refused, or let in, and by what that is written in the configuration."""
    by = [f"{each['key']} ({each['origin'] or 'default'})" for each in value.get("by", ())]
    return f"{value['why']}, by {', '.join(by)}" if by else value["why"]


def end_of(address: str | None, port: int | None) -> str:
    """An end of a flow."""
    if address is None:
        return "-"
    written = f"[{address}]" if ":" in address and port else address
    return f"{written}:{port}" if port else written


def killed(answer: Answer) -> Iterator[str]:
    """How many flows have ended."""
    gone = answer["total"] - answer["left"] - answer["ended"]
    yield f"{answer['ended']} flows ended" + (f", {gone} had ended meanwhile" if gone else "")
    if answer["left"]:
        yield f"{answer['left']} more were found: {answer['total'] - answer['left']} are ended at once, ask again"


def leases(answer: Answer) -> Iterator[str]:
    """What is registered, a line for each name."""
    rows = [
        [
            row["name"],
            " ".join(row["addresses"]) or "-",
            " ".join(row["types"]),
            f"{row['key'] or '-'}{' (guest)' if row['guest'] else ''}",
            *(duration(row[word]) for word in ("since", "refreshed")),
            "-" if row["ends_in"] is None else duration(row["ends_in"]),
            row["idle"],
        ]
        for row in answer["leases"]
    ]
    columns = ("name", "address", "records", "key", "registered", "refreshed", "ends in", "without effect")
    return listed(columns, rows, answer["total"])


def registered(answer: Answer) -> Iterator[str]:
    """What is registered now."""
    yield f"{answer['name']}: registered at {' '.join(answer['addresses'])}"


def registered_before(answer: Answer) -> Iterator[str]:
    """What was removed."""
    left = " ".join(answer["left"])
    yield f"{answer['name']}: removed" + (f", {left} is left" if left else "")


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
    yield from (f"put back: {line}" for line in answer["restored"])
    flows = f", {answer['flows_ended']} flows ended" if answer["flows_ended"] else ""
    waited = f", {answer['waited']:.0f} s of them until files were at rest" if answer["waited"] else ""
    yield f"{answer['status']} in {answer['seconds']:.3f} s{waited}: {answer['summary']}{flows}"


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


def listed(titles: Sequence[str], rows: Sequence[Sequence[object]], total: int = 0) -> Iterator[str]:
    """Rows in columns below their titles, and how many more there are."""
    table = [titles, *([visible(str(each)) for each in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    yield from ("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
    if len(rows) < total:
        yield f"{total - len(rows)} more"
