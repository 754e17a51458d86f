"""Tests for `realmgw.synnode.files`."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import ConfigurationError
from realmgw.synnode.files import load
from realmgw.synnode.settings import CONTROL, Answer
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT

LEAST = "outside: [wan0]\nguarded: [203.0.113.0/24, '2001:db8::/48']\n"


class LoadTests(SynchronousTestCase):
    """`load`."""

    def load(self, text: str) -> object:
        """The settings of a main file."""
        self.path = Path(self.mktemp())
        self.path.write_text(text)
        return load(self.path)

    def test_two_keys_are_enough(self) -> None:
        """Everything else has a default."""
        self.load(LEAST)
        settings = load(self.path)
        self.assertEqual((settings.outside, settings.listen, settings.default), (("wan0",), (CONTROL,), Answer()))

    def test_paths_start_at_the_files_folder(self) -> None:
        """Those of sections, too."""
        self.load(f"{LEAST}state: kept\ncontrol: {{socket: run/sock}}\ntls: {{certificate_file: a, key_file: /b}}\n")
        settings, folder = load(self.path), self.path.parent
        assert settings.tls is not None
        found = [settings.state, settings.control.socket, settings.tls.certificate_file, settings.tls.key_file]
        self.assertEqual(found, [folder / "kept", folder / "run/sock", folder / "a", Path("/b")])

    def test_every_problem_is_told_with_its_place(self) -> None:
        """All at once, and what to write instead."""
        text = (
            "outside: []\nguarded: [203.0.113.1/24]\ndefault: {mss: 0, window_scale: 15}\ntable: table\n"
            "listen: [0.0.0.0]\nclient: []\n"
        )
        with self.assertRaises(ConfigurationError) as caught:
            self.load(text)
        places = [problem.removeprefix(f"{self.path}:").split(": ")[0] for problem in caught.exception.problems]
        self.assertEqual(places, ["1:10", "2:11", "3:16", "3:33", "4:8", "5:10", "6:1"])
        self.assertIn("did you mean 'clients'", caught.exception.problems[-1])

    def test_what_nobody_could_use_is_told(self) -> None:
        """Where no gateway may connect, and nobody may ask for metrics; and who may where there is no place."""
        text = (
            "listen: [127.0.0.1, 192.0.2.1, '2001:db8::1']\nclients: [127.0.0.1, '2001:db8::/32']\n"
            "metrics:\n  listen: [192.0.2.1]\n"
        )
        with self.assertRaises(ConfigurationError) as caught:
            self.load(LEAST + text)
        told = [problem.removeprefix(f"{self.path}:") for problem in caught.exception.problems]
        self.assertEqual([each.split(": ")[0] for each in told], ["3:21", "6:12"])
        self.assertIn("no gateway may connect to 192.0.2.1: write those who may in 'clients'", told[0])
        self.assertIn("nobody may ask at 192.0.2.1", told[1])
        with self.assertRaises(ConfigurationError) as caught:
            self.load(f"{LEAST}metrics: {{clients: [192.0.2.0/24]}}\n")
        self.assertIn(":3:11: 'clients' is of no use without 'listen'", str(caught.exception))
        self.load(f"{LEAST}listen: [192.0.2.1]\nclients: [192.0.2.0/24]\nmetrics: {{listen: [127.0.0.1]}}\n")

    def test_what_could_not_be_listened_at_twice_is_told(self) -> None:
        """Addresses however they are written, sockets by whatever folder's name, and the files beside these."""
        folder = Path(self.mktemp()).absolute()
        (folder / "run").mkdir(parents=True)
        (folder / "var").symlink_to("run")
        clients = "clients: [192.0.2.0/24, '2001:db8::/32', 127.0.0.1]\n"
        at, sock = "127.0.0.1 port 12345 already", f"{folder}/run/a.sock"
        for text, where, said in (
            (f"{clients}listen: ['2001:db8::1', '[2001:db8:0:0::1]:12345']", "4:25", "2001:db8::1 port 12345 already"),
            ("metrics: {listen: ['127.0.0.1:12345']}", "3:20", at),
            ("listen: [127.0.0.1]\nmetrics: {listen: ['127.0.0.1:12345']}", "4:20", at),
            ("metrics: {listen: [127.0.0.1, '127.0.0.1:12346']}", "3:31", "127.0.0.1 port 12346 already"),
            (f"metrics: {{listen: [{sock}, {folder}/var/a.sock]}}", f"3:{22 + len(sock)}", "another one of the node's"),
            (f"metrics: {{listen: [{sock}]}}\ncontrol: {{socket: {folder}/var/a.sock}}", "3:20", "another one"),
            (f"metrics: {{listen: [{sock}.held]}}\ncontrol: {{socket: {sock}}}", "3:20", "another one"),
            (f"metrics: {{listen: [{folder}/run/../run/a.sock]}}\ncontrol: {{socket: {sock}}}", "3:20", "another one"),
        ):  # fmt: skip
            with self.assertRaises(ConfigurationError) as caught:
                self.load(f"{LEAST}{text}\n")
            [problem] = caught.exception.problems
            self.assertTrue(problem.startswith(f"{self.path}:{where}: "), problem)
            self.assertIn(said, problem)
        self.load(f"{LEAST}metrics: {{listen: [127.0.0.1, {sock}, {folder}/a.sock]}}\n")

    def test_an_empty_file_and_none_are_told(self) -> None:
        """With what is needed."""
        with self.assertRaises(ConfigurationError) as caught:
            self.load("")
        self.assertIn("the file is empty: write outside, guarded", str(caught.exception))
        with self.assertRaises(ConfigurationError) as caught:
            load(Path(self.mktemp()))
        self.assertIn("there is no such file", str(caught.exception))

    def test_what_is_documented_can_be_loaded(self) -> None:
        """The example, and what stands in the page."""
        load(CHECKOUT / "conf" / "synproxy.yaml")
        text = (CHECKOUT / "docs" / "synproxy.md").read_text()
        blocks = [each for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "guarded:" in each]
        self.assertGreater(len(blocks), 0)
        for block in blocks:
            self.load(block)

    test_what_is_documented_can_be_loaded.skip = NO_CHECKOUT  # type: ignore[attr-defined]  # trial's way
