"""What tests of consistency have in common."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import consistency, schema
from realmgw.config.document import Problems, parse
from realmgw.test.config.test_schema import MINIMAL


class ConsistencyTestCase(SynchronousTestCase):
    """Compares the values of different keys."""

    def problems(self, *changes: tuple[str, str], more: str = "") -> list[str]:
        """What is wrong with the minimal file after some changes, without the places."""
        text = MINIMAL
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        return [line.split(": ", 1)[1] for line in self.lines(text + more)]

    def lines(self, text: str) -> tuple[str, ...]:
        """What is wrong with a file, with the places."""
        problems = Problems("f")
        root = parse(text.encode(), problems)
        assert root is not None
        schema.GATEWAY(root, problems)
        consistency.check(problems)
        return problems.lines()
