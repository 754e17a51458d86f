"""Names that lists have not let somebody have, as rows of decisions: which list, and where in it the name stands.

Edge: the files of lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from realmgw.allocation.decisionlog import Withheld
from realmgw.config.namelists import LONGEST, standing
from realmgw.config.settings import NameList, Network, Settings
from realmgw.config.steps import Steps
from realmgw.control.causes import place
from realmgw.control.commands import Value
from realmgw.control.standing import text_of
from realmgw.datapath.pipeline.parts import where
from realmgw.dns.codec import names

MOST_FILES = 4
"""So many lists are read for one answer; of others the file is told, and no line."""
WHY = "listed"
"""Why it was not to be had."""


def is_meant(entry: Withheld, name: str, client: Network | None, resolver: Network | None) -> bool:
    """Whether a name is one of those that somebody wants to know of: who asked for it is both client and resolver."""
    who = ip_address(entry.resolver.partition("%")[0])
    return name in names.to_text(entry.name) and all(each is None or who in each for each in (client, resolver))


def row(settings: Settings, entry: Withheld) -> dict[str, Value]:
    """It as a row: the key of the list, and the list's file; in which line it stands is to be found out."""
    found = next(_called(settings, entry.listed), None)
    by: list[Value] = [{"key": f"list {entry.listed}", "origin": None}]
    if found is not None:
        number, rules = found
        by = [{"key": "dns.forward.lists", "origin": place(settings, f"dns.forward.lists.{number}")}]
        by.append({"key": f"list {entry.listed}", "origin": where(str(rules.file))})
    return {"name": names.to_text(entry.name), "resolver": entry.resolver, "client": None, "why": WHY, "by": by}


def placing(settings: Settings, rows: list[Value]) -> Steps[None]:
    """Tells of rows of `row` in which line of its list each name stands, or the name above it that stands for it."""
    wanted = dict[str, list[Value]]()
    for each in rows:
        if each.get("why") == WHY:
            wanted.setdefault(each["by"][-1]["key"].removeprefix("list "), []).append(each)
    for called, of_it in list(wanted.items())[:MOST_FILES]:
        for _, rules in _called(settings, called):
            entries = {each["name"]: [*_entries(each["name"])] for each in of_it}
            content = yield from text_of(Path(rules.file), LONGEST)
            lines = yield from standing(rules, content, {entry for some in entries.values() for entry in some})
            for each in of_it:
                line = next((lines[entry] for entry in entries[each["name"]] if entry in lines), None)
                if line is not None:
                    each["by"][-1]["origin"] = f"{where(str(rules.file))}:{line}"


def _called(settings: Settings, name: str) -> Iterator[tuple[int, NameList]]:
    """The list of that name, with its number; nothing if there is none any more."""
    return ((number, each) for number, each in enumerate(settings.dns.forward.lists) if each.name == name)


def _entries(name: str) -> Iterator[str]:
    """What may stand for a name in a list, the nearest first: itself, all below one above it, all."""
    plain = name.removesuffix(".")
    yield plain
    while plain:
        plain = plain.partition(".")[2]
        yield f"*.{plain}" if plain else "*"
