"""Tests for `realmgw subscribers generate`: the command as a process, and a repository that it asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase

from realmgw.repository.tokens import Tokens
from realmgw.test.checkout import PACKAGE
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.repository.site import READ_TOKEN, WRITE_TOKEN, SiteTestCase

TEMPLATE = "REPLACE_UENAME3.example.org: {address: REPLACE_IPV4_192.168.0.0}\n"


class GenerateTests(SiteTestCase):
    """Many subscribers for a repository."""

    tokens = Tokens(WRITE_TOKEN, READ_TOKEN)

    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for it
        """A template, a token, and a main file that names the repository."""
        yield super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.template = self.folder / "template"
        self.template.write_text(TEMPLATE)
        (self.folder / "token").write_text(WRITE_TOKEN)
        self.main = self.folder / "realmgw.yaml"
        self.main.write_text(f"{MINIMAL}repository: {{url: '{self.url}', token_file: token}}\n")

    @inlineCallbacks
    def generate(self, *options: str, count: int = 5) -> Any:
        """What the command says to output and errors, and its status."""
        words = (
            "-m",
            "realmgw.control.command.cli",
            "subscribers",
            "generate",
            str(self.template),
            "--count",
            str(count),
        )
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
        out, errors, status = yield getProcessOutputAndValue(sys.executable, [*words, *options], env=environment)
        return out.decode(), errors.decode(), status

    @inlineCallbacks
    def test_gives_them_to_the_repository_of_the_main_file(self) -> Any:
        """With its token; a second time nothing is new."""
        for changed, unchanged in ((5, 0), (0, 5)):
            out, errors, status = yield self.generate("--config", str(self.main), "--repository")
            told = f"sent to {self.url}: {changed} are new or different, {unchanged} were there already\n"
            self.assertEqual((out, errors, status), (told, "", 0))
        got = yield self.ask("GET", "/v1/subscribers/ue005.example.org", authorization=f"Bearer {READ_TOKEN}")
        self.assertEqual(got.value, {"address": "192.168.0.5"})

    @inlineCallbacks
    def test_gives_them_to_a_repository_of_the_command_line(self) -> Any:
        """No main file is needed; one that is named and not there is an error all the same."""
        where = ("--repository", self.url, "--token-file", str(self.folder / "token"), "--json")
        out, _, status = yield self.generate(*where)
        self.assertEqual((status, '"changed": 5' in out), (0, True))
        _, errors, status = yield self.generate(*where, "--config", str(self.folder / "none"))
        self.assertEqual((status, "there is no such file" in errors), (1, True))

    @inlineCallbacks
    def test_says_why_it_could_not(self) -> Any:
        """And how many the repository has; a token for reading does not do."""
        (self.folder / "token").write_text(READ_TOKEN)
        _, errors, status = yield self.generate("--config", str(self.main), "--repository")
        self.assertEqual(status, 5)
        self.assertRegex(errors, rf"^realmgw: {self.url}: POST /v1/import: 403 .*\(it has 0 of 5 subscribers\)\n$")
        _, errors, status = yield self.generate("--config", str(self.main), "--repository", "http://127.0.0.1:1")
        self.assertEqual((status, "refused" in errors), (5, True))

    @inlineCallbacks
    def test_sends_nothing_of_a_template_with_a_problem(self) -> Any:
        """It is told as for files."""
        self.template.write_text("a.example.org: {address: REPLACE_IPV4_192.168.0.0}\n")
        _, errors, status = yield self.generate("--config", str(self.main), "--repository")
        self.assertEqual((status, "a.example.org. is the same for numbers 1 and 5" in errors), (1, True), errors)


class ProgressTests(SynchronousTestCase):
    """How far the command has come."""

    def test_is_shown_to_whoever_looks(self) -> None:
        """At a terminal, and in no file."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "template").write_text(TEMPLATE)
        words = [
            sys.executable,
            "-m",
            "realmgw.control.command.cli",
            "subscribers",
            "generate",
            str(folder / "template"),
        ]
        words += ["--count", "3", "--no-reload", "--output"]
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
        subprocess.run([*words, str(folder / "a")], env=env, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
        os.close(theirs)
        self.assertIn(b"3/3", os.read(ours, 4096))
        done = subprocess.run([*words, str(folder / "b")], env=env, capture_output=True, check=True)
        self.assertEqual(done.stderr, b"")
