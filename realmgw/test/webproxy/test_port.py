"""Tests for `realmgw.webproxy.port`: files, programs that stand in for HAProxy, and what it says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.asymmetric import dsa
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import haproxy
from realmgw.config.certificates import Bundle
from realmgw.config.settings import Webproxy
from realmgw.errors import PlatformError
from realmgw.test import programs
from realmgw.test.subscribers.authority import Authority
from realmgw.test.webproxy.peer import MemoryMachine
from realmgw.webproxy import port
from realmgw.webproxy.certifying import Certificates
from realmgw.webproxy.configuration import Place, certificate_line, text

ADDRESSES = (ip_address("192.0.2.130"),)


class PrepareTests(SynchronousTestCase):
    """A program that takes any configuration, and others that do not."""

    skip = None if os.geteuid() == 0 else "HAProxy is run by root only"

    def setUp(self) -> None:
        """A folder, and nobody's user."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.place = Place("web", 65534, 65534)
        self.how = Webproxy(enabled=True, program=self.program("exit 0"), user="nobody")

    def program(self, text: str) -> Path:
        """A program."""
        path = self.folder / "haproxy"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def prepare(self) -> None:
        """As the service has it done."""
        port.prepare(self.how, ADDRESSES, self.folder, self.place, lambda: "a.example.org 1\n")

    def refusal(self) -> str:
        """Why that is refused."""
        return str(self.assertRaises(PlatformError, self.prepare))

    def test_files_are_there_before_it_is_started(self) -> None:
        """Nobody else may read them; a second time they are written anew."""
        for _ in range(2):
            self.prepare()
            path = self.folder / self.place.configuration
            self.assertEqual(path.read_text(), text(self.how, ADDRESSES, self.place))
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            self.assertEqual((self.folder / self.place.map).read_text(), "a.example.org 1\n")
            self.assertEqual(list((self.folder / self.place.root).iterdir()), [])

    def test_its_user_sees_the_folder_that_it_is_left_with(self) -> None:
        """Whatever the gateway's umask is, or was: in it are the sockets that the proxy connects to itself."""
        before = os.umask(0o077)
        try:
            self.prepare()
        finally:
            os.umask(before)
        self.assertEqual((self.folder / self.place.root).stat().st_mode & 0o777, 0o755)

    def test_what_it_refuses_is_told_in_its_words(self) -> None:
        """The first alert; its own name for itself is left out."""
        self.program("echo '[NOTICE] (1) : hello' >&2; echo '[ALERT] (1) : config : bad line' >&2; exit 1")
        self.assertEqual(self.refusal(), f"HAProxy refuses {self.folder / 'web.cfg'}: config : bad line")
        self.program("exit 1")
        self.assertIn("it does not say why", self.refusal())

    def test_certificates_that_it_refuses_are_known_by_what_it_says(self) -> None:
        """Of the real one, of a kind that is not read from folders: so it can be left out."""
        authority = Authority(self.folder)
        made = dict[str, Bundle]()
        (self.folder / self.place.certificates).mkdir()
        for name, key in (("good", None), ("weak", dsa.generate_private_key(1024))):
            pem = b"".join(path.read_bytes() for path in authority.issue(name, key=key))
            made[name] = each = Bundle(f"{name}.pem", pem, (name,), 0.0, 1e10)
            (self.folder / self.place.certificates / each.key).write_bytes(pem)
        lines = "".join(f"{certificate_line(each, self.place)}\n" for each in made.values())
        (self.folder / self.place.list).write_text(lines)
        self.how = attrs.evolve(self.how, program=Webproxy().program, certificates=self.folder, connections=100)
        error = self.assertRaises(port.RefusedError, self.prepare)
        elsewhere = Certificates(self.how, self.folder, self.place, lambda _: Deferred())
        good = {"good": made["good"]}
        self.assertEqual([elsewhere.refused(each, error.said, error.why) for each in (good, made)], [False, True])

    test_certificates_that_it_refuses_are_known_by_what_it_says.skip = (  # type: ignore[attr-defined]  # trial's way
        programs.missing("haproxy")
    )

    def test_what_is_missing_is_told_with_what_to_do(self) -> None:
        """A program, a user; and nothing is written."""
        usual = self.how
        self.how = attrs.evolve(usual, program=self.folder / "nowhere")
        self.assertIn("apt install haproxy", self.refusal())
        for user in ("no-such-user", "root"):
            self.how = attrs.evolve(usual, user=user)
            self.assertIn(f"webproxy.user: '{user}' is no user, or is root", self.refusal())
        self.how, self.place = usual, attrs.evolve(self.place, uid=0)
        self.assertIn("restart it", self.refusal())
        self.assertFalse((self.folder / "web.cfg").exists())

    def test_a_socket_that_nobody_has_is_no_trouble(self) -> None:
        """Neither one that was left, nor none."""
        with socket.socket(socket.AF_UNIX) as former:
            former.bind(str(self.folder / self.place.socket))
        port.end_former(self.folder / self.place.socket)
        port.end_former(self.folder / "none")

    def test_whoever_can_not_be_seen_is_told_of(self) -> None:
        """In a container beside his his number is 0, by which all processes of our own group would be meant."""
        path = self.folder / self.place.socket
        ending = f"from pathlib import Path; from realmgw.webproxy.port import end_former; end_former(Path('{path}'))"
        with socket.socket(socket.AF_UNIX) as former:
            former.bind(str(path))
            former.listen()
            done = subprocess.run(
                ["unshare", "--pid", "--fork", sys.executable, "-c", ending],
                env={"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, start_new_session=True,
                check=False,
            )  # fmt: skip
        self.assertIn("had by a process of another PID namespace", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_the_user_is_found_once(self) -> None:
        """By his numbers, where the proxy is asked for."""
        self.assertEqual(haproxy.user(self.how), (65534, 65534))
        self.assertIsNone(haproxy.user(attrs.evolve(self.how, user="no-such-user")))


class SaidTests(SynchronousTestCase):
    """The last words of HAProxy."""

    def test_only_the_last_that_it_says_is_kept(self) -> None:
        """However much it is."""
        machine, heard = MemoryMachine(), list[str]()
        child = port.Child(machine, lambda _, why: heard.append(why))
        child.begin(Path("/usr/sbin/haproxy"), Path("/"), Place("web", 1, 1))
        for _ in range(1000):
            child.outReceived(b"x" * 1000 + b"\n")
        machine.started[0].end(
            1, b"[ALERT]    (17) : [haproxy.main()] Cannot raise FD limit to 20032, limit is 20000.\n"
        )
        self.assertEqual(
            heard,
            ["HAProxy has ended with status 1: [haproxy.main()] Cannot raise FD limit to 20032, limit is 20000."],
        )
        self.assertLess(len(child._said), 3000)
        self.successResultOf(child.end())
