"""Tests for `testbed.measuring.figures`: what is measured gets into its place in a document."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import NO_CHECKOUT

if not NO_CHECKOUT:
    from testbed.measuring import figures
    from testbed.realm.topology import TestbedError


class PublishTests(SynchronousTestCase):
    """Of what was measured."""

    skip = NO_CHECKOUT

    def setUp(self) -> None:
        self.document = Path(self.mktemp())
        self.document.write_text(
            "a\n<!-- figures -->\nold\n<!-- end of figures -->\nb\n<!-- figures: x -->\n\n<!-- end of figures -->\nc\n"
        )
        self.measured = 0

    def measure(self) -> tuple[str, bool]:
        """Measures."""
        self.measured += 1
        return f"figure {self.measured}\n", self.measured == 1

    def test_each_has_its_place(self) -> None:
        """And the exit status tells whether the targets were met."""
        first = figures.publish("p", self.measure, self.document)
        second = figures.publish("p", self.measure, self.document, "x")
        self.assertEqual((first, second), (0, 1))
        self.assertEqual(
            self.document.read_text(),
            "a\n<!-- figures -->\n\nfigure 1\n\n<!-- end of figures -->\nb\n"
            "<!-- figures: x -->\n\nfigure 2\n\n<!-- end of figures -->\nc\n",
        )

    def test_nothing_is_measured_for_no_place(self) -> None:
        """That is found out at once, not when all is measured."""
        for document, name in ((self.document, "y"), (self.document.with_name("absent"), "")):
            self.assertRaises(SystemExit, figures.publish, "p", self.measure, document, name)
        self.assertEqual(self.measured, 0)

    def test_it_can_not_be_measured(self) -> None:
        """Nothing is written."""

        def fails() -> tuple[str, bool]:
            raise TestbedError("no such thing")

        before = self.document.read_text()
        self.assertEqual(figures.publish("p", fails, self.document), figures.IMPOSSIBLE)
        self.assertEqual(self.document.read_text(), before)
