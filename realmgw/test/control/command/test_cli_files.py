"""Tests for `realmgw.control.command.cli`: commands that write subscriber files."""

from __future__ import annotations

from unittest.mock import Mock

from realmgw import config
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.control.command import cli, local
from realmgw.control.command.cli import IPV6_MODES
from realmgw.control.commands import CommandError, ExitStatus, NobodyThereError
from realmgw.test.control.command.test_cli import CliTestCase


class FileTests(CliTestCase):
    """Commands that change files."""

    def test_adds_and_removes_a_subscriber(self) -> None:
        """In a file of its own, without a gateway."""
        arguments = ("--config", str(self.path), "--no-reload")
        path = self.folder / "subscribers.d" / "a.example.org.yaml"
        added = self.run_command(
            "subscribers",
            "add",
            "a.example.org",
            "--address",
            "192.168.0.1",
            "--service",
            "w.example.org:tcp:80",
            *arguments,
        )
        self.assertEqual(added, (0, [f"written: {path}"]))
        settings = config.load(self.path)
        registry = local.subscribers(settings)
        self.assertEqual((registry.problems, registry.directory.services["w.example.org."].terms.port), ((), 80))
        self.assertEqual(
            self.run_command("subscribers", "remove", "a.example.org", *arguments), (0, [f"removed: {path}"])
        )
        self.assertEqual(self.run_command("subscribers", "remove", "a.example.org", *arguments)[0], 4)

    def test_adds_a_subscriber_of_both_families(self) -> None:
        """With how it is answered; one of each family, and no more."""
        arguments = ("subscribers", "add", "a.example.org", "--config", str(self.path), "--no-reload")
        addresses = ("--address", "fd00::1", "--address", "192.168.0.1")
        status, lines = self.run_command(*arguments, *addresses, "--address", "fd00::2")
        self.assertEqual((status, len(lines)), (1, 1), lines)
        self.assertEqual(self.run_command(*arguments, *addresses, "--ipv6", "pool")[0], 0)
        [host] = local.subscribers(config.load(self.path)).directory.hosts.values()
        self.assertEqual((host.address, host.address6), (bytes([192, 168, 0, 1]), bytes.fromhex(f"fd{1:030x}")))
        self.assertIs(host.profile.ipv6, Ipv6Mode.POOL)

    def test_who_is_not_reached_does_not_reload(self) -> None:
        """What was written is said all the same, and why; where nobody is, whoever starts reads it."""
        where = ("--config", str(self.path))
        words = ("subscribers", "add", "a.example.org", "--address", "192.168.0.1", *where)
        path = self.folder / "subscribers.d" / "a.example.org.yaml"
        reloaded = {"status": "applied", "problems": [], "restored": [], "flows_ended": 0, "waited": 0.0,
                    "seconds": 0.1, "summary": "1 host more"}  # fmt: skip
        applied = "applied in 0.100 s: 1 host more"
        for said, expected in (
            (NobodyThereError("no gateway runs"), (0, [])),
            (CommandError(ExitStatus.NO_GATEWAY, "be root"), (3, ["realmgw: be root"])),
            (CommandError(ExitStatus.FAILED, "no memory"), (5, ["realmgw: no memory"])),
            (reloaded, (0, [applied])),
            ({**reloaded, "problems": ["p"]}, (1, ["problem: p", applied])),
            ({**reloaded, "status": "failed"}, (5, [applied.replace("applied", "failed")])),
        ):
            asked = Mock(side_effect=[said])
            self.patch(cli, "ask", asked)
            status, lines = self.run_command(*words)
            self.assertEqual((status, lines), (expected[0], [f"written: {path}", *expected[1]]), said)
            self.assertEqual(asked.call_args.args[1], "reload")
            path.unlink()

    def test_removes_nobody_else(self) -> None:
        """Who is in the file is what counts, not how it is called; what can not be read stays as well."""
        path = self.folder / "subscribers.d" / "a.example.org.yaml"
        one, other = (f"{label}.example.org: {{address: 192.168.0.{ord(label)}}}\n" for label in "ab")
        words = ("subscribers", "remove", "A.example.org.", "--config", str(self.path), "--no-reload")
        many = "".join(f"c{number}.example.org: {{address: 192.168.1.{number}}}\n" for number in range(9))
        for text, why in (
            (one + other, "it has a.example.org., b.example.org."),
            (other, "it has b.example.org."),
            (one + many, "it has a.example.org., c0.example.org., c1.example.org. and 7 more"),
            ("", "it has no host"),
            (one + "b.example.org: {}\n", "it has problems"),
            (one + one, "it has problems"),
        ):
            path.write_text(text)
            status, lines = self.run_command(*words)
            self.assertEqual((status, len(lines)), (1, 1), lines)
            self.assertIn(f"{path} is not of A.example.org. alone, {why}: ", lines[0])
            self.assertEqual(path.read_text(), text)
        path.unlink()
        path.symlink_to("/dev/null")
        self.assertEqual((self.run_command(*words)[0], path.is_symlink()), (5, True))
        path.unlink()
        path.write_text(one)
        self.assertEqual(self.run_command(*words), (0, [f"removed: {path}"]))

    def test_a_service_is_said_once(self) -> None:
        """However its name is written; a file has one protocol and one port of it. What is none is refused."""
        arguments = ("subscribers", "add", "a.example.org", "--address", "192.168.0.1", "--config", str(self.path))
        for services, expected in (
            (("w.example.org:tcp:80", "w.example.org:tcp:443"), 2),
            (("w.example.org:tcp:80", "V.example.org", "W.Example.org.:tcp:80"), 2),
            (("w.example.org:tcp:\N{SUPERSCRIPT TWO}",), 1),
            (("w.example.org:tcp:\N{ARABIC-INDIC DIGIT TWO}",), 1),
            (("w.example.org:tcp:" + 5000 * "9",), 1),
            (("w.example.org:tcp:80:", "v.example.org"), 2),
        ):
            more = [word for each in services for word in ("--service", each)]
            status, lines = self.run_command(*arguments, *more)
            self.assertEqual((status, len(lines)), (expected, 1), lines)
            self.assertEqual(list((self.folder / "subscribers.d").iterdir()), [])

    def test_answers_that_can_be_chosen_are_those_of_the_settings(self) -> None:
        """In their order; the command does not import them for it."""
        self.assertEqual(list(IPV6_MODES), [each.value for each in Ipv6Mode])

    def test_adds_nothing_that_has_a_problem(self) -> None:
        """And says it as `check` would."""
        (self.folder / "subscribers.d" / "b.yaml").write_text("b.example.org: {address: 192.168.0.1}\n")
        for name, address in (
            ("a.example.org", "192.168.0.1"),
            ("a.example.net", "192.168.0.2"),
            ("c.example.org", "x"),
        ):
            status, lines = self.run_command(
                "subscribers", "add", name, "--address", address, "--config", str(self.path)
            )
            self.assertEqual((status, len(lines)), (1, 1), lines)
        self.assertEqual([path.name for path in (self.folder / "subscribers.d").iterdir()], ["b.yaml"])

    def test_generates_from_a_template(self) -> None:
        """Into the folder that it is told."""
        template = self.folder / "template"
        template.write_text("REPLACE_UENAME3.example.org: {address: REPLACE_IPV4_192.168.0.0}\n")
        output = self.folder / "made"
        status, _ = self.run_command(
            "subscribers", "generate", str(template), "--count", "3", "--output", str(output), "--no-reload"
        )
        text = "".join(path.read_text() for path in output.iterdir())
        self.assertEqual((status, text.count("192.168.0."), "ue003" in text), (0, 3, True))
