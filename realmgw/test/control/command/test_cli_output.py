"""Tests for `realmgw.system.output`, and for what the process makes of its streams and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from realmgw.test.checkout import CHECKOUT
from realmgw.test.control.command.test_cli import CliTestCase

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
COMMAND = [sys.executable, "-m", "realmgw.control.command.cli"]


class OutputTests(CliTestCase):
    """A command whose output nobody takes."""

    def process(self, output: Any, *arguments: str, errors: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        """A command as a process of its own."""
        return subprocess.Popen([*COMMAND, *arguments], stdout=output, stderr=errors, text=True, env=ENVIRONMENT)

    def test_a_reader_that_has_gone_is_no_fault(self) -> None:
        """The command ends as other programs do, and says nothing; help, too."""
        for words in (("show", "config", "--config", str(self.path)), ("--help",), ("completion", "fish")):
            theirs, ours = os.pipe()
            os.close(theirs)
            process = self.process(ours, *words)
            os.close(ours)
            _, said = process.communicate(timeout=60)
            self.assertEqual((process.returncode, said), (128 + signal.SIGPIPE, ""), words)

    def test_a_disk_that_is_full_is_told(self) -> None:
        """In one line, with a status of its own; if that can not be told either, the status remains."""
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            for words in (("show", "config", "--config", str(self.path)), ("--version",)):
                process = self.process(full, *words)
                _, said = process.communicate(timeout=60)
                self.assertEqual(
                    (process.returncode, said),
                    (5, "realmgw: the output can not be written: No space left on device\n"),
                )
                self.assertEqual(self.process(full, *words, errors=full).wait(60), 5)

    def test_a_stream_that_is_closed_is_no_fault(self) -> None:
        """Whichever it is: what would be written there is written nowhere, and nobody is there to be asked."""
        none = ("--socket", str(self.folder / "none.sock"))
        for words, closed, status in (
            (("show", "config", "--config", str(self.path)), ">&-", 0),
            (("--help",), ">&-", 0),
            (("purge", *none), "<&-", 2),
            (("log", "--follow", *none), ">&-", 3),
            (("health", *none), "2>&-", 3),
            (("status", "--watch", *none), "<&- >&- 2>&-", 3),
        ):
            line = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *words]
            done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, status, (words, done.stderr))
            self.assertNotIn("Traceback", done.stderr)
            if "2>&-" in closed:
                self.assertEqual(done.stdout, "")  # where errors can not be told, nothing stands in their place

    def test_lines_go_nowhere_where_the_output_is_closed(self) -> None:
        """Of commands that print theirs as they come, too."""
        code = "from realmgw.control.command import live\nfrom realmgw.control.commands import *\n"
        code += (
            "def fetch(many=[]):\n many.append(1)\n if len(many) > 2: raise CommandError(ExitStatus.FAILED, 'over')\n"
        )
        code += "def watch(): live.repeat(fetch, lambda _: ['line'], 0.01, as_json=False)\n"
        code += "from realmgw.system.output import *\ntry: guarded(watch, 'p')\n"
        code += "except CommandError as error: complain(str(error), 5, 'p')\n"
        line = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", code]
        done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "p: over\n")

    def test_the_node_is_not_another(self) -> None:
        """`realmgw-synproxy` ends as `realmgw` does, with a full disk and a reader that has gone."""
        node = [sys.executable, "-m", "realmgw.synnode.command"]
        for line, status, said in (
            (
                'exec "$@" --help > /dev/full',
                5,
                "realmgw-synproxy: the output can not be written: No space left on device\n",
            ),
            ('{ "$@" --help; echo $? >&2; } | true', 0, "141\n"),
            ('exec "$@" --help >&-', 0, ""),
            ('exec "$@" --nonsense 2>&-', 2, ""),
        ):
            argv = ["sh", "-c", line, "sh", *node]
            done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (status, said), line)

    def test_a_main_file_that_can_not_be_looked_for_is_told(self) -> None:
        """By its name: it is not the output that fails, whatever command it is."""
        name = "/" + "x" * 300
        for words in (("status",), ("check",), ("init", "--zone", "example.org", "--yes")):
            status, lines = self.run_command(*words, "--config", name)
            self.assertNotEqual(status, 0)
            said = "\n".join(lines)
            self.assertIn(f"{name}: File name too long" if words[0] == "init" else "File name too long", said)
            self.assertNotIn("output", said)


class StartTests(CliTestCase):
    """`realmgw.control.command.start`, in a process of its own."""

    def run_code(self, code: str) -> subprocess.CompletedProcess[str]:
        """What becomes of it."""
        return subprocess.run(
            [sys.executable, "-c", f"import builtins, os, signal, sys\n{code}"],
            env=ENVIRONMENT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def test_a_signal_while_modules_are_loaded_is_the_end(self) -> None:
        """Without a word."""
        done = self.run_code(
            "from realmgw.control.command.start import main\n"
            "real = builtins.__import__\n"
            "def load(name, *rest):\n"
            "    if name == 'click': os.kill(os.getpid(), signal.SIGINT)\n"
            "    return real(name, *rest)\n"
            "builtins.__import__ = load\n"
            "main()"
        )
        self.assertEqual((done.returncode, done.stdout + done.stderr), (-signal.SIGINT, ""))

    def test_the_command_minds_it_afterwards(self) -> None:
        """As ever."""
        done = self.run_code(
            "from realmgw.control.command.start import main\n"
            "before, sys.argv = signal.getsignal(signal.SIGINT), ['realmgw', '--version']\n"
            "print(main(), signal.getsignal(signal.SIGINT) is before)"
        )
        self.assertRegex(done.stdout, r"^realmgw .*\n0 True\n$")
