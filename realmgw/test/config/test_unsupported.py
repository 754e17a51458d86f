"""Tests for `realmgw.config.unsupported`."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Settings
from realmgw.config.unsupported import WITHOUT_EFFECT, unsupported_keys, unsupported_of_subscribers
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read


class NoteTests(SynchronousTestCase):
    """`unsupported_keys` names the keys that have no effect yet."""

    def test_there_is_none_as_long_as_nobody_writes_them(self) -> None:
        """Even if a default is written out."""
        self.assertIsNone(unsupported_keys(read(MINIMAL)))
        self.assertIsNone(unsupported_keys(read(MINIMAL + "synproxy: {mss: 1460}\nadmission: {queue: 9}\n")))

    def test_names_what_is_written_in_one_line(self) -> None:
        """What has an effect is not among it."""
        text = MINIMAL.replace("dns: {", "dns: {update: {listen: [127.0.0.2], unsigned: true}, ")
        text = text.replace("contact:", "aliases: true, contact:") + "datapath: {network_api: 'http://203.0.113.9/'}\n"
        self.assertEqual(
            unsupported_keys(read(text)),
            "Read and checked, but without effect in this version: datapath.network_api.",
        )

    def test_names_what_subscribers_have_in_one_line(self) -> None:
        """With how many of them have it."""
        self.assertIsNone(unsupported_of_subscribers({"carriergrade": 0}))
        self.assertEqual(
            unsupported_of_subscribers({"carriergrade": 1}),
            "Read and checked, but without effect in this version: carriergrade of 1 host.",
        )

    def test_every_key_that_it_knows_is_one_of_the_settings(self) -> None:
        """Else it would never be named."""
        for key in WITHOUT_EFFECT:
            where: object = Settings("a.", (), read(MINIMAL).interfaces, read(MINIMAL).pools)
            for word in key.split("."):
                where = getattr(where, word, attrs.NOTHING)
                self.assertIsNot(where, attrs.NOTHING, key)
