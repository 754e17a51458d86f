"""The file of the keys of dynamic updates."""

from __future__ import annotations

import base64
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import secrets
from realmgw.config.document import Problems
from realmgw.config.settings import Dns, DnsView, UpdateView
from realmgw.config.steps import finish
from realmgw.config.updates import Algorithm, UpdateType, reading_keys
from realmgw.errors import ConfigurationError
from realmgw.test.dns import realm

SECRET = base64.b64encode(bytes(range(32))).decode()
WHOLE = f"""
keys:
  DHCP.example.org:
    algorithm: hmac-sha512
    secret: {SECRET}
    names: [lan.example.org, 168.192.in-addr.arpa]
    types: [A, PTR]
    addresses: [192.168.0.0/24, 'fd00::/64']
  other: {{secret: "{SECRET}"}}
"""


def problems(text: str) -> tuple[str, ...]:
    """What is wrong with a file."""
    found = Problems("update.keys")
    finish(reading_keys(text.encode(), found))
    return found.lines()


class KeysTests(SynchronousTestCase):
    """What is read, and what is said of what can not be."""

    def test_all_that_can_be_said(self) -> None:
        """And what holds where it is not."""
        found = Problems("update.keys")
        one, other = finish(reading_keys(WHOLE.encode(), found))
        self.assertEqual(found.lines(), ())
        self.assertEqual((one.name, one.grant.algorithm), ("dhcp.example.org.", Algorithm.SHA512))
        self.assertEqual(one.grant.names, ("lan.example.org.", "168.192.in-addr.arpa."))
        self.assertEqual(one.grant.types, (UpdateType.A, UpdateType.PTR))
        self.assertEqual([str(each) for each in one.grant.addresses], ["192.168.0.0/24", "fd00::/64"])
        self.assertEqual((other.grant.algorithm, other.grant.secret), (Algorithm.SHA256, bytes(range(32))))
        self.assertEqual((other.grant.names, other.grant.types, other.grant.addresses), ((), tuple(UpdateType), ()))

    def test_problems_have_their_line(self) -> None:
        """All of them at once, and each says what to do."""
        said = problems(
            f"keys:\n  a: {{secret: {SECRET}, algorithm: hmac-md5}}\n  b: {{secret: c2hvcnQ=}}\n"
            f"  c: {{secret: '?'}}\n  d: {{}}\n  e: {{secret: {SECRET}, types: [MX], addresses: [192.168.0.1/24]}}\n"
        )
        for place, what in (
            ("2:72", "hmac-sha256: md5 must not be used"),
            ("3:15", "the secret has 5 octets: write one of at least 16"),
            ("4:15", "the secret is no base64"), ("5:6", "'secret' is missing"), ("6:", "'MX' is not known"),
            ("6:", "192.168.0.1/24"),
        ):  # fmt: skip
            lines = [line for line in said if line.startswith(f"update.keys:{place}") and what in line]
            self.assertEqual(len(lines), 1, (place, what, said))

    def test_files_without_a_key(self) -> None:
        """Empty ones, and those that were not written whole."""
        for text in ("", "keys: {}\n", "keys:\n", "- a\n", "key: {}\n", "keys: [\n"):
            self.assertTrue(problems(text), text)

    def test_no_secret_is_quoted(self) -> None:
        """Wherever it stands by mistake, whatever it looks like, and however a key is shown."""
        wrong = (
            "keys: {{a: {0}}}", "keys: {0}", "{0}: 1", "keys: {{a: {{secert: {0}}}}}",
            "keys: {{a: {{algorithm: {0}, secret: x}}}}", "keys: {{a: {{secret: [{0}]}}}}",
            "keys: {{a: {{secret: x, names: {0}, types: [{0}], addresses: [{0}]}}}}",
            "keys: {{a: {{secret: x, names: [{0}]}}}}", "keys: {{a: {{{0}: x, {0}: y}}}}",
            "keys: {{{0}: {{secret: {0}}}}}", "keys: {{a: {{{0}: secret}}}}",
        )  # fmt: skip
        wild = "it''s hunter2", 'so \\" is it', "x" * 400, "q'\"q" * 99
        for secret in (SECRET, "hunter2!", "with-url_safe-b64", *wild):
            for text in wrong:
                written = text.format('"' + secret.replace('"', '\\"') + '"' if '"' in secret else f"'{secret}'")
                said = problems(written)
                self.assertTrue(said, written)
                for piece in (secret[:6], secret[-6:], secret[100:106]):
                    self.assertFalse(piece and piece in "".join(said), (written, said))
        for text in ("keys: {a: {secret: *hunter2}}", "keys: {a: {secret: !hunter2 x}}", "keys: {a: {secret: 'hunter2"):
            self.assertNotIn("hunter2", "".join(problems(text)), text)
        (key, _) = finish(reading_keys(WHOLE.encode(), Problems("")))
        self.assertNotIn("secret", repr(key))
        self.assertNotIn(repr(key.grant.secret), repr(key.grant))

    def test_file_that_is_named(self) -> None:
        """Is read with the settings; what can not be read is told by its key and its path."""
        path = Path(self.mktemp())
        made = realm.make_settings(update=UpdateView(key_file=path), lan=DnsView())
        self.assertIsInstance(made.dns, Dns)
        said = str(self.assertRaises(ConfigurationError, secrets, made))
        self.assertEqual(said, f"dns.update.key_file: {path} can not be read: No such file or directory")
        path.write_text(WHOLE)
        self.assertEqual([each.name for each in secrets(made).keys], ["dhcp.example.org.", "other."])
        path.write_text("keys: {}\n")
        self.assertRaises(ConfigurationError, secrets, made)

    def test_guests_have_a_key_that_there_is(self) -> None:
        """Another name would have no effect."""
        path = Path(self.mktemp())
        path.write_text(WHOLE)
        for names, file, said in (
            (("other.",), path, ""),
            (("other.", "third."), path, f"dns.update.guests: there is no key third. in {path}: write one that is"),
            (("other.",), None, "dns.update.guests: there is no key other. in dns.update.key_file, which is not"),
        ):
            made = realm.make_settings(update=UpdateView(key_file=file, guests=names), lan=DnsView())
            if said:
                self.assertIn(said, str(self.assertRaises(ConfigurationError, secrets, made)))
            else:
                self.assertEqual(len(secrets(made).keys), 2)
