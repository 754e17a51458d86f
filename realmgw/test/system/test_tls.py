"""Tests for `realmgw.system.tls`."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.system.tls import tls_options
from realmgw.test.subscribers.authority import Authority


class OptionsTests(SynchronousTestCase):
    """A certificate with its key."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.certificate, self.key = Authority(folder).issue("portal.example.org")

    def test_a_key_without_a_passphrase_is_used(self) -> None:
        """With its certificate."""
        self.assertIsNotNone(tls_options(self.certificate, self.key).getContext())

    def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(self) -> None:
        """Nobody sits at the terminal of a gateway; in both forms that such keys have."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        secret = serialization.BestAvailableEncryption(b"not told")
        for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
            self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
            with self.assertRaisesRegex(PlatformError, "the key has a passphrase: write the key without one"):
                tls_options(self.certificate, self.key)

    def test_what_does_not_belong_together_is_refused(self) -> None:
        """The files are named, nothing of the key is quoted."""
        self.key.write_text("nonsense")
        with self.assertRaisesRegex(PlatformError, "portal.example.org.key can not be used for TLS"):
            tls_options(self.certificate, self.key)
