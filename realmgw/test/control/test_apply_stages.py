"""Tests for `realmgw.control.apply`: stages of the network policy."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.apply import Status
from realmgw.test.control.parts import TestGateway, only


class StagesTests(SynchronousTestCase):
    """What files of policies say, and the lists that they name."""

    def setUp(self) -> None:
        """Makes a gateway."""
        self.gateway = TestGateway(Path(self.mktemp()))
        self.calls = self.gateway.parts.calls

    def test_a_list_of_prefixes_that_says_something_else_is_a_change(self) -> None:
        """Though no setting is different. Where rules stand the kernel is told, too, and that is none."""
        folder = self.gateway.folder
        (folder / "policies.d").mkdir()
        (folder / "black.txt").write_text("192.0.2.0/24\n")
        policy = "pipeline:\n  preemptive:\n    black_list: {file: black.txt}\n"
        (folder / "policies.d" / "50.yaml").write_text(policy)
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)
        self.assertEqual(only(self.gateway.reload()).status, Status.UNCHANGED)
        for path, content, status in (
            ("black.txt", "192.0.2.0/25\n198.51.100.7\n", Status.APPLIED),
            ("policies.d/50.yaml", f"# a remark\n{policy}", Status.UNCHANGED),
        ):
            self.calls.clear()
            (folder / path).write_text(content)
            outcome = only(self.gateway.reload())
            self.assertEqual(outcome.status, status)
            if status is Status.APPLIED:
                [line] = outcome.plan.lines()
                self.assertEqual(line, "~ policy.pipeline.preemptive.black_list.file: 1 prefixes -> 2 prefixes")
            self.assertIn(("kernel", [], []), self.calls)
        self.calls.clear()
        (folder / "black.txt").write_text("192.0.2.0/24\n198.51.")
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.REFUSED)
        self.assertIn("black.txt:2:1: ", outcome.problems[0])
        self.assertEqual(self.calls, [])
