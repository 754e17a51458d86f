"""A repository and a gateway as processes: what becomes of hosts whose repository is away, lost, or another one."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from realmgw.control.command.client import ask
from realmgw.test.kernel.starting_case import PATIENCE, StartingTestCase

PORT = 8082
TOKEN = "a-token-that-may-write"
CONTAINER = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")


class RepositoryTestCase(StartingTestCase):
    """Its database is in a folder of its own, which can be lost.

    Attributes:
        data: That.
    """

    def setUp(self) -> None:
        """A token, and a gateway's configuration that names the repository."""
        super().setUp()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, stdin=subprocess.DEVNULL)
        self.data = self.folder / "data"
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "token").chmod(0o600)
        settings = {"url": f"http://127.0.0.1:{PORT}", "token_file": "token", "interval": 1, "timeout": 1}
        self.write({"repository": settings})

    def repository(self, *options: str) -> subprocess.Popen[str]:
        """Begins to start one."""
        place = ("--database", str(self.data / "db.sqlite"), "--listen", f"127.0.0.1:{PORT}", "--token", "token")
        return self.spawn("twistd", "--nodaemon", "realmgw-repository", *place, *options)

    def serve(self) -> subprocess.Popen[str]:
        """Starts one, and waits until it answers."""
        process = self.repository()
        self.until(lambda: process.poll() is not None or self.reached())
        self.assertIsNone(process.poll())
        return process

    def reached(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.ask("GET", "/v1/status")["identity"])
        except OSError:
            return False

    def ask(self, method: str, path: str, value: object = None) -> Any:
        """A request, and the JSON value of its response."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
        fields = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        connection.request(method, path, None if value is None else json.dumps(value), fields)
        with connection.getresponse() as response:
            text = response.read()
        connection.close()
        return json.loads(text) if text else None

    def until(self, happens: Callable[[], bool]) -> None:
        """Waits."""
        end = time.monotonic() + PATIENCE
        while not happens():
            self.assertLess(time.monotonic(), end, "it does not happen")
            time.sleep(0.05)

    def until_hosts(self, count: int) -> None:
        """Waits until the gateway has so many."""
        self.until(lambda: self.status()["hosts"] == count)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """As the kernel does when there is no memory left."""
        process.kill()
        self.ended(process)

    def troubles(self) -> str:
        """What is wrong with the gateway, in a text."""
        status = self.status()
        return "\n".join([*(each["text"] for each in status["troubles"]), *status["problems"]])


class LostTests(RepositoryTestCase):
    """A gateway with a host of a file and two of a repository."""

    def setUp(self) -> None:
        """Both run, and the gateway has all three."""
        super().setUp()
        self.server = self.serve()
        for number in (1, 2):
            self.ask("PUT", f"/v1/subscribers/h{number}.example.org", {"address": f"192.168.0.{number + 20}"})
        self.gateway = self.start()
        self.until_hosts(3)
        self.cache = self.folder / "state" / "repository.cache"
        self.until(self.cache.exists)

    def restart_gateway(self) -> None:
        """Stops it and starts it again."""
        self.gateway.send_signal(signal.SIGTERM)
        self.assertEqual(self.ended(self.gateway).status, 0)
        self.gateway = self.start()

    def test_a_repository_that_is_away_is_in_the_status(self) -> None:
        """With the reason, while it is; the hosts stay, over a restart too."""
        self.kill(self.server)
        self.until(lambda: "no good answer from the repository" in self.troubles())
        self.until(lambda: "Connection was refused" in self.troubles())  # or lost, if it answered
        self.restart_gateway()
        self.until_hosts(3)
        report = self.status()["counts"]["repository"]
        self.assertEqual((report["hosts"], report["answered"]), (2, None))
        self.until(lambda: self.status()["counts"]["repository"]["silent"] > report["silent"])
        self.serve()
        self.until(lambda: "no good answer" not in self.troubles())

    def test_a_lost_database_takes_nothing_away(self) -> None:
        """The server does not start without it; where its whole folder was lost, what starts is another repository."""
        kept = self.cache.read_bytes()
        self.kill(self.server)
        database = self.data / "db.sqlite"
        database.unlink()
        ended = self.ended(self.repository())
        self.assertEqual((ended.status, "Traceback" in ended.told), (1, False), ended.told)
        self.assertIn("is gone or empty", ended.told)
        shutil.rmtree(self.data)
        self.serve()
        self.until(lambda: "it has become another repository" in self.troubles())
        self.assertIn("the 2 hosts of the former one stay", self.troubles())
        self.assertEqual(self.status()["hosts"], 3)
        self.restart_gateway()
        self.until(lambda: "it has become another repository" in self.troubles())
        self.ask("PUT", "/v1/subscribers/h3.example.org", {"address": "192.168.0.33"})
        self.until(lambda: "with 1 hosts" in self.troubles())
        self.assertEqual((self.status()["hosts"], self.cache.read_bytes()), (3, kept))
        answer = ask(self.folder / "control.sock", "reload", {"accept_loss": "yes"})
        self.assertEqual((answer["status"], self.status()["hosts"]), ("applied", 2))
        self.until(lambda: "another repository" not in self.troubles())
        self.until(lambda: self.cache.read_bytes() != kept)

    def test_a_copy_that_was_put_back_is_the_same_repository(self) -> None:
        """What it does not have is gone, as after any other change."""
        copy = self.folder / "copy.sqlite"
        with sqlite3.connect(self.data / "db.sqlite") as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        connection.close()
        self.ask("PUT", "/v1/subscribers/h3.example.org", {"address": "192.168.0.33"})
        self.until_hosts(4)
        self.kill(self.server)
        for path in self.data.glob("db.sqlite*"):
            path.unlink()
        shutil.copy(copy, self.data / "db.sqlite")
        self.serve()
        self.until_hosts(3)
        self.assertNotIn("another repository", self.troubles())


class StartTests(RepositoryTestCase):
    """How the repository's process starts and ends."""

    def container(self, shell: str) -> Sequence[str]:
        """What starts a program as the first of a container, with /run and /var/lib of its own."""
        for name in ("lib", "run"):
            (self.folder / name).mkdir(exist_ok=True)
        mounts = f"mount --bind {self.folder}/lib /var/lib; mount --bind {self.folder}/run /run; {shell}"
        return [*CONTAINER, "sh", "-ec", f'{mounts}; exec "$@"', "sh"]

    def test_starts_with_its_defaults_on_a_fresh_machine_and_again_when_it_was_killed(self) -> None:
        """In a container, where its process id is 1 each time; it says where it is and who may do what."""
        socket = self.folder / "run" / "realmgw-repository" / "http.sock"
        for _ in range(3):
            process = self.spawn("twistd", "--nodaemon", "realmgw-repository", before=self.container("true"))
            self.until(lambda: self._answers(socket))
            [inner] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(inner), signal.SIGKILL)
            told = self.ended(process).told
            self.assertIn("listens at /run/realmgw-repository/http.sock, where everybody who may open it", told)
            self.assertTrue(socket.exists())
        modes = [path.stat().st_mode & 0o777 for path in (self.folder / "lib" / "realmgw-repository", socket.parent)]
        self.assertEqual(modes, [0o700, 0o750])

    def _answers(self, path: Path) -> bool:
        command = ["curl", "-sf", "--unix-socket", str(path), "http://repository/v1/status"]
        return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def test_runs_beside_a_gateway_that_was_started_in_the_same_folder(self) -> None:
        """Neither leaves a file there, both say where they are, and both end with 0."""
        folder = self.folder / "here"
        folder.mkdir()
        place = ("--database", str(self.data / "db"), "--listen", f"127.0.0.1:{PORT}")
        server = self.spawn(
            "twistd", "--nodaemon", "realmgw-repository", *place, "--token", str(self.folder / "token"), cwd=folder
        )
        self.until(self.reached)
        gateway = self.start(cwd=folder)
        self.assertEqual(list(folder.iterdir()), [])
        for process, said in (
            (gateway, "serves"),
            (server, f"listens at 127.0.0.1 port {PORT}; to write needs the token in"),
        ):
            process.send_signal(signal.SIGTERM)
            ended = self.ended(process)
            self.assertEqual((ended.status, said in ended.told), (0, True), ended.told)

    def test_what_it_refuses_is_a_line(self) -> None:
        """With status 1, in the background too."""
        (self.folder / "short").write_text("short")
        for options in (("--listen", "nowhere"), ("--token", "short"), ("--token", "none"), ("--key", "none")):
            for words in (("--nodaemon",), ("--logfile=log",)):
                ended = self.run_program("twistd", *words, "realmgw-repository", "--database", "db", *options)
                self.assertEqual((ended.status, "Traceback" in ended.told), (1, False), ended.told)
                self.assertEqual(len(ended.told.strip().splitlines()), 1, ended.told)

    def test_a_port_that_is_taken_is_told_in_the_background_too(self) -> None:
        """Whoever waits in the foreground has status 1."""
        self.serve()
        self.data = self.folder / "other"
        place = ("--database", str(self.data / "db"), "--listen", f"127.0.0.1:{PORT}", "--token", "token")
        ended = self.run_program("twistd", "--logfile=log", "realmgw-repository", *place)
        self.assertEqual((ended.status, "Traceback" in ended.told), (1, False), ended.told)
        self.assertIn(f"the repository can not listen on TCP 127.0.0.1 port {PORT}: another program", ended.told)
        self.until(lambda: not (self.data / "db-wal").exists())
