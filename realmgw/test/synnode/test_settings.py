"""Tests for `realmgw.synnode.settings`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.external import Logging
from realmgw.config.metrics import THIS_MACHINE
from realmgw.config.validators import Key, Section
from realmgw.synnode.settings import NODE, NodeSettings
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.synnode.keys import HOST, HOST6, packed
from realmgw.test.synnode.test_rules import GUARDING

SETTINGS = NodeSettings(GUARDING.outside, GUARDING.guarded)


def keys(section: Mapping[str, Key[object]], before: str = "") -> Iterator[str]:
    """Every key, with those of the sections that it is in; those of the log are told elsewhere."""
    for word, each in section.items():
        below = each.validator
        if isinstance(below, Section) and below.build is not Logging:
            yield from keys(below.keys, f"{before}{word}.")
        else:
            yield before + word


class SettingsTests(SynchronousTestCase):
    """What is in them."""

    def test_by_default_only_this_machine_says_what_is_answered(self) -> None:
        """Whoever may connect may turn the options of all hosts into nonsense."""
        self.assertEqual(SETTINGS.clients, THIS_MACHINE)
        found = [SETTINGS.may_connect(each) for each in ("127.0.0.1", "::1", "192.0.2.1", "2001:db8::1")]
        self.assertEqual(found, [True, True, False, False])

    def test_what_is_guarded_is_said_by_prefixes(self) -> None:
        """An entry of any address is for all of them."""
        found = [SETTINGS.guards(packed(each)) for each in (HOST, HOST6, "0.0.0.0", "::", "192.0.2.1", "2001:db9::")]
        self.assertEqual(found, [True, True, True, True, False, False])
        other = attrs.evolve(SETTINGS, guarded=SETTINGS.guarded[:1])
        self.assertEqual([other.guards(packed(each)) for each in (HOST, HOST6)], [True, False])

    def test_every_key_is_told_and_no_other(self) -> None:
        """In the table of docs/synproxy.md."""
        text = (CHECKOUT / "docs" / "synproxy.md").read_text()
        told = re.findall(r"^\| `([a-z_.]+)` \| [^|]* \| [^|]* \|$", text, re.MULTILINE)
        self.assertEqual(told, list(keys(NODE.keys)))

    test_every_key_is_told_and_no_other.skip = NO_CHECKOUT  # type: ignore[attr-defined]  # trial's way
