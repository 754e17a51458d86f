"""How real gateways start, are refused, and end."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import skipIf

from realmgw.config.readers import DEADLINE
from realmgw.control.commands import CommandError
from realmgw.system.worker import NO_THREAD
from realmgw.test.kernel.starting_case import LAN, PATIENCE, SETTINGS, WAN, StartingTestCase


class StopTests(StartingTestCase):
    """What ends a gateway, and with which status."""

    def test_stopping_by_a_signal_is_success(self) -> None:
        """SIGTERM as an init system sends it, and SIGINT as a keyboard does."""
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.start()
            process.send_signal(number)
            self.assertEqual(self.ended(process).status, 0)
            self.assertFalse((self.folder / "control.sock").exists())

    def test_is_ended_by_no_signal_that_asks_for_something_else(self) -> None:
        """SIGHUP and SIGUSR1 while it begins, and they and SIGTERM while it stops; an early reload is done later."""
        for number in (signal.SIGHUP, signal.SIGUSR1):
            process = self.twistd()
            _until_minded(process.pid)
            process.send_signal(number)
            self.serving(process)
            process.terminate()
            end = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < end:
                process.send_signal(number)
                process.terminate()
                time.sleep(0.005)
            ended = self.ended(process)
            self.assertEqual((ended.status, "Traceback" in ended.told), (0, False), ended.told)
            self.assertEqual("reload asked for by SIGHUP" in ended.told, number == signal.SIGHUP)

    def test_stopping_while_it_begins_is_success(self) -> None:
        """Nothing is in the kernel yet."""
        process = self.twistd()
        _until_minded(process.pid)
        process.terminate()
        ended = self.ended(process)
        self.assertEqual((ended.status, "Traceback" in ended.told), (0, False), ended.told)

    def test_a_control_socket_that_somebody_removed_is_no_fault(self) -> None:
        """It stops as ever."""
        process = self.start()
        (self.folder / "control.sock").unlink()
        process.terminate()
        ended = self.ended(process)
        self.assertEqual((ended.status, "Traceback" in ended.told), (0, False), ended.told)

    def test_leaves_no_process_id_behind(self) -> None:
        """Nothing is written into the folder that it was started in."""
        folder = self.folder / "here"
        folder.mkdir()
        self.start(cwd=folder)
        self.assertEqual(list(folder.iterdir()), [])


class KilledTests(StartingTestCase):
    """A gateway that was killed starts again."""

    def test_in_a_container_where_it_gets_the_same_process_id(self) -> None:
        """That is 1 each time. A pid file, where one is wanted, names the new one then as the old one."""
        container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        for _ in range(3):
            process = self.start("--pidfile=own.pid", before=container)
            [inner] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            self.assertEqual((self.folder / "own.pid").read_text(), "1")
            os.kill(int(inner), signal.SIGKILL)
            self.ended(process)
            self.assertTrue((self.folder / "control.sock").exists())

    def test_while_the_first_one_lives_others_are_refused(self) -> None:
        """At once, however often, with one line that says which process it is; and status 1."""
        first = self.start()
        for _ in range(4):
            ended = self.ended(self.twistd())
            self.assertEqual((ended.status, "Traceback" in ended.told), (1, False), ended.told)
            self.assertIn(f"process {first.pid}", ended.told)
        self.assertIsNone(first.poll())

    def test_another_configuration_of_the_same_table_is_refused(self) -> None:
        """With other folders and another socket: the table is one thing in the namespace."""
        first = self.start()
        self.main = self.folder / "other.yaml"
        self.write({"state": "other", "control": {"socket": "other.sock"}})
        ended = self.ended(self.twistd())
        self.assertEqual((ended.status, "Traceback" in ended.told), (1, False), ended.told)
        self.assertIn(f"has the table realmgw here already (process {first.pid})", ended.told)


class RefusedTests(StartingTestCase):
    """A start that is refused."""

    def refused(self, *lines: str) -> None:
        """It ends with status 1 and these lines, in the foreground and in the background."""
        background = ["twistd", "--logfile=twistd.log", "realmgw", "--config", str(self.main)]
        for ended in (self.ended(self.twistd()), self.run_program(*background)):
            self.assertEqual((ended.status, "Traceback" in ended.told), (1, False), ended.told)
            self.assertTrue(all(line.startswith("realmgw can not start: ") for line in ended.told.splitlines()))
            for line in lines:
                self.assertIn(line, ended.told)

    def test_main_file_that_is_not_there(self) -> None:
        """And no last good one."""
        self.main.unlink()
        self.refused(f"{self.main}:1:1: there is no such file", "there is no last good configuration yet")

    def test_main_file_with_problems(self) -> None:
        """Each is a line."""
        self.write({"pools": {"circular": 1}, "nonsense": 2})
        self.refused("write a list", "the key 'nonsense' is not known")

    def test_port_that_another_program_has(self) -> None:
        """It is found before the process goes into the background."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((WAN, 53))
            self.refused(f"{WAN} port 53")


class FamilyTests(StartingTestCase):
    """A gateway whose name server has IPv6 addresses as well."""

    WAN6, LAN6 = "2001:db8::1", "2001:db8:1::1"

    def until(self, *told: tuple[str, str]) -> None:
        """These are its troubles (severity and beginning) soon: the kernel has told."""
        end, count = time.monotonic() + PATIENCE, len(told)
        while len(found := self.status()["troubles"]) != count:
            self.assertLess(time.monotonic(), end, found)
            time.sleep(0.02)
        for each, (severity, text) in zip(found, told, strict=True):
            self.assertEqual((each["severity"], each["text"][: len(text)]), (severity, text))

    def test_watches_addresses_of_both_families(self) -> None:
        """It says which one is gone; flows of IPv4 go on when that is one of IPv6."""
        self.write({"dns": {"wan": {"listen": [WAN, self.WAN6]}, "lan": {"listen": [LAN, self.LAN6]}}})
        ip = ("ip", "-6", "address")
        subprocess.run([*ip, "add", f"{self.WAN6}/64", "dev", "wan0", "nodad"], check=True)
        subprocess.run([*ip, "add", f"{self.LAN6}/64", "dev", "lan0", "nodad"], check=True)
        process = self.start()
        self.assertEqual(self.status()["troubles"], [])
        subprocess.run([*ip, "del", f"{self.WAN6}/64", "dev", "wan0"], check=True)
        self.until(("notice", f"address {self.WAN6} is gone"))
        self.assertEqual(self.status()["state"], "healthy")
        subprocess.run([*ip, "add", f"{self.WAN6}/64", "dev", "wan0", "nodad"], check=True)
        self.until()
        process.terminate()
        self.assertNotIn("Traceback", self.ended(process).told)


class LastGoodTests(StartingTestCase):
    """A gateway whose main file can not be used, and that ran before."""

    def test_says_so_first_and_last_until_it_is_put_right(self) -> None:
        """In `status`, as the last line of what a start says, and by a counter."""
        process = self.start()
        end = time.monotonic() + PATIENCE
        while not list(self.folder.rglob("last-good-*.yaml")) and time.monotonic() < end:
            time.sleep(0.01)  # the disk has a thread of its own, which nobody waits for
        process.kill()
        self.write({"nonsense": 1})
        process = self.start()
        status = self.status()
        [trouble] = status["troubles"]
        said = "the last good configuration is in force, not what is written: "
        self.assertEqual((status["state"], trouble["severity"]), ("last good", "last_good"))
        self.assertTrue(trouble["text"].startswith(f"{said}{self.main}:1:"), trouble["text"])
        self.assertIn("nonsense", trouble["text"])
        self.write()
        self.assertEqual(self.reload()["status"], "unchanged")
        self.assertEqual(self.status()["state"], "healthy")
        self.write({"nonsense": 1})
        self.assertEqual(self.reload()["status"], "refused")
        status = self.status()
        self.assertEqual((status["state"], status["counts"]["reloads"]["refused"]), ("last good", 1))
        process.terminate()
        log = self.ended(process).told.splitlines()
        serves = next(number for number, line in enumerate(log) if "serves gw.example.org." in line)
        self.assertIn(said, log[serves + 1])


DEAD = """
import ctypes, os, sys
fuse = os.open("/dev/fuse", os.O_RDWR)
os.set_inheritable(fuse, True)
how = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None).mount(b"dead", os.fsencode(sys.argv[1]), b"fuse", 0, how):
    sys.exit("no file system could be mounted")
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Has a folder be on a file system whose server says nothing, for the command behind it."""


class WaitingTests(StartingTestCase):
    """What waits for somebody else is not waited for."""

    @skipIf(
        not Path("/dev/fuse").exists(), "not on this kernel: FUSE, by which a file system is made that does not answer"
    )
    def test_file_systems_that_do_not_answer(self) -> None:
        """A check and a start end, and name it."""
        for name in ("etc", "state", "run"):
            (self.folder / name).mkdir()
        self.write({"control": {"socket": "run/control.sock"}})
        main = self.folder / "etc" / "realmgw.yaml"
        ends = []
        for dead, config in ((main.parent, main), *((self.folder / name, self.main) for name in ("state", "run"))):
            before = ("unshare", "--mount", sys.executable, "-c", DEAD, str(dead))
            self.main = config
            check = self.spawn("realmgw", "check", "--config", str(config), before=before)
            ends += [(dead, process) for process in (check, self.twistd(before=before))]
        for dead, process in ends:
            ended = self.ended(process)
            self.assertEqual((ended.status, "Traceback" in ended.told), (1, False), ended.told)
            self.assertRegex(ended.told, rf"{dead}\S* has not answered for {DEADLINE:g} s")

    def test_pipes_in_the_place_of_files(self) -> None:
        """Wherever an operator may put one: a reload says which, and DNS, status and stop go on."""
        for folder in ("realmgw.d", "zones.d", "policies.d"):
            (self.folder / folder).mkdir()
        secrets = self.folder / "secrets"
        secrets.write_text("00" * 16)
        self.write({"dns": {**SETTINGS["dns"], "cookies": {"secret_file": "secrets"}}})
        process = self.start()
        written = self.main.read_text()
        places = [self.folder / name for name in ("realmgw.d/a.yaml", "zones.d/a.yaml", "policies.d/a.yaml")]
        for path in (*places, secrets, self.main):
            path.unlink(missing_ok=True)
            os.mkfifo(path)
            begin = time.monotonic()
            outcome = self.reload()
            self.assertLess(time.monotonic() - begin, PATIENCE / 3)
            self.assertEqual(outcome["status"], "refused")
            self.assertIn(str(path), outcome["problems"][0])
            self.assertIn("not a regular file, but a pipe", outcome["problems"][0])
            self.serving(process)
            path.unlink()
            secrets.write_text("00" * 16)
        self.main.write_text(written)
        self.assertEqual(self.reload()["status"], "unchanged")
        process.terminate()
        self.assertEqual(self.ended(process).status, 0)


class MemoryTests(StartingTestCase):
    """A gateway that gets no more memory."""

    def test_goes_on_or_ends_with_a_line(self) -> None:
        """A reload that does not fit is refused. Where that is too late, the process ends at once, with status 1."""
        for spare in (2, 32, 70):
            process = self.start()
            grown = _size(process.pid) + spare * 2**20
            resource.prlimit(process.pid, resource.RLIMIT_AS, (grown, grown))
            self.many(20_000)
            try:
                outcome = self.reload()
            except CommandError:
                ended = self.ended(process)
                self.assertEqual(ended.status, 1, ended.told)
                self.assertIn("realmgw can not go on: there is no memory left", ended.told)
            else:
                self.assertIn(outcome["status"], ("refused", "applied"), outcome["problems"])
                self.serving(process)
                process.terminate()
                self.assertEqual(self.ended(process).status, 0)
            (self.folder / "subscribers.d" / "many.yaml").unlink()

    def test_no_room_for_a_thread_is_one_line(self) -> None:
        """Whoever asks for something that wants one is told what is lacking; the rest goes on."""
        process = self.start()
        grown = _size(process.pid) + 2**20
        resource.prlimit(process.pid, resource.RLIMIT_AS, (grown, resource.RLIM_INFINITY))
        self.assertIn("kernel", self.status()["counts"])
        outcome = self.reload()
        self.assertEqual(outcome["status"], "refused")
        self.assertIn(NO_THREAD, outcome["problems"][0])
        resource.prlimit(process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.assertEqual(self.reload()["status"], "unchanged")
        process.terminate()
        ended = self.ended(process)
        self.assertEqual((ended.status, "Traceback" in ended.told), (0, False), ended.told)

    def many(self, count: int) -> None:
        """Many hosts."""
        lines = (f"h{n}.example.org: {{address: 10.{n >> 16}.{n >> 8 & 255}.{n & 255}}}\n" for n in range(1, count))
        (self.folder / "subscribers.d" / "many.yaml").write_text("".join(lines))


def _until_minded(pid: int) -> None:
    """Until a process that begins minds SIGHUP: before, it is not ours yet."""
    end, bit = time.monotonic() + PATIENCE, 1 << signal.SIGHUP - 1
    while time.monotonic() < end:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        if int(next(line for line in lines if line.startswith("SigCgt:")).split()[1], 16) & bit:
            return
        time.sleep(0.005)
    raise AssertionError(f"process {pid} does not mind SIGHUP")


def _size(pid: int) -> int:
    """How much address space a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


class BackgroundTests(StartingTestCase):
    """A gateway without --nodaemon."""

    def test_returns_when_it_serves(self) -> None:
        """With 0; its process is told by what it holds, and stops as any other."""
        started = self.run_program("twistd", "--logfile=twistd.log", "realmgw", "--config", str(self.main))
        self.assertEqual(started.status, 0, started.told)
        pid = int((self.folder / "control.sock.held").read_text())
        self.addCleanup(_gone, pid)
        self.assertEqual(self.status()["hosts"], 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            self.assertRaises(OSError, taken.bind, (LAN, 53))
        _gone(pid)
        log = (self.folder / "twistd.log").read_text()
        self.assertIn("SIGTERM: stopping", log)
        self.assertFalse((self.folder / "twistd.pid").exists())


def _gone(pid: int) -> None:
    """Ends a process that we did not start; it is a child of ours where orphans are (`testbed.realm.fork_server`)."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
