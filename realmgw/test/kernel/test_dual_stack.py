"""The whole gateway with both families, started by twistd, between real clients and real hosts in namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.trial.unittest import SkipTest

from realmgw.control.command.client import ask
from realmgw.test.kernel import requirements
from realmgw.test.kernel.datapath_case import must
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.player import visits
    from testbed.realm import client, host, ipv6
    from testbed.realm.gateway import Subscriber
    from testbed.realm.resolvers import RESOLVERS, Resolver

FIRST6, SECOND6, ONLY6 = "fd00::100", "fd00::101", "fd00::102"
"""The private hosts by IPv6; the third one has no other address."""
OWN6 = "2001:db8:5::101"
"""A host's own public address."""
POOL4 = {"addresses": "100.64.1.131-100.64.1.133", "attachment": "on-link"}
ROUTED6 = {"addresses": "2001:db8:2::/64", "attachment": "routed"}
ON_LINK6 = {"addresses": "2001:db8:1:0:1::/80", "attachment": "on-link"}
"""Pools of the testbed."""
SLOT = 2.1  # seconds
"""A claim is over by then."""


class DualTestCase(RealmTestCase):
    """Hosts with both families, a pool of either."""

    skip = requirements.missing_for_gateway() or requirements.missing_ipv6()
    hosts: ClassVar[int] = 3
    resolvers: ClassVar[bool] = True
    circular: ClassVar[Sequence[Mapping[str, str]]] = (POOL4, ROUTED6)

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Two hosts with both families, one with IPv6 only, one with IPv4 only."""
        return [
            Subscriber("one.gwa.demo.", FIRST, address6=FIRST6),
            Subscriber("two.gwa.demo.", "192.168.0.101", address6=SECOND6),
            Subscriber("six.gwa.demo.", "", address6=ONLY6),
            Subscriber("four.gwa.demo.", "192.168.0.102"),
        ]

    def ask6(self, name: str, **how: Any) -> str:
        """The IPv6 address that a public client is answered."""
        return self.public(client.address_of(name, kind="AAAA", server=ipv6.GATEWAY, **how))

    def unreachables6(self) -> int:
        """How many ICMPv6 destination-unreachable messages the public clients have received."""
        with self.testbed.inside("public"):
            lines = Path("/proc/thread-self/net/snmp6").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Icmp6InDestUnreachs"))

    def assert_refused6(self, number: int, unreachables: int, doing: Any) -> None:
        """A flow fails with an error, and that was told by so many ICMPv6 messages (none: by TCP RST)."""
        before = self.unreachables6()
        error = self.assertRaises(OSError, self.public, doing)
        self.assertEqual((number, unreachables), (error.errno, self.unreachables6() - before))


class FlowTests(DualTestCase):
    """A name is asked for AAAA, and a flow is opened to the answer."""

    def test_carries_every_protocol(self) -> None:
        """TCP, UDP, ICMPv6 echo and SCTP to the answered address reach the name's host."""
        self.assertEqual(FIRST6, self.public(client.fetch(self.ask6("one.gwa.demo"))))
        self.assertEqual([SECOND6] * 3, self.public(client.echo(self.ask6("two.gwa.demo"), burst=3)))
        self.assertEqual(ONLY6, self.public(client.ping(self.ask6("six.gwa.demo"))))
        self.assertEqual(FIRST6, self.public(client.associate(self.ask6("one.gwa.demo"))))

    def test_gives_no_address_twice(self) -> None:
        """Each flow has an address of its own, drawn from the whole /64."""
        asked = []
        for _ in range(20):
            asked.append(self.ask6("one.gwa.demo"))
            self.assertEqual(FIRST6, self.public(client.fetch(asked[-1])))
        self.assertEqual(len(set(asked)), 20)
        self.assertTrue(all(IPv6Address(each) in IPv6Network(ipv6.ROUTED) for each in asked))
        self.assertTrue(len({int(IPv6Address(each)) >> 48 & 0xFFFF for each in asked}) > 10, asked)

    def test_answers_for_families_that_a_host_has(self) -> None:
        """AAAA of a host that has IPv4 only is no data, and so is A of one that has IPv6 only."""
        for name, kind in (("four.gwa.demo", "AAAA"), ("six.gwa.demo", "A")):
            answer = self.public(client.resolve(name, kind=kind, server=ipv6.GATEWAY))
            self.assertEqual(("NOERROR", []), (answer.rcode, answer.message.answer))
        self.assertEqual("192.168.0.102", self.public(client.fetch(self.ask("four.gwa.demo"))))

    def test_tells_the_realm_private_addresses(self) -> None:
        """On the LAN, a name has its host's own address of each family."""
        for kind, expected in (("A", FIRST), ("AAAA", FIRST6)):
            doing = client.resolve("one.gwa.demo", kind=kind, server=ipv6.GATEWAY_LAN)
            self.assertEqual([expected], self.testbed.call("test_gwa", asyncio.run, doing).addresses)

    def test_serves_names_of_its_own(self) -> None:
        """The name server of the zone has an address of each family."""
        for kind, expected in (("A", "100.64.1.130"), ("AAAA", ipv6.GATEWAY)):
            answer = self.public(client.resolve("ns1.gwa.demo", kind=kind, server=ipv6.GATEWAY))
            self.assertEqual([expected], answer.addresses)

    def test_serves_parallel_connections(self) -> None:
        """A browser's further connections are let in with the first one."""
        address = self.ask6("one.gwa.demo")

        async def six() -> list[str]:
            return await asyncio.gather(*(client.fetch(address) for _ in range(6)))

        self.assertEqual([FIRST6] * 6, self.public(six()))

    def test_keeps_the_address_for_its_client(self) -> None:
        """Long after the claim, the client that came finds its host there, and who guesses the next one does not."""
        address = self.ask6("one.gwa.demo")
        self.assertEqual(FIRST6, self.public(client.fetch(address, source=self.testbed.clients6[0])))
        time.sleep(SLOT)
        self.assertEqual(FIRST6, self.public(client.fetch(address, source=self.testbed.clients6[0])))
        guess = str(IPv6Address(int(IPv6Address(address)) ^ 1))
        self.assertRaises(OSError, self.public, client.fetch(guess, timeout=1.0, source=self.testbed.clients6[0]))

    def test_a_program_with_both_families_comes_by_ipv6(self) -> None:
        """Curl asks for both by itself, and takes IPv6; told to take IPv4, it reaches the same host by that."""
        for options, expected in (((), FIRST6), (("-4",), FIRST)):
            words = ["curl", "--silent", "--max-time", "2", *options, "http://one.gwa.demo/"]
            done = self.testbed.run("public", ["ip", "netns", "exec", self.testbed.name("public"), *words])
            self.assertEqual(f"This is {expected}.\n", done.stdout)


class StrayTests(DualTestCase):
    """Nobody was announced at an address: the sender is told by his protocol (RFC 4443)."""

    def setUp(self) -> None:
        """The address is beside one that somebody is waited for at."""
        super().setUp()
        self.guess = str(IPv6Address(int(IPv6Address(self.ask6("one.gwa.demo"))) ^ 1))

    def test_refuses_tcp(self) -> None:
        """By RST."""
        self.assert_refused6(errno.ECONNREFUSED, 0, client.fetch(self.guess))

    def test_refuses_udp(self) -> None:
        """By ICMPv6 port unreachable."""
        self.assert_refused6(errno.ECONNREFUSED, 1, client.echo(self.guess))

    def test_refuses_others(self) -> None:
        """By ICMPv6 administratively prohibited."""
        self.assert_refused6(errno.EACCES, 1, client.ping(self.guess))
        self.assert_refused6(errno.EACCES, 1, client.associate(self.guess))

    def test_refuses_a_private_address(self) -> None:
        """Who routes packets to the private addresses past the gateway's back does not get there."""
        must(self.testbed, "router", ["ip", "route", "replace", ipv6.LAN, "via", ipv6.GATEWAY])
        self.addCleanup(self.testbed.run, "router", ["ip", "route", "delete", ipv6.LAN])
        self.assertRaises(OSError, self.public, client.fetch(FIRST6, timeout=0.5))
        self.assertRaises(OSError, self.public, client.fetch("2001:db8:5::100", timeout=0.5))


class SiblingTests(DualTestCase):
    """A dual-stack client asks for both families, and comes by one."""

    def setUp(self) -> None:
        """Nothing is pending from before."""
        super().setUp()
        time.sleep(SLOT)

    def allocation(self) -> dict[str, int]:
        """What the gateway counts."""
        counts: dict[str, int] = ask(self.gateway.control, "status")["counts"]["allocation"]
        return counts

    async def ask_both(self, name: str) -> str:
        """Asks for both addresses in one go, as stubs do; returns that of IPv6."""
        kinds = (client.address_of(name, kind=kind, server=ipv6.GATEWAY) for kind in ("A", "AAAA"))
        _, address = await asyncio.gather(*kinds)
        return address

    def come(self, times: int) -> None:
        """So many clients of each of two hosts come by IPv6."""
        for name in ("one", "two") * times:
            self.assertIn(self.public(client.fetch(self.public(self.ask_both(f"{name}.gwa.demo")))), (FIRST6, SECOND6))

    def test_who_comes_by_ipv6_gives_the_other_address_back(self) -> None:
        """All three addresses of IPv4 are free again as soon as the packets by IPv6 come; nobody is blamed."""
        self.come(8)  # by which it becomes known that who asks wants both
        time.sleep(SLOT + 0.2)
        before = self.allocation()
        self.come(3)
        after = self.allocation()
        self.assertEqual(after["lapsed"], before["lapsed"])
        self.assertEqual(after["settled"], before["settled"] + 6)
        self.assertEqual((after["pending"], after["waited"]), (0, before["waited"]))

    def test_who_asks_for_one_family_each_takes_nothing_from_the_other(self) -> None:
        """Two clients of one resolver, who want the same host at about the same time: the other is expected still."""
        address = self.public(client.address_of("one.gwa.demo", server=ipv6.GATEWAY))
        time.sleep(0.05)
        self.assertEqual(self.public(client.fetch(self.ask6("one.gwa.demo"))), FIRST6)
        self.assertEqual(self.allocation()["pending"], 1)
        self.assertEqual(self.public(client.fetch(address)), FIRST)

    def test_who_comes_by_ipv4_is_served(self) -> None:
        """The sibling of IPv6 is ended, and the host is reached."""
        self.ask6("one.gwa.demo")
        address = self.public(client.address_of("one.gwa.demo", server=ipv6.GATEWAY))
        self.assertEqual(FIRST, self.public(client.fetch(address)))


class LifeTests(DualTestCase):
    """The gateway goes and comes back."""

    def test_keeps_flows_when_killed(self) -> None:
        """After SIGKILL a download by IPv6 goes on to its end, no new flow passes, and a restart serves again."""
        address = self.ask6("one.gwa.demo")
        with ThreadPoolExecutor(1) as pool:
            path = "/download?bytes=1500000&rate=1000000"
            running = pool.submit(self.public, client.download(address, 80, path, timeout=20.0))
            time.sleep(0.3)
            self.gateway.kill()
            self.assertRaises(OSError, self.public, client.fetch("2001:db8:2::1234", timeout=0.5))
            self.assertRaises(OSError, self.public, client.fetch(address, timeout=0.5))
            self.assertFalse(running.done())
            self.gateway.start()
            got = running.result(20.0)
        self.assertEqual(host.checksum(FIRST6, 1_500_000), got.checksum)
        self.assertEqual(SECOND6, self.public(client.fetch(self.ask6("two.gwa.demo"))))

    def test_leaves_nothing_when_purged(self) -> None:
        """With `--purge` the kernel has no rule and no route of ours after the stop; a start puts all of it back."""
        self.gateway.stop()
        self.gateway.start("--purge")
        self.gateway.stop()
        self.assertNotIn("realmgw", self.testbed.run("gwa", ["nft", "list", "ruleset"]).stdout)
        self.assertNotIn("2001:db8:2:", self.testbed.run("gwa", ["ip", "-6", "route", "show", "table", "all"]).stdout)
        self.gateway.start()
        self.assertEqual(FIRST6, self.public(client.fetch(self.ask6("one.gwa.demo"))))


class OnLinkTests(DualTestCase):
    """A pool prefix of the WAN link: the gateway answers neighbour solicitations for what lives in it."""

    circular: ClassVar[Sequence[Mapping[str, str]]] = (POOL4, ON_LINK6)

    def test_carries_flows(self) -> None:
        """The router finds the address that was lent."""
        address = self.ask6("one.gwa.demo")
        self.assertIn(IPv6Address(address), IPv6Network(ipv6.ON_LINK))
        self.assertEqual(FIRST6, self.public(client.fetch(address)))
        self.assertEqual([SECOND6], self.public(client.echo(self.ask6("two.gwa.demo"))))

    def test_answers_for_no_other_address(self) -> None:
        """The router finds nobody at a guessed one, and says so."""
        guess = str(IPv6Network(ipv6.ON_LINK)[0x1234])
        error = self.assertRaises(OSError, self.public, client.fetch(guess, timeout=5.0))
        self.assertEqual(error.errno, errno.EHOSTUNREACH)

    def test_finds_flows_after_a_restart(self) -> None:
        """A download goes on though the gateway is killed and the router forgets where the address is."""
        address = self.ask6("one.gwa.demo")
        with ThreadPoolExecutor(1) as pool:
            path = "/download?bytes=1500000&rate=1000000"
            running = pool.submit(self.public, client.download(address, 80, path, timeout=20.0))
            time.sleep(0.3)
            self.gateway.kill()
            self.gateway.start()
            self.testbed.run("router", ["ip", "-6", "neigh", "flush", "dev", "gwa"])
            self.assertEqual(host.checksum(FIRST6, 1_500_000), running.result(20.0).checksum)


class PinholeTests(DualTestCase):
    """A host with a public address of its own: the claim opens it for the next flow."""

    through: ClassVar[int] = 1
    """Of six transfers at a time."""
    circular: ClassVar[Sequence[Mapping[str, str]]] = (POOL4,)
    settings: ClassVar[Mapping[str, Any]] = {"ipv6": {"prefixes": [{"prefix": "2001:db8:5::/64", "mode": "pinhole"}]}}

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """One host with a public address by IPv6."""
        return [Subscriber("own.gwa.demo.", "192.168.0.101", address6=OWN6)]

    def test_is_closed_before_and_open_after_the_query(self) -> None:
        """Unclaimed packets are refused; after the query its client comes in, and no other one later."""
        time.sleep(SLOT)  # whoever was expected by another test
        client6 = self.testbed.clients6[1]
        self.assert_refused6(errno.ECONNREFUSED, 0, client.fetch(OWN6, source=client6))
        self.assert_refused6(errno.ECONNREFUSED, 1, client.echo(OWN6, source=client6))
        self.assertEqual(OWN6, self.ask6("own.gwa.demo"))
        self.assertEqual(OWN6, self.public(client.fetch(OWN6, source=client6)))
        time.sleep(SLOT)
        self.assert_refused6(errno.ECONNREFUSED, 0, client.fetch(OWN6, source=self.testbed.clients6[2]))

    def test_carries_udp_and_echoes(self) -> None:
        """Each of them after a query of its own."""
        self.ask6("own.gwa.demo")
        self.assertEqual([OWN6], self.public(client.echo(OWN6)))
        self.ask6("own.gwa.demo")
        self.assertEqual(OWN6, self.public(client.ping(OWN6)))

    def test_clients_of_several_flows(self) -> None:
        """Curl does six transfers at a time after one query: one comes through, and all where that is said."""
        time.sleep(SLOT)
        words = ["curl", "--silent", "--max-time", "2", "--parallel", "--parallel-immediate", "--http1.0", "--resolve"]
        words += [f"own.gwa.demo:80:[{self.ask6('own.gwa.demo')}]"]
        for number in range(6):
            words += ["--output", "-", f"http://own.gwa.demo/{number}"]
        argv = ["ip", "netns", "exec", self.testbed.name("public"), *words]
        self.assertEqual(self.testbed.run("public", argv).stdout.count(f"This is {OWN6}."), self.through)


class ClientPinholeTests(PinholeTests):
    """The operator has said that who sent the next flow may open further ones."""

    through: ClassVar[int] = 6
    settings: ClassVar[Mapping[str, Any]] = {"ipv6": {**PinholeTests.settings["ipv6"], "pinhole": "client"}}


class KeepingResolverTests(DualTestCase):
    """A resolver that keeps answers for a minute, whatever their TTL, and asks by IPv6."""

    clients: ClassVar[int] = 12

    def test_leads_nobody_to_a_wrong_host(self) -> None:
        """Clients who are told the same address again and again reach its host, or nobody."""
        unbound = next(kind for kind in RESOLVERS if kind.program == "unbound")
        if (missing := unbound.missing()) is not None:
            raise SkipTest(missing)
        address, address6 = self.testbed.clients[11], self.testbed.clients6[11]
        lines = ("cache-min-ttl: 60",)
        with Resolver(self.testbed, unbound, address, lines=lines, address6=address6):
            hosts = {"one.gwa.demo": FIRST6, "two.gwa.demo": SECOND6, "six.gwa.demo": ONLY6}
            done = []
            for source in self.testbed.clients6[:8]:
                for name, expected in hosts.items():
                    how = {"kind": "AAAA", "server": address6, "source": source}
                    done.append(self.public(visits.visit(name, expected, how=how)))
                time.sleep(0.5)
        self.assertEqual([], [each for each in done if each.mis_delivered])
        self.assertTrue(all(each.succeeded for each in done[:3]), done[:3])
        self.assertLessEqual(len({each.address for each in done}), 3 * 2)
