"""Tests for `realmgw.config.limits`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.config.addresses import resolver
from realmgw.config.limits import open_files
from realmgw.test.dns.realm import make_settings


class OpenFilesTests(SynchronousTestCase):
    """How many files a gateway may need."""

    def files(self, **forward: Any) -> int:
        """So many, with these keys of `dns.forward`."""
        return open_files(make_settings(forward=settings.Forwarding(**forward)))

    def test_questions_have_a_socket_for_each_time_they_are_put(self) -> None:
        """By the longest of all schedules; and resolvers a connection each."""
        resolvers, none = (resolver("203.0.113.53"), resolver("198.51.100.53")), self.files()
        self.assertEqual(self.files(resolvers=resolvers) - none, 500 * 3 + 2)
        timeouts = settings.Timeouts((0.25,), srv=(0.1,) * 7)
        self.assertEqual(self.files(resolvers=resolvers, timeouts=timeouts, outstanding=10) - none, 10 * 7 + 2)
