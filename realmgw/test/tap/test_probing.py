"""Tests for `realmgw.tap.probing`: when it is looked at all; that it is looked right, `kernel.test_watchdog` shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.health import State
from realmgw.tap.probing import looking


class LookingTests(SynchronousTestCase):
    """What is asked when."""

    def test_what_is_known_to_be_wrong_is_not_looked_at(self) -> None:
        """A gateway that is degraded is not restarted for it; a purged one is degraded, too."""
        health = SimpleNamespace(state=State.DEGRADED)
        context: Any = SimpleNamespace(health=health, reactor=None)
        dns: Any = SimpleNamespace(wan=None, lan=None, local=None)
        look = looking(context, dns, SimpleNamespace(port=None))  # type: ignore[arg-type]  # it is not asked
        self.assertEqual(self.successResultOf(look(1.0)), [])
        health.state = State.HEALTHY
        self.assertRaises(AttributeError, look, 1.0)  # it would ask now
