"""Tests for `realmgw.config.references`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.files import load
from realmgw.config.namelists import Verdict
from realmgw.config.references import lists, loading_all, parse_secrets
from realmgw.config.steps import Blocking, finish
from realmgw.errors import ConfigurationError, MalformedError
from realmgw.test.config.test_schema import MINIMAL

SECRET = bytes(range(16))


class SecretsTests(SynchronousTestCase):
    """A file of shared secrets."""

    def test_has_one_on_each_line(self) -> None:
        """Comments and empty lines do not count."""
        text = f"# since May\n{SECRET.hex()}\n\n{'0' * 32}  # the one before\n"
        self.assertEqual(parse_secrets(text), (SECRET, bytes(16)))

    def test_says_which_line_is_wrong(self) -> None:
        """Too short, too long, no digits."""
        for line in ("00", "0" * 34, "x" * 32):
            error = self.assertRaises(MalformedError, parse_secrets, f"{SECRET.hex()}\n{line}\n")
            self.assertIn("line 2", str(error))


class ListTests(SynchronousTestCase):
    """Lists of names."""

    def setUp(self) -> None:
        """A main file that names two."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        lists = "{name: a, file: a.hosts}, {name: b, file: b.rpz, form: rpz}"
        main = self.folder / "realmgw.yaml"
        main.write_text(MINIMAL.replace("dns: {", f"dns: {{forward: {{lists: [{lists}]}}, "))
        self.settings = load(main)

    def test_lists_stand_beside_the_main_file(self) -> None:
        """Where it names them, and are read from there."""
        (self.folder / "a.hosts").write_text("a.test\n")
        (self.folder / "b.rpz").write_text("b.test CNAME .\n")
        names = [dict(each.names) for each in finish(lists(self.settings))]
        self.assertEqual(names, [{"a.test": Verdict.NXDOMAIN}, {"b.test": Verdict.NXDOMAIN}])

    def test_all_that_is_wrong_is_told(self) -> None:
        """Of every list, with its file and line; a pipe is not waited for."""
        (self.folder / "a.hosts").write_text("a.test\n\n192.0.2.1 b.test\n")
        os.mkfifo(self.folder / "b.rpz")
        lines = str(self.assertRaises(ConfigurationError, finish, lists(self.settings))).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("a.hosts:3:1: '192.0.2.1' is no address that leads nowhere", lines[0])
        self.assertIn("b.rpz can not be read: it is not a regular file, but a pipe", lines[1])


class LoadTests(SynchronousTestCase):
    """The main file with what it names."""

    def setUp(self) -> None:
        """A main file that names a file of secrets."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.main, self.secrets = folder / "realmgw.yaml", folder / "secrets"
        self.main.write_text(MINIMAL.replace("dns: {", "dns: {cookies: {secret_file: secrets}, "))

    def problem(self) -> str:
        """Why it can not be used."""
        return str(self.assertRaises(ConfigurationError, finish, loading_all(self.main)))

    def test_reads_the_secrets(self) -> None:
        """Beside the main file, where it names them."""
        self.secrets.write_text(SECRET.hex())
        self.assertEqual(finish(loading_all(self.main)).secrets.cookies, (SECRET,))

    def test_whatever_does_not_answer_is_a_problem(self) -> None:
        """The main file, any folder of drop-ins, the secrets: no other error comes of it, and its place is named."""
        self.secrets.write_text(SECRET.hex())
        asked: list[Blocking] = []
        late = OSError(errno.ETIMEDOUT, "it has not answered")

        def answer(blocking: Blocking) -> object:
            asked.append(blocking)
            if len(asked) == silent:
                raise late
            return blocking.call()

        silent = 0
        finish(loading_all(self.main), answer)
        for silent in range(1, len(asked) + 1):
            asked.clear()
            error = self.assertRaises(ConfigurationError, finish, loading_all(self.main), answer)
            self.assertIn(f"{asked[silent - 1].where}", str(error))
            self.assertIn("can not be read: it has not answered", str(error))
        self.assertEqual({each.where for each in asked}, {str(self.main), str(self.secrets)})

    def test_file_that_can_not_be_used_is_a_problem(self) -> None:
        """It is not there, is no file, has no secret, or none that is one; nothing is waited for."""
        self.assertIn("can not be read: No such file", self.problem())
        self.secrets.write_text("# none\n")
        self.assertIn("there is no secret in it", self.problem())
        self.secrets.write_text("00")
        self.assertIn("line 1: a secret is 32 hexadecimal digits", self.problem())
        self.secrets.write_bytes(b"\xff")
        self.assertTrue(self.problem().endswith("secrets: it is no text"))
        self.secrets.unlink()
        os.mkfifo(self.secrets)
        self.assertIn("not a regular file, but a pipe", self.problem())
