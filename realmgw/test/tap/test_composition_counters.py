"""Every counter of every part reaches `realmgw status`: what is counted and never told might as well not be."""

from __future__ import annotations

import ast
import functools
import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw import config, tap
from realmgw.errors import Reason
from realmgw.tap.composition import compose
from realmgw.tap.plugin import read
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.source import PRODUCT, Module

NO_TOTALS = {
    ("allocation.pool.circular", "waiting"): "how many now: in `pool`",
    ("allocation.pool.circular", "size"): "how many now: in `pool`",
    ("allocation.waiting", "size"): "how many now: in `pool`, as queries_waiting",
    ("allocation.claims.books", "kept"): "how many now: in `pool`, as held_for_keepers",
    ("allocation.reputation.score", "ok"): "of one group: in `realmgw reputation`",
    ("allocation.reputation.score", "nok"): "of one group: in `realmgw reputation`",
    ("allocation.reputation.score", "neutral"): "of one group: in `realmgw reputation`",
    ("allocation.reputation.delays", "total"): "of one group: in `realmgw reputation`",
    ("allocation.reputation.group", "trusted"): "of one group: in `realmgw reputation`",
    ("allocation.reputation.group", "untrusted"): "of one group: in `realmgw reputation`",
    ("dns.port", "outstanding"): "of one connection",
    ("datapath.watch.own", "placements"): "another number for each table that is placed; `repairs` tells of others",
}
"""What is added to and is no total: by module and attribute, with the reason."""


PORTAL = """portal: {listen: [192.168.0.1]}
metrics: {listen: [127.0.0.1]}
flow_records: {enabled: true}
dashboard: {listen: [/run/realmgw/dashboard.sock]}
alerts: {file: /var/log/suricata/eve.json}
"""
HOLDERS = {"Counters", "Counts"}
"""Values whose every field is a counter; others add to them."""


def added_to() -> set[tuple[str, str]]:
    """Every public attribute that something adds to in the gateway's rooms, with the module where that is done."""
    found = set()
    for module in PRODUCT:
        if module.room == "repository":  # a process of its own
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
                target = node.target.value if isinstance(node.target, ast.Subscript) else node.target
                if isinstance(target, ast.Attribute) and not target.attr.startswith("_"):
                    found.add((_name(module), target.attr))
    return found


def _name(module: Module) -> str:
    return ".".join(Path(*module.place.parts[1:]).with_suffix("").parts)


def reachable(root: object) -> Iterator[object]:
    """Every object of ours that a gateway is made of."""
    seen, waiting = set[int](), [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if type(each).__module__.startswith("realmgw"):
            yield each
        waiting.extend(_within(each))


def _within(value: Any) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, types.MethodType):
        yield value.__self__
    elif isinstance(value, types.FunctionType):
        yield from (cell.cell_contents for cell in value.__closure__ or ())
    elif type(value).__module__.startswith("realmgw") and not isinstance(value, type):
        slots = (name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()))
        yield from vars(value).values() if hasattr(value, "__dict__") else ()
        yield from (getattr(value, name, None) for name in slots if name != "__weakref__")


class CounterTests(SynchronousTestCase):
    """A gateway with a repository, which is not started."""

    def setUp(self) -> None:
        """Makes it."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        main = folder / "realmgw.yaml"
        minimal = MINIMAL.replace("pools: {", "pools: {service: [192.0.2.9], ") + "webproxy: {enabled: true}\n"
        main.write_text(minimal + f"state: {folder}\nrepository: {{url: 'http://192.0.2.9', cache: false}}\n{PORTAL}")
        self.gateway = compose(read(main, config.load(main)), tap.Options())

    def counts(self) -> dict[str, Any]:
        """What `realmgw status --json` has of the parts: the kernel is not asked."""
        [counting] = {each for each in reachable(self.gateway) if type(each).__name__ == "Counting"}
        parts: dict[str, Any] = counting._parts  # type: ignore[attr-defined]  # a Counting
        return dict(json.loads(json.dumps({part: counts() for part, counts in parts.items()})))

    def test_every_counter_is_told(self) -> None:
        """Each is given a number of its own, and that number is among what is told."""
        added, set_to, lists = added_to() - set(NO_TOTALS), dict[int, str](), list[object]()
        for each in reachable(self.gateway):
            for name in sorted(counters_of(each, added)):
                self.set(each, name, set_to, lists)
        self.assertGreater(len(set_to), 150)
        told = set(_numbers(self.counts()))
        self.assertEqual(sorted(what for number, what in set_to.items() if number not in told), [])

    def set(self, each: object, name: str, set_to: dict[int, str], lists: list[object]) -> None:
        """Gives a counter, or each of a list of them, a number of its own."""
        value = getattr(each, name, None)
        what = f"{type(each).__module__}.{type(each).__qualname__}.{name}"
        if isinstance(value, list) and not any(value is one for one in lists):
            lists.append(value)
            for index in _used(name, value):
                value[index] = 1_000_000 + len(set_to)
                set_to[value[index]] = f"{what}[{index}]"
        elif type(value) is int:
            number = 1_000_000 + len(set_to)
            setattr(each, name, number)
            set_to[number] = what

    def test_the_list_of_what_is_no_total_is_true(self) -> None:
        """Nothing in it is without need."""
        self.assertEqual({key for key in NO_TOTALS if not key[1].startswith("_")} - added_to(), set())

    def test_every_part_of_the_gateway_is_asked(self) -> None:
        """Those that count nothing are named here."""
        silent = {"process", "instance", "reload", "last good"}
        names = {part.name for part in self.gateway} - silent
        self.assertEqual(names - set(self.counts()), set())


def counters_of(each: object, added: set[tuple[str, str]]) -> set[str]:
    """The names of an object's counters: what its own module adds to, or every field of a value of counters."""
    own = set(vars(each)) if hasattr(each, "__dict__") else set(getattr(type(each), "__slots__", ()))
    if type(each).__name__ not in HOLDERS:
        modules = {kind.__module__.removeprefix("realmgw.") for kind in type(each).__mro__}
        own &= {name for module, name in added if module in modules}
    return {name for name in own if isinstance(getattr(each, name, None), int | list)}


def _used(name: str, values: list[int]) -> list[int]:
    """The places of a list that stand for something: those of refusals are numbered by reasons."""
    by_reason = name == "refused" and len(values) > max(Reason)
    return [int(reason) for reason in Reason] if by_reason else list(range(len(values)))


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif type(value) is int:
        yield value
