"""Tests for `realmgw.config.haproxy`: whose program it is, and whether it can be run."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import haproxy
from realmgw.config.haproxy import NEEDED, as_root, problem, user, with_user
from realmgw.config.settings import Webproxy
from realmgw.system import privileges
from realmgw.test.datapath.test_ruleset import SETTINGS

HOW = Webproxy(enabled=True, program=PurePath(sys.executable), user="nobody")


class UserTests(SynchronousTestCase):
    """The kernel knows the proxy by it."""

    def test_is_found_where_there_is_a_proxy(self) -> None:
        """Settings are the same by that; root is nobody's own user."""
        self.assertIs(with_user(SETTINGS), SETTINGS)
        settings = attrs.evolve(SETTINGS, webproxy=HOW)
        found = with_user(settings)
        self.assertEqual((found, found.webproxy.runs_as), (settings, user(HOW)))
        self.assertIsNotNone(found.webproxy.runs_as)
        for name in ("root", "no-such-user"):
            self.assertIsNone(with_user(attrs.evolve(settings, webproxy=attrs.evolve(HOW, user=name))).webproxy.runs_as)


class ProblemTests(SynchronousTestCase):
    """What is said before HAProxy is started in vain."""

    def test_says_what_is_missing(self) -> None:
        """And what to do."""
        missing = attrs.evolve(HOW, program=PurePath("/nowhere/haproxy"))
        self.assertIn("apt install haproxy", problem(missing) or "")
        self.assertIn("write one of its own", problem(attrs.evolve(HOW, user="root")) or "")

    def test_says_nothing_when_all_is_there(self) -> None:
        """Root can run it as somebody else, and so can who has the capabilities for it."""
        self.patch(privileges, "held", lambda: -1)
        for who in (0, 1000):
            self.patch(os, "geteuid", lambda who=who: who)
            self.assertIsNone(problem(HOW))
            self.assertEqual(bool(as_root()), who != 0)

    def test_names_the_capabilities_that_are_missing(self) -> None:
        """Each of them is needed; by root, whose files are his, but for one."""
        for who in (0, 1000):
            self.patch(os, "geteuid", lambda who=who: who)
            for name, bit in NEEDED.items():
                self.patch(privileges, "held", lambda bit=bit: ~(1 << bit))
                said = problem(HOW) or ""
                self.assertEqual(f"without {name}:" in said, (who, name) != (0, "CAP_DAC_OVERRIDE"), (who, said))
            self.patch(privileges, "held", lambda: 0)
            self.assertIn("CAP_SETUID, CAP_SYS_CHROOT: start as root, or give", problem(HOW) or "")

    def test_says_by_what_it_is_begun(self) -> None:
        """Where that is missing."""
        self.patch(haproxy, "SETPRIV", "/nowhere/setpriv")
        self.patch(os, "geteuid", lambda: 1000)
        self.assertIn("apt install util-linux", problem(HOW) or "")
