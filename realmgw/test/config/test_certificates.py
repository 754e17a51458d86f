"""Tests for `realmgw.config.certificates`: folders with what an operator, or a program of his, may leave there."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path, PurePath

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import certificates
from realmgw.config.certificates import (
    MOST_NAMES,
    MOST_READ,
    MOST_TOLD,
    SOON,
    Bundle,
    Folder,
    bundle,
    kept,
    look,
    problems,
    sentences,
)
from realmgw.errors import MalformedError
from realmgw.system.disk import read
from realmgw.test.subscribers.authority import Authority

NOW = 1_000_000_000.0
USED = Bundle("a.pem", b"used", ("a.example.org",), NOW - 50 * SOON, NOW + 50 * SOON)


class FolderTestCase(SynchronousTestCase):
    """An authority, and a folder of nobody else's."""

    def setUp(self) -> None:
        """It is empty."""
        root = Path(self.mktemp()).absolute()
        self.folder, issued = root / "certificates", root / "issued"
        self.folder.mkdir(parents=True, mode=0o700)
        issued.mkdir()
        self.authority = Authority(issued)

    def content(self, name: str = "a.example.org", *, expired: bool = False) -> bytes:
        """A new bundle."""
        certificate, key = self.authority.issue(name, expired=expired)
        return certificate.read_bytes() + key.read_bytes()

    def write(self, file: str, content: bytes) -> Path:
        """A file."""
        path = self.folder / file
        path.write_bytes(content)
        path.chmod(0o600)
        return path


class BundleTests(FolderTestCase):
    """One file."""

    def refusal(self, content: bytes, file: str = "a.pem") -> str:
        """Why it can not be used."""
        return str(self.assertRaises(MalformedError, bundle, file, content))

    def test_is_for_the_names_of_its_certificate(self) -> None:
        """In small letters, without a last dot; what stands between its parts is left out."""
        found = bundle("a.pem", b"# mine\r\n\r\n" + self.content("*.Example.ORG."))
        self.assertEqual((found.file, found.names), ("a.pem", ("*.example.org",)))
        self.assertTrue(found.is_valid(time.time()))
        self.assertNotIn(b"\n\n", found.pem)
        self.assertEqual(found, bundle("a.pem", found.pem), "what was written is read")
        self.assertNotEqual(found.key, bundle("a.pem", self.content()).key)

    def test_half_of_it_is_refused_wherever_it_is_cut(self) -> None:
        """While it is being written, or when the disk was full."""
        content = self.content()
        for end in range(0, len(content) - 1, 7):
            self.refusal(content[:end])

    def test_what_does_not_belong_together_is_told(self) -> None:
        """Another key, none, one with a passphrase, a second one."""
        certificate, key = (path.read_bytes() for path in self.authority.issue("a.example.org"))
        other = self.authority.issue("b.example.org")[1].read_bytes()
        self.assertIn("not that of its first certificate", self.refusal(certificate + other))
        self.assertIn("1 certificates and 0 keys", self.refusal(certificate))
        self.assertIn("0 certificates and 1 keys", self.refusal(key))
        self.assertIn("2 keys", self.refusal(certificate + key + other))
        locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
        self.assertIn("passphrase", self.refusal(certificate + locked))
        self.assertIn("no certificate, or no key", self.refusal(certificate.replace(b"MII", b"AAA", 1) + key))
        self.assertIn("HAProxy takes", self.refusal(key + 40 * certificate))

    def test_what_openssl_would_refuse_is_refused(self) -> None:
        """One such file would keep HAProxy from starting."""
        for weak, said in (
            (rsa.generate_private_key(65537, 1024), "RSA key of 1024 bits"),
            (ec.generate_private_key(ec.SECP256K1()), "curve secp256k1"),
            (dsa.generate_private_key(1024), "another kind"),
            (ed448.Ed448PrivateKey.generate(), "another kind"),
        ):
            certificate, key = self.authority.issue("a.example.org", key=weak)
            self.assertIn(said, self.refusal(certificate.read_bytes() + key.read_bytes()))
        for good in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1())):
            certificate, key = self.authority.issue("a.example.org", key=good)
            bundle("a.pem", certificate.read_bytes() + key.read_bytes())

    def test_what_haproxy_could_not_be_told_is_refused(self) -> None:
        """Many names, or long ones, of which each is told twice."""
        for names, is_well in (
            ([f"{number:x}" for number in range(MOST_NAMES)], True),
            ([f"{number:x}" for number in range(MOST_NAMES + 1)], False),
            ([f"{number:030d}" for number in range(MOST_TOLD // 63)], True),
            ([f"{number:030d}" for number in range(MOST_TOLD // 63 + 1)], False),
        ):
            content = b"".join(path.read_bytes() for path in self.authority.issue(*names))
            self.assertLess(len(content), MOST_TOLD)
            if is_well:
                self.assertEqual(len(bundle("a.pem", content).names), len(names))
            else:
                self.assertIn(f"it is for {len(names)} names, which HAProxy", self.refusal(content))

    def test_names_that_nobody_can_ask_for_are_refused(self) -> None:
        """Nor may a file's name mean anything to HAProxy."""
        for name in ("a b.example.org", "a.*.example.org", "*"):
            self.assertIn("subjectAltName", self.refusal(self.content(name)), name)
        for file in ("a b.pem", "a[b].pem", "\N{SNOWMAN}.pem", "*.pem"):
            self.assertIn("its name has other characters", self.refusal(self.content(), file))

    @given(st.binary())
    def test_nothing_raises_anything_else(self, content: bytes) -> None:
        """Whatever it is."""
        for each in (content, b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----" % content):
            self.assertRaises(MalformedError, bundle, "a.pem", each)


class LookTests(FolderTestCase):
    """All of it."""

    def test_each_file_is_for_itself(self) -> None:
        """Links are followed; what is no file, is too long, or leads nowhere, is told and keeps nobody waiting."""
        self.write("a.pem", self.content())
        self.write("half.pem", self.content()[:-40])
        self.write("long.pem", b"x" * (MOST_READ + 1))
        self.write(".hidden.pem", b"")
        self.write("a.pem.tmp", b"")
        (self.folder / "link.pem").symlink_to(self.folder / "a.pem")
        (self.folder / "nowhere.pem").symlink_to("nothing")
        os.mkfifo(self.folder / "pipe.pem")
        (self.folder / "folder.pem").mkdir()
        found = look(self.folder)
        self.assertEqual(set(found.bundles), {"a.pem", "link.pem"})
        self.assertEqual(set(found.faults), {"half.pem", "long.pem", "nowhere.pem", "pipe.pem", "folder.pem"})
        self.assertEqual(found.trouble, "")

    def test_one_that_is_gone_or_empty_says_nothing_of_its_files(self) -> None:
        """A file system that is not mounted looks like that."""
        self.assertIn("0 files", look(self.folder).trouble)
        self.assertIn("No such file", look(self.folder / "none").trouble)

    def test_what_has_not_changed_is_not_read_again(self) -> None:
        """By what is said of the files; another one in its place is."""
        path = self.write("a.pem", self.content())
        first = look(self.folder)
        self.assertIs(look(self.folder, first), first)
        self.write("b.pem", self.content("b.example.org")).rename(path)
        second = look(self.folder, first)
        self.assertEqual(second.bundles["a.pem"].names, ("b.example.org",))

    def test_what_could_not_be_read_is_read_again(self) -> None:
        """Although nothing says that it is different; what was read is not."""
        self.write("a.pem", self.content())
        self.write("b.pem", self.content("b.example.org"))
        asked, is_broken = list[str](), True

        def failing(path: PurePath, limit: int) -> bytes:
            asked.append(path.name)
            if is_broken and path.name == "b.pem":
                raise OSError(errno.EMFILE, "Too many open files")
            return read(path, limit)

        self.patch(certificates, "read", failing)
        first = look(self.folder)
        self.assertEqual(first.faults, {"b.pem": "it can not be read: Too many open files"})
        again, is_broken = look(self.folder, first), False
        self.assertEqual(again, first)
        found = look(self.folder, again)
        self.assertEqual((set(found.bundles), dict(found.faults)), ({"a.pem", "b.pem"}, {}))
        self.assertEqual(asked, ["a.pem", "b.pem", "b.pem", "b.pem"])
        self.assertIs(look(self.folder, found), found)

    def test_who_else_may_read_keys_or_write_is_told(self) -> None:
        """With what to do."""
        self.write("a.pem", self.content()).chmod(0o640)
        self.folder.chmod(0o777)
        said = look(self.folder).doubts
        self.assertEqual(["chmod 600" in each for each in said], [False, True])
        self.assertIn("everybody may write", said[0])

    def test_problems_are_those_of_the_beginning(self) -> None:
        """For `check`."""
        self.write("a.pem", self.content(expired=True))
        self.write("b.pem", b"-----BEGIN ")
        broken, ended = problems(self.folder, time.time())
        self.assertTrue(broken.startswith("b.pem: it ends in the middle"), broken)
        self.assertTrue(ended.startswith("a.pem: clients refuse it"), ended)
        [said] = problems(self.folder / "none", 0.0)
        self.assertTrue(said.endswith("none can not be read: No such file or directory"), said)


class KeptTests(SynchronousTestCase):
    """What is used from now on."""

    def test_what_works_is_kept_until_something_better_comes(self) -> None:
        """A file that is gone is not."""
        better, ended = attrs.evolve(USED, pem=b"new"), attrs.evolve(USED, pem=b"ended", ends=NOW)
        for folder, wanted in (
            (Folder({"a.pem": better}), better),
            (Folder({"a.pem": ended}), USED),
            (Folder(faults={"a.pem": "half"}), USED),
            (Folder(trouble="gone"), USED),
            (Folder({"b.pem": better}), None),
        ):
            self.assertEqual(kept({"a.pem": USED}, folder, NOW).get("a.pem"), wanted, folder)
        self.assertEqual(kept({}, Folder({"a.pem": ended}, {"b.pem": "half"}), NOW), {"a.pem": ended})
        self.assertEqual(kept({"a.pem": ended}, Folder({"a.pem": better}), NOW), {"a.pem": better})

    def test_an_end_is_told_before(self) -> None:
        """Two weeks, or a fifth of the time; and afterwards."""
        for ends, said in ((2 * SOON, ""), (0.9 * SOON, "renew it"), (-1.0, "clients refuse it")):
            one = attrs.evolve(USED, ends=NOW + ends)
            told = " ".join(sentences(Folder(), {"a.pem": one}, NOW))
            self.assertTrue(said in told and bool(said) == bool(told), told)
        short = attrs.evolve(USED, begins=NOW - 86_400.0, ends=NOW + 5 * 86_400.0)
        self.assertEqual(list(sentences(Folder(), {"a.pem": short}, NOW)), [])

    def test_it_is_told_what_is_used_instead(self) -> None:
        """Where something is."""
        ended = Folder({"a.pem": attrs.evolve(USED, pem=b"ended", ends=NOW)})
        for folder in (Folder(trouble="gone"), Folder(faults={"a.pem": "half"}), ended):
            self.assertIn("before", " ".join(sentences(folder, {"a.pem": USED}, NOW)))
        for folder in (Folder(trouble="gone"), Folder(faults={"a.pem": "half"})):
            self.assertNotIn("before", " ".join(sentences(folder, {}, NOW)))
