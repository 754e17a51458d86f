"""Tests for `realmgw.config.haproxy`: whose program it is, and whether it can be run."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.haproxy import problem, user, with_user
from realmgw.config.settings import Webproxy
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
        """Only root can run it as somebody else."""
        said = problem(HOW)
        self.assertEqual(said is None, os.geteuid() == 0, said)
