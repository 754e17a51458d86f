"""A gateway whose disk is full: what becomes of registrations, of those that are there and of those that come.

These tests need root. The disk is a small file system in memory, which is seen by everybody while a test runs.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update

from realmgw.control.command.client import ask
from realmgw.test.kernel.starting_case import LAN, PATIENCE, SETTINGS, StartingTestCase

PORT = 5335
SECRET = bytes(range(1, 33))
KEY = dns.tsig.Key("dhcp.example.org", SECRET, "hmac-sha256")
SIZE = 4 << 20  # octets
"""Of the disk."""
HOSTS = range(20, 32)
"""The last octets of their addresses, and their names."""


class FullDiskTests(StartingTestCase):
    """A gateway whose state folder has little room."""

    def setUp(self) -> None:
        """It serves, and takes updates that are signed."""
        super().setUp()
        self.disk = self.folder / "state"
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.disk)], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(self.disk)], check=True)
        keys = self.folder / "update.keys"
        keys.write_text(json.dumps({"keys": {KEY.name.to_text(): {"secret": base64.b64encode(SECRET).decode()}}}))
        keys.chmod(0o600)
        update = {"listen": [f"{LAN}:{PORT}"], "key_file": keys.name}
        self.write({"dns": {**SETTINGS["dns"], "update": update}})

    @property
    def filling(self) -> Path:
        """What takes all the room that is left."""
        return self.disk / "filling"

    def fill(self) -> None:
        """There is no room any more."""
        with self.filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def update(self, number: int, *, remove: bool = False) -> int:
        """The RCODE of a host's registration, or of its removal."""
        update = dns.update.UpdateMessage("example.org.", keyring=KEY)
        if remove:
            update.delete(f"h{number}")
        else:
            update.add(f"h{number}", 300, "A", f"192.168.0.{number}")
        return dns.query.udp(update, LAN, timeout=PATIENCE, port=PORT).rcode()

    def there(self) -> list[int]:
        """Which of the hosts the LAN is told of."""
        queries = {number: dns.message.make_query(f"h{number}.example.org.", "A") for number in HOSTS}
        return [number for number, query in queries.items() if dns.query.udp(query, LAN, timeout=PATIENCE).answer]

    def told(self) -> str:
        """What is wrong with registrations, as the operator is told."""
        troubles = ask(self.folder / "control.sock", "health")["troubles"]
        return " ".join(each["text"] for each in troubles if each["part"] == "leases")

    def test_what_is_registered_stays_and_nothing_comes(self) -> None:
        """Who comes and goes gets SERVFAIL; after a kill there is what NOERROR was said to; with room all goes on."""
        process = self.start()
        self.assertEqual([self.update(number) for number in HOSTS[:2]], [dns.rcode.NOERROR] * 2)
        self.fill()
        said = {number: self.update(number) for number in HOSTS[2:]}
        self.assertEqual(set(said.values()) - {dns.rcode.NOERROR}, {dns.rcode.SERVFAIL})
        done = [*HOSTS[:2], *(number for number, rcode in said.items() if rcode == dns.rcode.NOERROR)]
        self.assertEqual(self.update(done[0], remove=True), dns.rcode.SERVFAIL)
        self.assertIn("registrations can not be kept, so none is taken", self.told())
        self.assertEqual(self.there(), done)
        process.kill()
        process.wait()
        self.start()
        self.assertEqual((self.there(), self.update(HOSTS[-1])), (done, dns.rcode.SERVFAIL))
        self.filling.unlink()
        self.assertEqual((self.update(HOSTS[-1]), self.told()), (dns.rcode.NOERROR, ""))
        self.assertEqual(self.there(), [*done, HOSTS[-1]])

    def test_a_start_needs_no_room(self) -> None:
        """Nor has the one before left any file open, or anything to be made up for."""
        process = self.start()
        self.update(HOSTS[0])
        process.terminate()
        self.assertEqual(self.ended(process).status, 0)
        self.fill()
        process = self.start()
        self.assertEqual((self.there(), self.told()), ([HOSTS[0]], ""))
        self.assertEqual(self.update(HOSTS[1]), dns.rcode.SERVFAIL)
        self.filling.unlink()
        self.assertEqual((self.update(HOSTS[1]), self.there()), (dns.rcode.NOERROR, [*HOSTS[:2]]))
        process.terminate()
        self.assertNotIn("Traceback", self.ended(process).told)
