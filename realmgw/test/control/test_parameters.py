"""Tests for `realmgw.control.parameters`; commands' own tests have what each makes of it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control import parameters
from realmgw.control.commands import CommandError, ExitStatus


class ParametersTests(SynchronousTestCase):
    """What is written becomes a value, or is refused with the parameter's name."""

    def test_times_have_units_or_are_seconds(self) -> None:
        """All commands know the same; without a unit it is no `span`, since it could be a year."""
        for text, wanted in (("0", 0), ("45s", 45), ("10m", 600), ("10min", 600), ("2h", 7200), ("7d", 604_800)):
            self.assertEqual(parameters.seconds(text, "for", 0, 10**6), wanted)
            self.assertEqual(parameters.span(text), wanted if text[-1].isalpha() else None)

    def test_what_is_none_is_refused(self) -> None:
        """As a wrong command line, in a line that says which parameter it is about."""
        reads: tuple[tuple[Callable[[str], object], tuple[str, ...]], ...] = (
            (
                lambda text: parameters.seconds(text, "what", 1, 600),
                ("", "0", "11m", "-1", "1w", "\N{SUPERSCRIPT TWO}s"),
            ),
            (lambda text: parameters.number(text, "what", 10), ("", "11", "-1", "\N{SUPERSCRIPT TWO}")),
            (lambda text: parameters.address(text, "what"), ("", "192.0.2.0/24", "www")),
            (lambda text: parameters.network(text, "what"), ("", "192.0.2.0/33", "www")),
        )
        for read, texts in reads:
            for text in texts:
                error = self.assertRaises(CommandError, read, text)
                self.assertEqual(error.status, ExitStatus.USAGE)
                self.assertIn(f"what: {text!r} is no ", str(error))
