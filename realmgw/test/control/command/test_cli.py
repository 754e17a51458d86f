"""Tests for `realmgw.control.command.cli`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

from twisted.trial.unittest import SynchronousTestCase

from realmgw import __version__, config
from realmgw.control import readable
from realmgw.control.command.arguments import Usual
from realmgw.control.command.asking import at_gateway
from realmgw.control.command.cli import main
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.datapath import forwarding
from realmgw.system.unix_http import CONTROL_SOCKET
from realmgw.test.checkout import CHECKOUT
from realmgw.test.config.test_schema import MINIMAL

UNSEEN = (
    "Not looked at: interfaces, addresses, ports, limits and the kernel: this machine is not the gateway, it has"
    " neither the interfaces wan0, lan0 nor an address that DNS listens at."
)
"""What can be said elsewhere."""
QUICK_WITHOUT = {
    "OpenSSL", "cryptography", "dns", "importlib.metadata", "pyroute2", "realmgw.config", "realmgw.datapath", "rich",
    "ruamel", "twisted", "zope.interface",
}  # fmt: skip
"""What takes its time to be imported."""
QUICK_MODULES = 330
"""Fewer than so many modules are loaded for a question; the standard library's and click's are 220 or so."""


class CliTestCase(SynchronousTestCase):
    """Runs command lines."""

    def setUp(self) -> None:
        """A main file with a folder of subscribers."""
        self.folder = Path(self.mktemp())
        (self.folder / "subscribers.d").mkdir(parents=True)
        self.path = self.folder / "realmgw.yaml"
        self.path.write_text(MINIMAL + "subscribers: [subscribers.d]\n")

    def run_command(self, *arguments: str) -> tuple[int, list[str]]:
        """The exit status, and what was printed."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = main(arguments)
        return status, output.getvalue().splitlines()


class CheckTests(CliTestCase):
    """`realmgw check`."""

    def test_says_what_was_checked_when_all_is_well(self) -> None:
        """And exits with 0."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {address: 192.168.0.1}\n")
        self.assertEqual(
            self.run_command("check", "--config", str(self.path)),
            (
                0,
                [
                    f"{self.path}: example.org.; 256 addresses in the circular pool",
                    forwarding.told(config.load(self.path)),
                    f"{self.folder}/subscribers.d: 1 hosts, 1 services",
                    UNSEEN,
                    "No problems.",
                ],
            ),
        )

    def test_says_what_has_no_effect_yet(self) -> None:
        """Keys of the main file, and of subscribers: nobody shall rely on them. Firewall rules have one."""
        rule = "{priority: 1, direction: INGRESS, target: DROP}"
        (self.folder / "subscribers.d" / "a.yaml").write_text(
            f"a.example.org: {{address: 192.168.0.1, firewall: {{user: [{rule}]}}}}\n"
        )
        self.path.write_text(self.path.read_text() + "datapath: {network_api: 'http://203.0.113.9/'}\n")
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (0, "No problems."))
        self.assertIn("Read and checked, but without effect in this version: datapath.network_api.", lines)
        self.assertNotIn("FIREWALL", "".join(lines))
        (self.folder / "subscribers.d" / "b.yaml").write_text(
            "b.example.org: {address: 192.168.0.2, services: {b.example.org: , x.example.org: {carriergrade: true}}}\n"
            "c.example.org: {address: 192.168.0.3, carriergrade: [192.168.0.4]}\n"
        )
        told = "without effect in this version: carriergrade of 2 hosts."
        self.assertIn(f"Read and checked, but {told}", self.run_command("check", "--config", str(self.path))[1])

    def test_says_what_has_another_name_by_now(self) -> None:
        """It is read as before; both names together are one too many."""
        text = self.path.read_text()
        self.path.write_text(text + "allocation: {company: 0.5}\n")
        line = len(text.splitlines()) + 1
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (0, "No problems."))
        self.assertIn(
            f"{self.path}:{line}:14: the key 'company' is 'hold_after_use' now: write that before the next release",
            lines,
        )
        settings = config.load(self.path)
        self.assertEqual(settings.allocation.hold_after_use, 0.5)
        self.assertNotIn("company", config.dump(settings))
        self.path.write_text(text + "allocation: {company: 0.5, hold_after_use: 0.5}\n")
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (1, "1 problem."))
        self.assertIn("stands twice", lines[0])

    def test_reads_subscribers_whatever_is_wrong_with_the_main_file(self) -> None:
        """As far as its zones are good; what was left out is told."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {address: 192.168.0.1}\nb: {}\n")
        self.path.write_text(self.path.read_text() + "allocation: {linger: soon}\n")
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (1, "2 problems."))
        self.assertIn("'soon' does not do", lines[0])
        self.assertTrue(lines[1].startswith(f"{self.folder}/subscribers.d/a.yaml:2:4: "), lines)
        self.assertIn("The subscriber files were checked without allocation of the main file.", lines)

    def test_counts_the_hosts_whatever_is_wrong_with_the_main_file(self) -> None:
        """One bad key does not make them none."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {address: 192.168.0.1}\n")
        self.path.write_text(self.path.read_text() + "allocation: {linger: soon}\n")
        _, lines = self.run_command("check", "--config", str(self.path))
        self.assertIn(f"{self.folder}/subscribers.d: 1 hosts, 1 services", lines)

    def test_tells_the_same_as_json(self) -> None:
        """For programs."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {address: 192.168.0.1}\n")
        status, lines = self.run_command("check", "--json", "--config", str(self.path))
        found = json.loads("\n".join(lines))
        self.assertEqual((status, found["problems"], found["hosts"]), (0, [], 1))
        self.assertTrue(found["notes"][0].startswith("Not looked at: "))
        self.path.write_text("name: a..b\n")
        status, lines = self.run_command("--json", "check", "--config", str(self.path))
        found = json.loads("\n".join(lines))
        self.assertEqual((status, len(found["problems"]), found["hosts"]), (1, 5, None))

    def test_prints_every_problem_of_the_main_file(self) -> None:
        """And exits with 1."""
        self.path.write_text("name: a..b\n")
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (1, "5 problems."))
        self.assertTrue(all(line.startswith(f"{self.path}:1:") for line in lines[:5]))
        self.assertIn("The subscriber files were not checked", lines[5])

    def test_prints_every_problem_of_the_subscriber_files(self) -> None:
        """And what was good."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {}\n")
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (1, "1 problem."))
        self.assertTrue(lines[0].startswith(f"{self.folder}/subscribers.d/a.yaml:1:16: "))
        self.assertIn("0 hosts, 0 services", lines[3])

    def test_says_what_the_gateways_own_user_can_not_read(self) -> None:
        """Root reads everything; what is started as the user whose the state folder is does not."""
        for name, value in (("is_root", True), ("stranger", 1)):
            self.patch(readable, name, Mock(return_value=value))
        self.path.chmod(0o600)
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (1, "1 problem."))
        self.assertRegex(lines[0], " can not be (read|looked into) by user ")


class CommandLineTests(CliTestCase):
    """The command line itself."""

    def test_tells_the_version(self) -> None:
        """Without a command."""
        self.assertEqual(self.run_command("--version"), (0, [f"realmgw {__version__}"]))

    def test_the_usual_options_may_stand_anywhere(self) -> None:
        """Before the command, behind it, and between its words."""
        where = ("--config", str(self.path))
        for words in (
            (*where, "show", "config"),
            ("show", *where, "config"),
            ("show", "config", *where),
            (*where, "show", "--json", "config"),
        ):
            status, lines = self.run_command(*words)
            self.assertEqual(status, 0, words)
            self.assertIn("gw.example.org.", "".join(lines))

    def test_what_was_meant_is_guessed(self) -> None:
        """Commands, their words, and options."""
        for words, hint in (
            (("statsu",), "Did you mean 'status'?"),
            (("subscribers", "lits"), "Did you mean 'list'?"),
            (("completion", "basch"), "'basch' is not one of 'bash', 'fish', 'zsh'"),
            (("reload", "--confg", "x"), "Did you mean one of: '--config'"),
            (("pool", "--no-such-thing-at-all"), "No such option '--no-such-thing-at-all'"),
            (("reload", "--accept"), "Did you mean one of: '--accept-loss'"),
            (("pool", "all"), "unexpected extra argument (all)"),
        ):
            status, lines = self.run_command(*words)
            self.assertEqual(status, 2)
            self.assertIn(hint, lines[-1])
            self.assertTrue(lines[1].startswith("Try 'realmgw"))

    def test_a_wrong_command_line_exits_with_2(self) -> None:
        """With the usage."""
        for arguments in ([], ["chek"], ["check", "--confog", "x"]):
            status, lines = self.run_command(*arguments)
            self.assertEqual(status, 2)
            self.assertTrue(lines[0].startswith("Usage: realmgw"))

    def test_what_a_gateway_needs_is_not_left_out(self) -> None:
        """No gateway is asked, be there one or not: words, options, and their values."""
        for words, missing in (
            (("subscribers", "show"), "Missing argument 'NAME'."),
            (("reputation", "set", "192.0.2.1"), "Missing argument 'REPUTATION'."),
            (("explain", "packet", "192.0.2.1", "198.51.100.1"), "Missing argument 'PROTOCOL'."),
            (("explain", "name", "a.example.org"), "Missing option '--resolver'."),
            (("explain", "name", "a.example.org", "--resolver"), "Option '--resolver' requires an argument."),
            (("reservations", "--limit"), "Option '--limit' requires an argument."),
        ):
            status, lines = self.run_command("--socket", str(self.folder / "none.sock"), *words)
            self.assertEqual((status, lines[-1]), (2, f"Error: {missing}"))

    def test_what_is_said_is_not_empty(self) -> None:
        """As a variable that nobody has set: no gateway is asked for more than was meant, no folder is this one."""
        for words, which in (
            (("flows", "kill", "--yes", "--host", "", "--protocol", "tcp"), "'--host'"),
            (("flows", "history", "--host="), "'--host'"),
            (("flows", "watch", "--client", ""), "'--client'"),
            (("log", "--limit", ""), "'--limit'"),
            (("reputation", "forget", ""), "'WHO'"),
            (("top", "--match", ""), "'--match'"),
            (("capture", "--flow", "192.0.2.1", ""), "'--flow'"),
            (("status", "--config", ""), "'--config'"),
            (("--socket", "", "status"), "'--socket'"),
            (("subscribers", "add", "a", "--address", "192.0.2.1", "--service", "a", "--service", ""), "'--service'"),
            (("subscribers", "generate", "FILE", "--count", "1", "--repository", ""), "'--repository'"),
            (("migrate", ""), "'FOLDER'"),
        ):
            status, lines = self.run_command(*words)
            self.assertEqual(status, 2, words)
            self.assertTrue(lines[-1].startswith(f"Error: Invalid value for {which}"), lines)
            self.assertTrue(lines[-1].endswith(": it is empty"), lines)


class QuickTests(CliTestCase):
    """What is loaded for a command."""

    def test_questions_are_quick(self) -> None:
        """Nothing is loaded that help, completion, or a question at a socket has no need of."""
        code = (
            "import sys; from realmgw.control.command.cli import main; main(sys.argv[1:]);"
            f"print(len(sys.modules), *sorted({QUICK_WITHOUT} & set(sys.modules)))"
        )
        for words in (
            ("--help",),
            ("--version",),
            ("subscribers", "add", "--help"),
            ("completion", "bash"),
            ("status", "--socket", str(self.folder / "none.sock")),
        ):
            done = subprocess.run(
                [sys.executable, "-c", code, *words], env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            count, *found = done.stdout.splitlines()[-1].split()
            self.assertEqual(found, [], words)
            self.assertLess(int(count), QUICK_MODULES, words)


class PlaceTests(CliTestCase):
    """Which gateway is asked where no socket is named."""

    def asked(self, *refused: ExitStatus) -> list[str]:
        """At which sockets, if the first ones end so."""
        ends, asked = list(refused), list[str]()

        def ask(socket: Path, main: Path | None) -> None:
            self.assertEqual(main, self.path)
            asked.append(str(socket))
            if ends:
                raise CommandError(ends.pop(0), "refused")

        with contextlib.suppress(CommandError):
            at_gateway(Usual(config=self.path), ask)
        return asked

    def test_usual_place_comes_first(self) -> None:
        """What the main file says is not needed where its gateway answers, or refuses for another reason."""
        self.path.write_text("what is no main file")
        self.assertEqual(self.asked(), [str(CONTROL_SOCKET)])
        self.assertEqual(self.asked(ExitStatus.NOT_FOUND), [str(CONTROL_SOCKET)])

    def test_place_of_the_main_file_comes_next(self) -> None:
        """Nobody is at the usual place, or another main file's gateway; nobody is asked twice."""
        self.assertEqual(self.asked(ExitStatus.NO_GATEWAY), [str(CONTROL_SOCKET)])
        self.path.write_text(MINIMAL + "control: {socket: own.sock}\n")
        places = [str(CONTROL_SOCKET), str(self.folder / "own.sock")]
        self.assertEqual(self.asked(ExitStatus.NO_GATEWAY), places)
        self.assertEqual(self.asked(ExitStatus.NO_GATEWAY, ExitStatus.NO_GATEWAY), places)
        for refused in (ExitStatus.NOT_FOUND, ExitStatus.FAILED):  # by the gateway that is meant
            self.assertEqual(self.asked(refused), places[:1])


class PurgeTests(CliTestCase):
    """`realmgw purge`, where no gateway runs."""

    def purge(self, *arguments: str, typed: str | None = None) -> tuple[int, list[str]]:
        """Runs it, at a terminal where something is typed, or without one."""

        class Terminal(io.StringIO):
            """Where somebody sits, or nobody."""

            def isatty(self) -> bool:
                return typed is not None

        self.patch(sys, "stdin", Terminal(typed or ""))
        return self.run_command("purge", "--config", str(self.path), *arguments)

    def test_nobody_is_asked_without_a_terminal(self) -> None:
        """Whether a gateway would be asked or not."""
        for arguments in ((), ("--offline",), ("--offline", "--table", "t")):
            status, lines = self.purge(*arguments)
            self.assertEqual((status, len(lines)), (2, 1))
            self.assertIn("nobody is at a terminal to be asked: write --yes; nothing was done", lines[0])

    def test_another_name_ends_it(self) -> None:
        """Nothing was looked at by then."""
        for typed in ("", "\n", "other.example.org\n", "realmgw\n"):
            status, lines = self.purge("--offline", typed=typed)
            self.assertEqual((status, "that is not gw.example.org: nothing was done" in lines[-1]), (2, True))

    def test_words_that_can_not_be_tables_are_refused(self) -> None:
        """With what is wrong with them."""
        status, lines = self.purge("--offline", "--table", "counter", "--yes")
        self.assertEqual((status, "nft's own language" in lines[0]), (2, True))
        self.assertEqual(self.purge("--table", "t", "--yes")[0], 2)

    def test_main_file_that_is_missing_is_an_error(self) -> None:
        """No other one is taken."""
        self.path.unlink()
        status, lines = self.purge("--offline", "--yes")
        self.assertEqual((status, str(self.path) in lines[0]), (1, True))


class AskingTests(CliTestCase):
    """Commands that want a running gateway."""

    def test_say_that_none_runs(self) -> None:
        """And end with 3."""
        where = ("--config", str(self.path), "--socket", str(self.folder / "none.sock"))
        for words in (
            ("status",),
            ("reload",),
            ("plan",),
            ("reputation", "list"),
            ("reputation", "forget", "192.0.2.1"),
            ("explain", "name", "a.example.org", "--resolver", "192.0.2.1"),
            ("subscribers", "show", "\udcff"),  # an octet that is no text is the gateway's to refuse
        ):
            status, lines = self.run_command(*words, *where)
            self.assertEqual((status, len(lines)), (3, 1), lines)

    def test_main_file_that_can_not_be_read_is_an_error_of_every_command(self) -> None:
        """Nobody else's gateway is asked instead, wherever it listens; what is missing is named, nothing is written."""
        missing, template, made = (self.folder / name for name in ("nope.yaml", "template", "made"))
        template.write_text("REPLACE_UENAME3.example.org: {address: REPLACE_IPV4_192.168.0.0}\n")
        for words in (
            ("status",),
            ("reload",),
            ("purge",),
            ("plan",),
            ("pool",),
            ("show", "config"),
            ("show", "config", "--running"),
            ("subscribers", "list"),
            ("subscribers", "show", "a"),
            ("subscribers", "add", "a.example.org", "--address", "192.168.0.1"),
            ("subscribers", "remove", "a.example.org"),
            ("subscribers", "generate", str(self.path), "--count", "1", "--repository", "http://192.0.2.1"),
            ("subscribers", "generate", str(template), "--count", "1", "--output", str(made)),
            ("subscribers", "generate", str(template), "--count", "1", "--output", str(made), "--no-reload"),
            ("explain", "packet", "192.0.2.1", "198.51.100.1", "tcp"),
        ):
            for socket in ((), ("--socket", str(self.folder / "none.sock"))):
                status, lines = self.run_command(*words, "--config", str(missing), *socket)
                self.assertEqual((status, len(lines)), (1, 1), (words, lines))
                self.assertIn(f"{missing}:1:1: there is no such file", lines[0])
        self.assertEqual(self.run_command("check", "--config", str(missing))[0], 1)
        self.assertFalse(made.exists())

    def test_written_configuration_is_shown_without_one(self) -> None:
        """With every key that has a value."""
        status, lines = self.run_command("show", "config", "--config", str(self.path))
        self.assertEqual((status, lines[0]), (0, "name: gw.example.org."))
