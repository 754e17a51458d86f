"""The whole gateway, and BIND's nsupdate and Knot's knsupdate as its clients.

These tests need root, and the programs.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import time
from typing import Any

import dns.message
import dns.query
import dns.update

from realmgw.config.updates import Grant, UpdateKey
from realmgw.test import programs
from realmgw.test.dns.update.face import NOW, signed
from realmgw.test.kernel import requirements
from realmgw.test.kernel.starting_case import LAN, PATIENCE, SETTINGS, StartingTestCase

PORT = 5335
SECRET = bytes(range(1, 33))
NAME, NARROW = "dhcp.example.org", "narrow.example.org"
KEYS = {
    "keys": {
        NAME: {"secret": base64.b64encode(SECRET).decode()},
        NARROW: {"secret": base64.b64encode(SECRET[::-1]).decode(), "names": ["lan.example.org"]},
    }
}
DHCID = "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="
REVERSE = "0.168.192.in-addr.arpa"
ZONES = {
    **SETTINGS["zones"],
    REVERSE: {"name_servers": {"ns.example.org": "192.0.2.1"}, "contact": "admin.example.org"},
}


class UpdateTests(StartingTestCase):
    """A gateway with two keys, that listens for updates at the LAN."""

    skip = requirements.missing_for_gateway() or programs.missing("nsupdate", "knsupdate")

    def setUp(self) -> None:
        """It serves."""
        super().setUp()
        path = self.folder / "update.keys"
        path.write_text(json.dumps(KEYS))
        path.chmod(0o600)
        update = {"listen": [f"{LAN}:{PORT}"], "key_file": "update.keys"}
        self.write({"zones": ZONES, "dns": {**SETTINGS["dns"], "update": update}})
        self.gateway = self.start()

    def log(self) -> str:
        """All that the gateway has said, which ends it."""
        self.gateway.terminate()
        return self.gateway.communicate(timeout=PATIENCE)[0]

    def update(self, *lines: str, key: str | None = NAME, secret: bytes = SECRET, program: str = "nsupdate",
               tcp: bool = False, zone: str = "example.org") -> str:  # fmt: skip
        """What a client says of an update, in a word: `done`, or the RCODE."""
        script = [f"server {LAN} {PORT}", f"zone {zone}", *lines, "send", "answer" if program == "nsupdate" else ""]
        signed_by = [] if key is None else ["-y", f"hmac-sha256:{key}:{base64.b64encode(secret).decode()}"]
        argv = [program, *(["-v"] if tcp else []), "-t", "5", *signed_by]
        ended = subprocess.run(
            argv, check=False, input="\n".join([*script, ""]), text=True, capture_output=True, timeout=PATIENCE
        )
        told = ended.stdout + ended.stderr
        is_told = program == "knsupdate" or "status: NOERROR" in told
        if is_told and not ended.returncode and "failed" not in told:
            return "done"
        return told

    def addresses(self, name: str) -> list[str]:
        """What the LAN is told of a name."""
        answer = dns.query.udp(dns.message.make_query(name, "A"), LAN, timeout=PATIENCE)
        return [record.address for each in answer.answer for record in each]

    def until_gone(self, name: str) -> None:
        """Waits until the LAN is told of no address any more: what is removed stays in force for a moment."""
        end = time.monotonic() + PATIENCE
        while self.addresses(name):
            self.assertLess(time.monotonic(), end, f"{name} is there still")
            time.sleep(0.1)

    def counts(self) -> dict[str, Any]:
        """What was counted of updates."""
        counted: dict[str, Any] = self.status()["counts"]["dns"]["updates"]
        return counted

    def test_a_host_comes_and_goes(self) -> None:
        """By both clients and both transports, with its reverse name, and all forms of deletes."""
        for program in ("nsupdate", "knsupdate"):
            for tcp in (False, True):
                how: dict[str, Any] = {"program": program, "tcp": tcp}
                adding = "update add new.example.org 300 A 192.168.0.77"
                free, mine = "prereq nxdomain new.example.org", f"prereq yxrrset new.example.org DHCID {DHCID}"
                self.assertEqual(
                    self.update(free, adding, f"update add new.example.org 300 DHCID {DHCID}", **how), "done"
                )
                self.assertEqual(self.addresses("new.example.org"), ["192.168.0.77"])
                self.assertIn("YXDOMAIN", self.update(free, adding, **how))
                back = "update add 77.0.168.192.in-addr.arpa 300 PTR new.example.org."
                self.assertEqual(self.update(back, zone=REVERSE, **how), "done")
                change = ("update delete new.example.org A", "update add new.example.org 300 A 192.168.0.78")
                self.assertEqual(self.update(mine, *change, **how), "done")
                self.assertEqual(self.addresses("new.example.org"), ["192.168.0.78"])
                self.assertEqual(self.update("update delete new.example.org A 192.168.0.78", **how), "done")
                self.until_gone("new.example.org")
                self.assertEqual(self.update("update delete new.example.org", **how), "done")
                gone = "update delete 77.0.168.192.in-addr.arpa PTR"
                self.assertEqual(self.update(gone, zone=REVERSE, **how), "done")
        self.assertNotIn("Traceback", self.log())

    def test_what_is_refused(self) -> None:
        """Each with its RCODE, at both clients; nothing of it is done, and nothing is a fault of ours."""
        ours, adding = "update add new.example.org 300 ", "update add new.example.org 300 A 192.168.0.77"
        for program in ("nsupdate", "knsupdate"):
            for said, lines, how in (
                ("NXRRSET", ("prereq yxrrset new.example.org A", adding), {}),
                ("NXDOMAIN", ("prereq yxdomain new.example.org", adding), {}),
                ("YXRRSET", ("prereq nxrrset camera.example.org A", adding), {}),
                ("NOTZONE", ("update add new.example.net 300 A 192.168.0.77",), {}),
                ("NOTAUTH", ("update add new.example.net 300 A 192.168.0.77",), {"zone": "example.net"}),
                ("REFUSED", ("update add example.org 300 A 192.168.0.77",), {}),
                ("REFUSED", (f"{ours}NS ns.example.net.",), {}),
                ("REFUSED", (f"{ours}CNAME camera.example.org.",), {}),
                ("REFUSED", ("update delete example.org SOA",), {}),
                ("REFUSED", ("update delete camera.example.org A",), {}),
                ("REFUSED", ("update add camera.example.org 300 A 192.168.0.77",), {}),
                ("REFUSED", (f"{ours}A 192.168.0.10",), {}),
                ("REFUSED", (f"{ours}A {LAN}",), {}),
                ("REFUSED", (f"{ours}A 10.9.8.7",), {}),
                ("REFUSED", (adding,), {"key": None}),
                ("REFUSED", (adding,), {"key": NARROW, "secret": SECRET[::-1]}),
                ("", (adding,), {"key": "nobody.example.org"}),
                ("", (adding,), {"secret": bytes(32)}),
            ):  # fmt: skip
                told = self.update(*lines, program=program, **how)
                self.assertNotEqual(told, "done", (program, lines, how))
                self.assertIn(said, told, (program, lines, how))
        self.assertEqual(self.addresses("new.example.org"), [])
        counted = self.counts()
        self.assertEqual((counted["bad_key"], counted["bad_signature"], counted["fault"]), (2, 2, 0))
        log = self.log()
        self.assertNotIn("Traceback", log)
        self.assertIn("BADSIG", log)

    def test_bad_messages(self) -> None:
        """64 kB of whatever, another time, the same again; the next one is done."""
        key = UpdateKey(f"{NAME}.", Grant(SECRET))
        message = dns.update.UpdateMessage("example.org.")
        message.add("new", 300, "A", "192.168.0.77")
        now = int(time.time())
        sent = signed(message, key, now)
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.settimeout(PATIENCE)
            udp.connect((LAN, PORT))
            for octets, said in (
                (signed(message, key, now - 3600).octets, 9), (signed(message, key, NOW).octets, 9),
                (sent.octets[:-1], 1), (sent.octets, 0), (sent.octets, 0),
            ):  # fmt: skip
                udp.send(octets)
                self.assertEqual(udp.recv(65535)[3] & 0xF, said)
            for octets in (b"", b"\0", sent.octets[:11], bytes(9000), b"\xff" * 9000):
                udp.send(octets)
        for octets in (b"\xff\xff" + bytes(65535), b"\xff\xff" + b"\xc0" * 65535, b"\0\0", b"\0\3abc", b"\xff\xff12"):
            with socket.create_connection((LAN, PORT), timeout=PATIENCE) as tcp, contextlib.suppress(OSError):
                tcp.sendall(octets)
                tcp.shutdown(socket.SHUT_WR)
                while tcp.recv(65535):
                    pass
        large = dns.update.UpdateMessage("example.org.")
        for number in range(900):
            large.add(f"{'x' * 40}{number}", 300, "TXT", "y" * 6)
        self.assertIn(dns.query.tcp(large, LAN, port=PORT, timeout=PATIENCE).rcode(), (5,))
        counted = self.counts()
        self.assertEqual((counted["bad_time"], counted["repeated"], counted["fault"]), (2, 1, 0))
        self.assertEqual(self.update("update delete new.example.org"), "done")
        self.assertNotIn("Traceback", self.log())

    def test_keys_are_read_again(self) -> None:
        """By a reload, which is refused when the file is bad; a start is, too."""
        path, adding = self.folder / "update.keys", "update add new.example.org 300 A 192.168.0.77"
        path.write_text(json.dumps({"keys": {NARROW: KEYS["keys"][NARROW]}}))
        self.assertEqual(self.reload()["status"], "unchanged")
        self.assertNotEqual(self.update(adding), "done")
        path.write_text("keys: {}\n")
        outcome = self.reload()
        self.assertEqual(outcome["status"], "refused")
        self.assertIn("update.keys:1:1: there is no key in it", str(outcome["problems"]))
        path.write_text(json.dumps(KEYS))
        self.reload()
        self.assertEqual(self.update(adding), "done")
