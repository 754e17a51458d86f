"""SYNs that have to come twice, sent by real sockets through a kernel, of both families."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.twice import TOLD
from realmgw.control.command.client import ask
from realmgw.datapath import twice
from realmgw.datapath.apply import Kernel
from realmgw.datapath.batches import Elements, Word
from realmgw.datapath.filling import Filling
from realmgw.datapath.watch.keeper import Noticed
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.datapath_case import PATIENCE, PREFIX, TO_FIRST, until
from realmgw.test.kernel.dualstack_case import OWN, TO_FIRST6, DualStackTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.load.generator import Load, Strays
    from testbed.programs import synproxied
    from testbed.realm.gateway import ZONE, Gateway, Subscriber
    from testbed.realm.topology import ATTACKER, SOURCES, Testbed

PORT = 2000
"""Where SYNs come from."""
ASKED = ("syn_first", "syn_soon", "syn_again", "syn_unnoted", "presented")
FILLED = 60_000  # milliseconds
"""For so long elements stay that a test puts there."""
SLICE = 1 << 15


class TwiceTests(DualStackTestCase):
    """What the first packet of a flow meets. Where nobody is at the queue, what comes to it is counted and dropped."""

    def ask(self, *, asked: bool = True) -> None:
        """SYNs have to come twice, or not."""
        self.testbed.call("gwa", self.kernel.ask_twice, asked=asked)

    def syn(self, to: str = TO_FIRST, port: int = PORT) -> None:
        """One SYN from a port to port 80; the same again is one of the same flow."""
        self.family = socket.AF_INET6 if ":" in to else socket.AF_INET
        with self.make("public", socket.SOCK_STREAM, port=port) as client:
            client.setblocking(False)
            self.assertEqual(client.connect_ex((to, 80)), errno.EINPROGRESS)

    def counts(self) -> tuple[int, ...]:
        """What each of `ASKED` has counted."""
        found = self.testbed.call("gwa", self.kernel.figures)[0]
        return tuple(found[name].packets for name in ASKED)

    def come(self, *counts: int) -> None:
        """So many are counted."""
        self.assertTrue(until(lambda: self.counts() == counts), self.counts())

    def test_the_first_one_is_dropped_and_a_later_one_goes_on(self) -> None:
        """Both families, and a host at its own address."""
        self.ask()
        for passed, to in enumerate((TO_FIRST, TO_FIRST6, OWN)):
            first = self.packets("syn_first")
            self.syn(to)
            self.counted("syn_first", first + 1)
            self.assertEqual(self.packets("presented"), passed)

            def goes_on(to: str = to, passed: int = passed) -> bool:
                self.syn(to)
                return self.packets("presented") > passed

            self.assertTrue(until(goes_on))
            self.assertEqual(self.packets("syn_again"), self.packets("presented"))

    def test_one_that_follows_at_once_is_none_that_comes_again(self) -> None:
        """Who sends each SYN two times does not get in by that; a datagram behind it shows that it has passed by."""
        self.ask()
        for to in (TO_FIRST, TO_FIRST6):
            before, ports = self.packets("syn_soon"), iter(range(PORT, PORT + 10_000))

            def presented(to: str = to, ports: Iterator[int] = ports) -> int:
                first, port = self.packets("presented"), next(ports)
                self.syn(to, port)
                self.syn(to, port)
                self.udp().sendto(b"", (to, 53))
                self.counted("presented", first + 1)
                return self.packets("presented") - first

            came = [presented()]
            while self.packets("syn_soon") == before:  # the machine was too slow for that
                came.append(presented())
            self.assertEqual(came[-1], 1)

    def test_another_flow_is_another(self) -> None:
        """Of the same client: by its port."""
        self.ask()
        for port in range(PORT, PORT + 10):
            self.syn(port=port)
        self.come(10, 0, 0, 0, 0)

    def test_a_client_gets_through(self) -> None:
        """Its own TCP sends the second one, and what follows is not asked."""
        self.decide()
        self.ask()
        for to, host in ((TO_FIRST, self.testbed.hosts[0]), (TO_FIRST6, self.testbed.hosts6[0])):
            self.family = socket.AF_INET6 if ":" in to else socket.AF_INET
            client, connection = self.connected(to, host)
            client.sendall(b"hello")
            self.assertEqual(connection.recv(5), b"hello")
        self.assertEqual(self.counts(), (2, 0, 2, 0, 2))

    def test_a_flow_of_before_goes_on(self) -> None:
        """And nothing of it is counted."""
        self.decide()
        self.family = socket.AF_INET
        client, connection = self.connected(TO_FIRST, self.testbed.hosts[0])
        self.ask()
        client.sendall(b"hello")
        self.assertEqual(connection.recv(5), b"hello")
        self.assertEqual(self.counts(), (0, 0, 0, 0, 1))

    def test_it_is_switched_off_again(self) -> None:
        """Then the first one goes on; to switch off what is off is no fault."""
        self.ask()
        self.syn()
        self.come(1, 0, 0, 0, 0)
        for _ in range(2):
            self.ask(asked=False)
        for to in (TO_FIRST, TO_FIRST6):
            self.syn(to, PORT + 1)
        self.come(1, 0, 0, 0, 2)

    def test_a_start_begins_without(self) -> None:
        """Also after one that was killed while it asked: nobody would switch it off."""
        self.ask()
        self.kernel.close()
        self.kernel = Kernel(self.settings)
        self.addCleanup(self.kernel.close)
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        for to in (TO_FIRST, TO_FIRST6):
            self.syn(to)
        self.come(0, 0, 0, 0, 2)

    def test_it_does_not_outlive_a_purge(self) -> None:
        """Whoever had it asked has ended then: nobody would switch it off behind the next reload."""
        self.ask()
        self.testbed.call("gwa", self.kernel.purge)
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        for to in (TO_FIRST, TO_FIRST6):
            self.syn(to)
        self.come(0, 0, 0, 0, 2)

    def test_datagrams_are_not_asked(self) -> None:
        """They come once, as ever."""
        self.ask()
        for family, to in ((socket.AF_INET, TO_FIRST), (socket.AF_INET6, TO_FIRST6)):
            self.family = family
            self.udp().sendto(b"", (to, 53))
        self.come(0, 0, 0, 0, 2)

    def test_it_leaves_nothing_in_conntrack(self) -> None:
        """What is dropped before it is admitted has no entry."""
        self.ask()
        for to in (TO_FIRST, TO_FIRST6):
            self.syn(to)
        self.come(2, 0, 0, 0, 0)
        for family in ("ipv4", "ipv6"):
            listed = self.testbed.run("gwa", ["conntrack", "-L", "-f", family, "-p", "tcp"])
            self.assertEqual((listed.stdout, listed.returncode), ("", 0))

    def test_it_is_nothing_that_somebody_else_has_changed(self) -> None:
        """The watch finds all as it was placed; and after a flush it is as it was, not as it began."""
        for asked, counts in ((True, (1, 0, 0, 0, 0)), (False, (0, 0, 0, 0, 1))):
            self.ask(asked=asked)
            self.assert_stands()
            self.nft("flush", "ruleset")
            found = self.testbed.call("gwa", self.kernel.look, Noticed(), lambda: self.hosts)
            self.assertTrue(found.repaired)
            self.syn()
            self.come(*counts)

    def test_a_full_set_lets_nothing_pass(self) -> None:
        """It fails closed, and is counted; the other family has room."""
        self.ask()
        filling = self.testbed.call("gwa", Filling, "realmgw")
        self.addCleanup(filling.close)
        first, port = int(IPv4Address("198.18.0.0")), PORT.to_bytes(2, "big") + bytes(2)
        rest = port + bytes(4) + port
        for start in range(0, twice.MOST, SLICE):
            keys = ((first + at).to_bytes(4, "big") + rest for at in range(start, start + SLICE))
            some = Elements("add", "syns", tuple((Word("", key), None) for key in keys), FILLED)
            self.testbed.call("gwa", filling.run, (some,))
        self.syn()
        self.come(0, 0, 0, 1, 0)
        self.syn(TO_FIRST6)
        self.come(1, 0, 0, 1, 0)


class GatewayTests(SynchronousTestCase):
    """The whole gateway, with a queue that has room for one packet, and a flood that any machine sends."""

    skip = requirements.missing_for_gateway() or programs.missing("cc", "make")
    rate = 3000

    def setUp(self) -> None:
        """It runs."""
        generator.build()
        self.testbed = Testbed(PREFIX, hosts=2, routed=[synproxied.POOL], sources=[SOURCES], attackers=True)
        self.testbed.__enter__()
        self.addCleanup(self.testbed.close)
        generator.start_hosts(self.testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(self.testbed.hosts)}
        self.names = generator.write_names(self.testbed.folder / "names", hosts)
        self.gateway = Gateway(
            self.testbed,
            [Subscriber(name, address) for name, address in hosts.items()],
            circular=[{"addresses": synproxied.POOL, "attachment": "routed"}],
            settings={"admission": {"queue_length": 1, "per_turn": 1}},
        )
        self.gateway.start()
        self.addCleanup(self.gateway.stop)

    def asks(self, *, asked: bool) -> bool:
        """Comes to ask, or not."""
        return until(lambda: self.counted("asks_twice") == asked)

    def counted(self, name: str) -> int:
        """What the admission has counted."""
        found: int = ask(self.gateway.control, "status")["counts"]["admission"][name]
        return found

    def test_it_begins_with_a_flood_and_ends_with_it(self) -> None:
        """Meanwhile clients come through, none of a flood's packets is looked at, and it is told."""
        self.assertEqual(self.counted("asks_twice"), 0)
        forged = Strays(synproxied.TARGETS, synproxied.FORGED, rate=self.rate, seconds=4 * PATIENCE)
        flood = generator.start_strays(self.testbed, forged, ATTACKER)
        self.addCleanup(flood.communicate)
        self.addCleanup(flood.kill)
        self.assertTrue(self.asks(asked=True))
        before = self.counted("admitted")
        load = Load(names=self.names, via="tcp", rate=20.0, seconds=2.0, retries=5, reply_timeout=PATIENCE)
        outcome = generator.run_flows(self.testbed, load)
        self.assertGreater(outcome.started, 0)
        self.assertEqual(outcome.ok, outcome.started, outcome.lost)
        self.assertLess(self.counted("admitted") - before, 2 * outcome.started)
        self.assertIn(TOLD, self.gateway.log.read_text())
        self.assertIsNone(flood.poll())
        flood.kill()
        self.assertTrue(self.asks(asked=False))
        self.assertEqual((self.counted("overloads"), self.counted("overloads_futile")), (1, 0))
