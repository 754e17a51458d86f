"""Tests for `realmgw.control.causes`; `test_decided` has what is made of them."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.schema import GATEWAY
from realmgw.config.validators import Section
from realmgw.control.causes import KEYS, OF_HOST
from realmgw.subscribers.model import Profile


class CausesTests(SynchronousTestCase):
    """The keys that refuse."""

    def test_every_key_is_one(self) -> None:
        """Of the main file, or of a host: a key that has another name by now would never have a line."""
        for keys in KEYS.values():
            for key in keys:
                section, word = key.split(".")
                self.assertIn(section, GATEWAY.keys)
                validator = GATEWAY.keys[section].validator
                assert isinstance(validator, Section)
                self.assertIn(word, validator.keys)
        for word in OF_HOST.values():
            self.assertIn(word, {each.name for each in attrs.fields(Profile)})
