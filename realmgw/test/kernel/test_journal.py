"""What the journal of systemd makes of our lines: a real one, in a place of its own, which stops and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT

JOURNALD = "/usr/lib/systemd/systemd-journald"
MANY = 5000
"""So many lines are more than the journal has room for."""

PLACE = f"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/log /run/systemd
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup  # without one it ends at once
{JOURNALD} </dev/null >/run/journald.out 2>&1 &
journal=$!
trap 'kill -CONT $journal; kill $journal' EXIT
for _ in $(seq 100); do [ -S /run/systemd/journal/stdout ] && break; sleep 0.05; done
"$0" "$@" "$journal"
sleep 0.5
journalctl -D /run/log/journal --no-pager -o json
"""
"""A journal that nobody else sees; it holds what a program says that is told its number."""

SAYS = """
import os, signal, socket, sys, time
from twisted.logger import Logger, LogLevel
from realmgw.config.external import LogFormat, Logging, LogLevel as Level
from realmgw.log.client import Journal, Stream, Syslog
from realmgw.log.port import Log

if sys.argv[1] == "syslog":
    outlet = Syslog("gw", "/run/systemd/journal/dev-log")
else:  # what systemd does for a unit's standard output
    there = socket.socket(socket.AF_UNIX)
    there.connect("/run/systemd/journal/stdout")
    there.sendall(b"gw\\n\\n6\\n1\\n0\\n0\\n0\\n")
    outlet = Stream(there.makefile("w"), is_journal=True)
    outlet = Journal("gw", outlet) if sys.argv[1] == "fields" else outlet
log = Log()
log.configure(Logging(Level.DEBUG, (), LogFormat.TEXT))
log.write_to(outlet)
logger, journal = Logger("realmgw.tap", observer=log), int(sys.argv[2])
logger.warn("no route\\n<0>to {where}", where="gw.example.org")
try:
    1 / 0
except ZeroDivisionError:
    logger.failure("fault")
os.kill(journal, signal.SIGSTOP)
begin = time.monotonic()
for number in range(int(sys.argv[3])):
    logger.emit(LogLevel.debug, "{text}", text="x" * 200)
taken = time.monotonic() - begin
os.kill(journal, signal.SIGCONT)
time.sleep(1.0)
logger.error("took {taken}, lost {lost}", taken=taken, lost=log.lost)
"""


class JournalTests(SynchronousTestCase):
    """By both ways on which it takes lines."""

    skip = "needs root" if os.geteuid() else programs.missing("unshare", "journalctl")
    environment: ClassVar[dict[str, str]] = {**os.environ, "PYTHONPATH": str(CHECKOUT)}

    def hear(self, way: str) -> list[dict[str, Any]]:
        """What the journal holds of what was said."""
        script = Path(self.mktemp())
        script.write_text(f"import sys\nsys.argv = [sys.argv[0], sys.argv[1], sys.argv[-1], '{MANY}']\n" + SAYS)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", PLACE, sys.executable, str(script.absolute()), way],
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        return [entry for entry in entries if entry.get("SYSLOG_IDENTIFIER") == "gw"]

    def assert_heard(self, way: str, begin: dict[str, str]) -> list[dict[str, Any]]:
        """Each line is one entry with its priority; what there was no room for is told, and nobody was waited for."""
        entries = self.hear(way)
        said = [(int(entry["PRIORITY"]), entry["MESSAGE"]) for entry in entries]
        self.assertEqual(said[0], (4, f"{begin['warn']}[tap] no route\\n<0>to gw.example.org"))
        self.assertEqual((said[1][0], said[1][1].partition("\n")[0]), (2, f"{begin['critical']}[tap] fault"))
        traceback = [text for priority, text in said[2:9] if priority == 2] or [said[1][1]]
        self.assertIn("ZeroDivisionError: division by zero", traceback[-1].strip())
        (_, missed), (priority, last) = said[-2:]
        taken, lost = (float(word.split()[1]) for word in last.partition("] ")[2].split(", "))
        self.assertEqual(priority, 3)
        self.assertLess(taken, 5.0)
        self.assertGreater(lost, 0)
        self.assertIn(f"{lost:.0f} lines before this one could not be written", missed)
        return entries

    def test_takes_what_syslog_says(self) -> None:
        """Which has the level as a word, too."""
        self.assert_heard("syslog", {"warn": "warn  ", "critical": "critical "})

    def test_takes_what_a_unit_says(self) -> None:
        """By its standard output, with the priority as a number before each line."""
        self.assert_heard("stdout", {"warn": "", "critical": ""})

    def test_takes_entries_with_fields(self) -> None:
        """Values by their names, and what the event is called; a traceback is in its entry."""
        first, fault, *_, missed, last = self.assert_heard("fields", {"warn": "", "critical": ""})
        self.assertEqual((first["REALMGW_WHERE"], first["REALMGW_MODULE"]), ("gw.example.org", "tap"))
        self.assertNotIn("REALMGW_EVENT", first)
        self.assertEqual(fault["REALMGW_EVENT"], "fault")
        self.assertEqual((missed["REALMGW_EVENT"], missed["REALMGW_LINES"]), ("log-lost", last["REALMGW_LOST"]))
