"""What the tests of DHCP servers share: one testbed for each class, a gateway, a server, and machines without address.

The gateway and the servers are configured as docs/dhcp.md has it; only folders and times are others.
"""

from __future__ import annotations

import contextlib
import functools
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dns.exception
import dns.message
import dns.query
import dns.reversename
from ruamel.yaml import YAML

from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST, PREFIX, RealmTestCase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.realm import client, host
    from testbed.realm.gateway import Gateway
    from testbed.realm.leased import LeasedTestbed, Machine, copied

PATIENCE = 30.0  # seconds
"""For what a server or a client does by itself."""
ANOTHER = "192.168.0.60", "192.168.0.61"
"""Addresses that a host may ask for when it has had one of its own."""
PAGE = CHECKOUT / "docs" / "dhcp.md"
_FILE = re.compile(r"`(/[^`\n]+)`[^`\n]*:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@functools.cache
def documented() -> Mapping[str, str]:
    """The files that the page has: where they belong -> what is in them."""
    return dict(_FILE.findall(PAGE.read_text()))


@functools.cache
def missing_bridge() -> str | None:
    """Why there can be no bridge, or None."""
    argv = ["unshare", "--net", "ip", "link", "add", "type", "bridge"]
    made = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return "this kernel has no bridges" if made.returncode else None


def missing(*needed: str) -> str | None:
    """What is missing for a server that is made of these programs, or None."""
    return (
        requirements.missing_for_gateway()
        or NO_CHECKOUT
        or programs.missing("busybox", "dhclient", "ip", "unshare", *needed)
        or missing_bridge()
    )


class DhcpTestCase(RealmTestCase):
    """One testbed, gateway and DHCP server for all tests of a class."""

    changed: ClassVar[Mapping[str, str]] = {}
    files: ClassVar[Mapping[str, str]] = {}
    server: ClassVar[Sequence[subprocess.Popen[bytes]]] = ()
    machines: ClassVar[Mapping[str, Machine]] = {}

    def setUp(self) -> None:
        """The machines have no address."""
        super().setUp()
        self.laptop, self.phone = self.machines["laptop"], self.machines["phone"]
        self.addCleanup(self.laptop.vanish)
        self.addCleanup(self.phone.vanish)

    def build(self) -> tuple[LeasedTestbed, Gateway]:
        """With everything that runs."""
        testbed = LeasedTestbed(PREFIX, hosts=self.hosts, clients=self.clients)
        testbed.__enter__()
        try:
            type(self).files = self.written(testbed.folder)
            sections = YAML(typ="safe").load(self.files["/etc/realmgw/realmgw.yaml"])
            gateway = Gateway(testbed, self.subscribers(), settings={**sections, **self.settings})
            gateway.start()
            host.start(testbed)
            type(self).machines = {name: Machine(testbed, name) for name in testbed.machines}
            self.testbed = testbed
            self.serve()
        except BaseException:
            testbed.close()
            raise
        return testbed, gateway

    def written(self, folder: Path) -> dict[str, str]:
        """Writes what the page has into a folder; returns it, with that folder in place of others, and other times."""
        found = {}
        for place, text in documented().items():
            found[place] = re.sub(r"(?<![\w/])/(?:etc|var|usr)/[\w/.-]*/", f"{folder}/", text)
        for before, after in self.changed.items():
            [place] = [place for place, text in found.items() if before in text]
            found[place] = found[place].replace(before, after)
        for place, text in found.items():
            path = folder / Path(place).name
            if path.name != "realmgw.yaml":  # which is a part of the testbed's own
                path.write_text(text)
                path.chmod(0o700)
        return found

    def commands(self) -> Sequence[Sequence[str]]:
        """How the server is started: a process for each."""
        raise NotImplementedError

    def program(self, name: str) -> str:
        """A program, in the folder of all of this."""
        return copied(name, self.testbed.folder)

    def file(self, name: str) -> str:
        """Where a file of the page is."""
        return str(self.testbed.folder / name)

    def serve(self) -> None:
        """Starts the DHCP server, and waits until it listens."""
        type(self).server = [self.testbed.spawn("gwa", argv, log="dhcp.log") for argv in self.commands()]
        generator.wait_for_socket(self.testbed, "gwa", self.server[-1], ":67", log="dhcp.log")

    def quit(self) -> None:
        """Ends the DHCP server, as an init system does."""
        for process in self.server:
            process.terminate()
            process.wait(PATIENCE)

    def until(self, holds: Callable[[], object], *, pause: float = 0.05) -> None:
        """Waits for something to become true."""
        end = time.monotonic() + PATIENCE
        while not holds():
            words = (self.testbed.folder / "dhcp.log").read_text(errors="replace")[-3000:]
            self.assertLess(time.monotonic(), end, words)
            time.sleep(pause)

    def joins(self, machine: Machine, kind: str, name: str = "", **how: Any) -> str:
        """A machine comes; returns the address that it gets."""
        machine.join(kind, name, **how)
        self.until(machine.address)
        return machine.address()

    def told(self, name: str, kind: str = "A") -> list[str]:
        """What the LAN is told of a name."""
        query = dns.message.make_query(name, kind)
        with contextlib.suppress(dns.exception.Timeout):
            answer = self.testbed.call("test_gwa", dns.query.udp, query, "192.168.0.1", 1.0)
            return [str(record) for each in answer.answer for record in each]
        return ["nothing"]

    def names_of(self, address: str) -> list[str]:
        """What the LAN is told of an address."""
        return self.told(str(dns.reversename.from_address(address)), "PTR")

    def is_known(self, name: str, address: str) -> None:
        """Waits until the LAN knows the name, and the address by the name."""
        self.until(lambda: (self.told(name), self.names_of(address)) == ([address], [name]))

    def is_unknown(self, name: str, address: str) -> None:
        """Waits until the LAN knows neither of both any more, and the Internet does not know the name."""
        self.until(lambda: (self.told(name), self.names_of(address)) == ([], []))
        self.assertEqual(self.public(client.resolve(name)).rcode, "NXDOMAIN")

    def reached(self, name: str) -> str:
        """The host that a client in the Internet reaches by a name."""
        return self.public(client.fetch(self.ask(name)))


class ComingTestCase(DhcpTestCase):
    """Hosts come and go."""

    def expire(self) -> None:
        """Lets leases end that nobody renews."""

    def test_comes_changes_and_expires(self) -> None:
        """Who renews a lease stays reachable, and is reached at the address that he has; he is gone with it."""
        address = self.joins(self.laptop, "dhclient", "laptop", alone=True)
        self.is_known("laptop.gwa.demo.", address)
        self.assertEqual(self.reached("laptop.gwa.demo."), address)
        self.laptop.vanish()
        another = next(each for each in ANOTHER if each != address)  # it came by chance
        other = self.joins(self.laptop, "dhclient", "laptop", address=another)
        self.assertEqual(other, another)
        self.is_known("laptop.gwa.demo.", other)
        with ThreadPoolExecutor(1) as pool:
            self.assertEqual(self.download(pool, "laptop.gwa.demo.", 2_500_000).result(PATIENCE).host, other)
        self.assertEqual(self.reached("laptop.gwa.demo."), other)
        self.laptop.vanish()
        self.expire()
        self.is_unknown("laptop.gwa.demo.", other)
        self.until(lambda: not self.names_of(address))


class StoryTestCase(ComingTestCase):
    """What is to be seen of every server."""

    def taken(self, ours: str, theirs: str) -> None:
        """Waits for what comes of a name that two clients tell: the first one keeps it."""
        self.is_known("laptop.gwa.demo.", ours)
        self.until(lambda: not self.names_of(theirs))

    def test_is_released(self) -> None:
        """Who gives his address back is gone at once, in capitals, and if the server was started anew meanwhile."""
        address = self.joins(self.phone, "udhcpc", "PHONE")
        self.is_known("phone.gwa.demo.", address)
        self.assertEqual(self.reached("phone.gwa.demo."), address)
        self.quit()
        self.serve()
        self.phone.renew()
        self.is_known("phone.gwa.demo.", address)
        self.phone.release()
        self.is_unknown("phone.gwa.demo.", address)

    def test_names_of_others(self) -> None:
        """Neither a subscriber's name nor a name server's, another client's, the zone's or everybody's is to be had."""
        ours = self.joins(self.laptop, "dhclient", "laptop")
        self.is_known("laptop.gwa.demo.", ours)
        names = ("one.gwa.demo.", "ns1.gwa.demo.", "gwa.demo.", "nobody.gwa.demo.")
        before = [self.told(name) for name in names]
        for name in ("one", "ns1", "@", "*", "-x_y-", "caf\u00e9", "x" * 64, ""):
            self.assertTrue(self.joins(self.phone, "udhcpc", name))
            self.phone.vanish()
        theirs = self.joins(self.phone, "udhcpc", "phone")
        self.is_known("phone.gwa.demo.", theirs)
        self.assertEqual([self.told(name) for name in names], before)
        self.assertEqual(self.names_of(FIRST), ["one.gwa.demo."])
        self.phone.vanish()
        theirs = self.joins(self.phone, "udhcpc", "laptop")
        self.taken(ours, theirs)
        self.phone.release()

    def test_gateway_is_away(self) -> None:
        """Who was there before is there at once; who came meanwhile, when he renews his lease."""
        address = self.joins(self.laptop, "dhclient", "laptop")
        self.is_known("laptop.gwa.demo.", address)
        self.gateway.kill()
        other = self.joins(self.phone, "udhcpc", "phone")
        self.gateway.start()
        self.assertEqual(self.reached("laptop.gwa.demo."), address)

        def is_made_up_for() -> bool:
            self.phone.renew()
            return self.told("phone.gwa.demo.") == [other]

        self.until(is_made_up_for, pause=0.5)
        self.assertEqual(self.reached("phone.gwa.demo."), other)
        self.phone.release()
        self.is_unknown("phone.gwa.demo.", other)
