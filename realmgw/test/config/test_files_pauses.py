"""However long a main file is, and whatever is in it: a running gateway reads little of it at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.files import load, loading
from realmgw.config.steps import Blocking, Steps, finish
from realmgw.errors import ConfigurationError
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.pauses import Work

MOST = 80_000
"""Calls of functions that a step may make: about 20 ms. Each of these files makes a million or more."""
ZONE = "zones: {example.org: {name_servers: {ns.example.org: 192.0.2.1}, contact: admin.example.org"


def longest_step(steps: Steps[Any]) -> int:
    """How many calls the longest of some steps makes, without what blocks."""
    longest, advance = 0, steps.__next__
    while True:
        work = Work()
        try:
            with work.counting():
                step = advance()
        except (StopIteration, ConfigurationError):
            return max(longest, work.calls)
        longest = max(longest, work.calls)
        advance = steps.__next__ if step is None else _answering(steps, step)


def _answering(steps: Steps[Any], step: Blocking) -> Callable[[], Blocking | None]:
    result = step.call()
    return lambda: steps.send(result)


class PauseTests(SynchronousTestCase):
    """A long main file."""

    def setUp(self) -> None:
        """A folder of the test's own."""
        self.path = Path(self.mktemp()) / "realmgw.yaml"
        self.path.parent.mkdir()

    def assert_short(self, text: str) -> None:
        """It is read in steps that are short; each kind of them is long at some place, if it is."""
        self.path.write_text(text)
        self.assertLess(longest_step(loading(self.path)), MOST, text[:200])

    def test_many_values_are_read_in_short_steps(self) -> None:
        """Groups of resolvers, their addresses, prefixes of the pool, zones, name servers."""
        groups = ", ".join(f"{{nodes: [10.{number >> 8}.{number & 255}.0/24]}}" for number in range(8_000))
        nodes = ", ".join(f"10.{number >> 8}.{number & 255}.1" for number in range(12_000))
        zones = ", ".join(f"z{number}.example.org: {{}}" for number in range(5_000))
        servers = ", ".join(f"ns{number}.example.org: 192.0.2.1" for number in range(8_000))
        pool = ", ".join(f"{{addresses: 198.{each >> 8}.{each & 255}.1, attachment: routed}}" for each in range(5_000))
        self.assert_short(f"{MINIMAL}policy: {{groups: [{groups}]}}\n")
        self.assert_short(f"{MINIMAL}policy: {{groups: [{{nodes: [{nodes}]}}]}}\n")
        self.assert_short(MINIMAL.replace(ZONE, f"{ZONE}}}, {zones[:-1]}"))
        self.assert_short(MINIMAL.replace("{ns.example.org: 192.0.2.1", f"{{{servers}"))
        self.assert_short(MINIMAL.replace("circular: [", f"circular: [{pool}, "))

    def test_many_problems_are_told_in_short_steps(self) -> None:
        """After a thousand of them, nothing is read any further; keys that nobody knows, and values that do not do."""
        self.assert_short(f"{MINIMAL}policy: {{groups: [{'a, ' * 100_000}]}}\n")
        self.assert_short(f"{MINIMAL}policy: {{{', '.join(f'k{number}: 1' for number in range(30_000))}}}\n")
        self.assert_short(f"{MINIMAL}{''.join(f'k{number}: 1{chr(10)}' for number in range(30_000))}")
        error = self.assertRaises(ConfigurationError, load, self.path)
        assert isinstance(error, ConfigurationError)
        self.assertEqual(error.problems[-1], "and 801 problems more")

    def test_many_folders_are_refused(self) -> None:
        """Nobody has thousands; each would be looked into."""
        for key in ("subscribers", "drop_ins", "policies"):
            self.assert_short(f"{MINIMAL}{key}: [{'a, ' * 100_000}]\n")
            error = self.assertRaises(ConfigurationError, load, self.path)
            self.assertIn("the list has 100000 items: write at most 1000", str(error))

    def test_drop_ins_are_laid_over_in_short_steps(self) -> None:
        """Each is as long as a main file."""
        (self.path.parent / "zones.d").mkdir()
        for file in range(3):
            zones = "".join(f"z{number}.example.org: {{ttl: {file}}}\n" for number in range(10_000))
            (self.path.parent / "zones.d" / f"{file}.yaml").write_text(zones)
        self.assert_short(MINIMAL)

    def test_what_the_slower_parser_would_read_in_one_go_is_left_to_the_faster_one(self) -> None:
        """A long text, and then something that only the slower one can read."""
        for text in ("x: " + "a " * 400_000, f"x: '{'a' * 900_000}'", "#" + "a" * 900_000, "# a\n" * 20_000):
            self.assert_short(f"{MINIMAL}{text}\nforward: [192.0.2.1:53]\n")
            error = self.assertRaises(ConfigurationError, load, self.path)
            self.assertIn("this is no YAML", str(error))

    def test_a_long_file_of_short_parts_is_read_by_the_slower_parser(self) -> None:
        """As ever: how long it is all in all does not matter."""
        groups = "".join(f"    - nodes: [10.0.{number}.0/24]  # number {number}\n" for number in range(250))
        comment = "# one line of several\n" * 20
        text = MINIMAL.replace("[192.0.2.1]", "[192.0.2.1:53]") + f"policy:\n  groups:\n{comment}{groups}{comment}"
        self.path.write_text(text)
        self.assertEqual(len(finish(loading(self.path)).policy.groups), 250)
