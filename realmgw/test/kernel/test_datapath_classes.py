"""Classes of hosts by their rules, in a kernel: they come and go, are shared, and put back; what it lists of them."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import termios
import threading
from functools import partial
from typing import ClassVar

from realmgw.datapath.apply import Kernel
from realmgw.datapath.nft import Libnftables
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.watch.keeper import Noticed
from realmgw.errors import RealmGatewayError
from realmgw.test.kernel.datapath_case import TO_SECOND, until

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    pass

from realmgw.test.kernel.rules_case import EVERYTHING, FAMILIES, RulesTestCase, family_of

_RCVBUFFORCE = 33  # SO_RCVBUFFORCE


def all_arrived(client: socket.socket) -> bool:
    """Whether the other side has acknowledged everything."""
    return not any(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))


class ChangeTests(RulesTestCase):
    """Hosts come and go, and their rules change."""

    def names(self) -> set[str]:
        """What stands of classes."""
        text = self.nft("list", "table", "inet", "realmgw")
        words = (line.split() for line in text.splitlines() if line.startswith("\t") and line.endswith("{"))
        kinds = ("class_", "rule_", "limit4", "limit6", "flows4", "flows6")
        return {word[1] for word in words if word[1].startswith(kinds)}

    def test_a_class_comes_with_its_first_host_and_goes_with_the_last(self) -> None:
        """Hosts of which the same is said share it; nothing of it is left."""
        limited = (
            "{priority: 1, direction: EGRESS, limit: {limit: 9/sec}, connlimit: {connlimit-above: 9}, target: DROP}"
        )
        self.assertEqual(self.names(), set())
        self.say(limited)
        names = {"class_1_out", "rule_1_1", "limit4_1_1", "limit6_1_1", "flows4_1_1", "flows6_1_1"}
        self.assertEqual(self.names(), names)
        self.say(limited, hosts=(0, 1, 2))
        self.assertEqual(self.names(), names)
        self.lead(self.hosts[1:])
        self.lead(self.hosts[1:])
        self.assertEqual(self.names(), names)
        self.lead(self.hosts[1:])
        self.assertEqual(self.names(), set())
        self.assertFalse(self.kernel.classes)
        for each in ("classes4", "classes6", "egress", "ingress"):
            self.assertNotIn("elements", self.nft("list", "map", "inet", "realmgw", each))
        self.assert_stands()

    def test_a_start_has_what_changes_lead_to(self) -> None:
        """But for the numbers."""
        self.say(EVERYTHING, hosts=(0, 2))
        changed = self.tables()
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(self.tables(), changed)

    def test_what_began_goes_on_and_what_begins_obeys(self) -> None:
        """A rule is asked when a flow begins."""
        before = {(family, way): self.connect(inwards=way, family=family, port=80 + family)
                  for family in FAMILIES for way in (True, False)}  # fmt: skip
        self.say(EVERYTHING)
        for key, client in before.items():
            assert isinstance(client, socket.socket), key
            client.sendall(b"still here")
            self.assertTrue(until(partial(all_arrived, client)), key)
            self.assertFalse(self.datagram(inwards=key[1], family=key[0], port=99))

    def test_a_change_that_the_kernel_refuses_changes_nothing(self) -> None:
        """And the next one does."""
        self.say(EVERYTHING)
        standing, classes = self.tables(), dict(self.kernel.classes.by_rules)
        self.nft("add", "chain", "inet", "realmgw", "class_2_out")
        self.testbed.call("gwa", self.kernel.look, Noticed(lost=True), lambda: self.hosts)
        self.assertEqual(self.tables(), standing)
        self.assertEqual(self.kernel.classes.by_rules, classes)
        self.say("{priority: 1, direction: EGRESS, target: DROP}")
        self.assertFalse(self.datagram(inwards=False, family=4, port=99))

    def test_what_others_do_to_it_is_put_back(self) -> None:
        """A rule that is gone, an element that is another, a flush of everything."""
        self.say(EVERYTHING)
        standing = self.tables()
        for words in (
            ("flush", "chain", "inet", "realmgw", "class_1_out"),
            ("flush", "map", "inet", "realmgw", "classes4"),
            ("flush", "ruleset"),
        ):
            self.nft(*words)
            found = self.testbed.call("gwa", self.kernel.look, Noticed(lost=True), lambda: self.hosts)
            self.assertTrue(found.repaired, words)
            self.assertEqual(self.tables(), standing)
            self.assertFalse(self.datagram(inwards=False, family=6, port=99))

    def test_closed_while_it_is_not_known_who_has_rules(self) -> None:
        """Between a flush and the hosts' elements, nothing of a host begins; without any rules, flows out do."""
        self.testbed.call("gwa", self.kernel.shut)
        self.assertTrue(self.datagram(inwards=False, family=4, port=98))
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.say("{priority: 1, direction: EGRESS, udp: {dport: 9}, target: DROP}")
        self.testbed.call("gwa", self.kernel.shut)
        for family in FAMILIES:
            before = self.packets("forward_refused")
            with (
                self.testbed.inside("test_gwa"),
                socket.socket(family_of(self.client[family]), socket.SOCK_DGRAM) as one,
            ):
                one.bind((self.host[family][0], 0))
                one.sendto(b"x", (self.client[family], 99))
            self.assertTrue(until(partial(self.has_refused, before)), family)

    def test_purge_leaves_nothing(self) -> None:
        """Chains, maps and sets go with the table."""
        self.say(EVERYTHING)
        self.testbed.call("gwa", self.kernel.purge)
        self.assertNotIn("realmgw", self.nft("list", "ruleset"))

    def test_others_lose_nothing_while_rules_change(self) -> None:
        """New flows of the second host, while those of the first one change 60 times."""
        server = self.udp_of_host(self.host[4][1], 7)
        sent, done = [0], threading.Event()

        def send() -> None:
            while not done.is_set():
                with self.testbed.inside("public"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.sendto(b"x", (TO_SECOND, 7))
                sent[0] += 1
                done.wait(0.002)

        sender = threading.Thread(target=send)
        sender.start()
        for each in range(60):
            self.say(f"{{priority: {each}, direction: INGRESS, target: DROP}}")
        done.set()
        sender.join()
        self.assertGreater(sent[0], 60)
        came = 0
        with contextlib.suppress(TimeoutError):
            while came < sent[0]:
                came += bool(server.recv(9))
        self.assertEqual(came, sent[0])

    def udp_of_host(self, address: str, port: int) -> socket.socket:
        """A UDP socket of a host, with room for all that comes."""
        with self.testbed.inside("test_gwa"):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 1 << 24)
        made.bind((address, port))
        made.settimeout(1.0)
        return made


class Noting(Libnftables):
    """libnftables that notes what it is told.

    Attributes:
        told: That.
    """

    told: ClassVar[list[str]] = []

    def run(self, commands: str, *, dry: bool = False) -> str:
        """Note it, and run it."""
        self.told.append(commands)
        return super().run(commands, dry=dry)


class ElementsTests(RulesTestCase):
    """Who comes and goes costs no more where others have long lists."""

    def test_libnftables_is_told_of_no_elements_when_hosts_and_strays_come_and_go(self) -> None:
        """It would list every set of prefixes of every table before; what stands is what a start has led to."""
        self.kernel.close()
        self.kernel = Kernel(self.settings, open_nft=Noting)
        self.addCleanup(self.kernel.close)
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        Noting.told.clear()
        one, other = (f"{{priority: {at}, direction: EGRESS, target: DROP}}" for at in (1, 2))
        for said, hosts in ((one, (0,)), (one, (0, 1)), (other, (0, 1)), (one, (1,))):
            self.say(said, hosts)
            self.assert_stands()
        self.testbed.call("gwa", self.kernel.add_strays, [bytes((203, 0, 113, 9))])
        self.assertIn("203.0.113.9", self.nft("list", "set", "inet", "realmgw", "strays"))
        self.assertEqual([text for text in Noting.told if " element " in text], [])
        self.assertTrue(Noting.told)  # of chains
        self.assertFalse(self.datagram(inwards=False, family=4, port=99, which=1))


class Refusing(Libnftables):
    """libnftables that refuses some commands.

    Attributes:
        words: Those with one of these.
    """

    words: ClassVar[list[str]] = []

    def run(self, commands: str, *, dry: bool = False) -> str:
        """Refuse them, or run them."""
        if any(word in commands for word in self.words):
            raise RealmGatewayError("nft: refused")
        return super().run(commands, dry=dry)


class HalfwayTests(RulesTestCase):
    """A change in steps, of which one is refused, and the whole table after that, too."""

    whole = "delete table"

    def setUp(self) -> None:
        """The first two hosts have rules."""
        super().setUp()
        self.kernel.close()
        self.kernel = Kernel(self.settings, open_nft=Refusing)
        self.addCleanup(self.kernel.close)
        self.addCleanup(Refusing.words.clear)
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.say("{priority: 1, direction: EGRESS, target: DROP}", hosts=(0, 1))

    def refuse(self, *words: str) -> None:
        """Hosts are to have other rules, and these commands are refused: the picture is what it was."""
        classes, hosts = dict(self.kernel.classes.by_rules), self.hosts
        Refusing.words.extend(words)
        with self.assertRaisesRegex(RealmGatewayError, "refused"):
            self.say("{priority: 2, direction: INGRESS, target: DROP}", hosts=(0, 1))
        self.assertIs(self.hosts, hosts)
        self.assertEqual(self.kernel.classes.by_rules, classes)
        Refusing.words.clear()

    def assert_put_right(self, standing: list[str]) -> None:
        """The next look finds it, and the kernel is what the picture is."""
        self.assertNotEqual(self.tables(), standing)
        found = self.testbed.call("gwa", self.kernel.look, Noticed(), lambda: self.hosts)
        self.assertEqual((len(found.repaired), found.broken), (1, ()))
        self.assertEqual(self.tables(), standing)
        self.assert_stands()
        self.assertFalse(self.datagram(inwards=False, family=4, port=99))

    def test_the_elements_are_refused(self) -> None:
        """New classes stand by then, which nothing leads to."""
        standing = self.tables()
        self.nft("delete", "element", "inet", "realmgw", "classes4", f"{{ {self.host[4][1]} }}")
        self.refuse(self.whole)
        self.assert_put_right(standing)

    def test_what_is_left_is_refused(self) -> None:
        """Hosts are led to their new classes by then: of what stands besides elements, only new classes tell."""
        standing = self.tables()
        self.refuse("flush chain", self.whole)
        self.assert_put_right(standing)

    def test_what_is_left_of_hosts_that_go_is_refused(self) -> None:
        """Nothing but elements has changed by then, which nobody looks at."""
        standing, hosts = self.tables(), self.hosts
        Refusing.words.extend(("flush chain", self.whole))
        self.assertRaises(RealmGatewayError, self.lead, self.hosts[2:])
        Refusing.words.clear()
        self.assertIs(self.hosts, hosts)
        self.assert_put_right(standing)

    def test_the_next_change_places_all_of_it(self) -> None:
        """Where it comes before the next look."""
        self.refuse("flush chain", self.whole)
        self.say("{priority: 3, direction: EGRESS, udp: {dport: 98}, target: DROP}", hosts=(0, 1))
        self.assert_stands()
        changed = self.tables()
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(self.tables(), changed)


class GoldenTests(RulesTestCase):
    """What the kernel lists."""

    def test_chains_of_a_class(self) -> None:
        """As they are documented; a comment says where each comes from, whatever stands there."""
        self.say(
            "{priority: 0, direction: EGRESS, udp: {dport: 53}, target: REJECT,"
            " limit: {limit: 5/sec, limit-burst: 50}, comment: {comment: 'a \" ; drop } \\ é'}},"
            "{priority: 1, direction: INGRESS, src: 203.0.113.0/24, tcp: {dport: ['22', '80:90']}, target: DROP},"
            "{priority: 2, direction: INGRESS, sctp: {dport: ['!', '9']}, target: ACCEPT}"
        )
        listed = self.nft("list", "chain", "inet", "realmgw", "class_1_out").replace("\t", "").splitlines()
        end = 'counter name "rule_1_1" goto forbidden comment "user, priority 0: a ? ; drop } ? ?"'
        self.assertEqual(
            listed[2:-2],
            [
                "meta priority set none",
                f"udp dport 53 update @limit4_1_1 {{ ip saddr limit rate 5/second burst 50 packets }} {end}",
                f"udp dport 53 update @limit6_1_1 {{ ip6 saddr limit rate 5/second burst 50 packets }} {end}",
            ],
        )
        dropped = 'counter name "forbidden" drop comment "user, priority 1"'
        listed = self.nft("list", "chain", "inet", "realmgw", "class_1_in").replace("\t", "").splitlines()
        self.assertEqual(
            listed[2:-2],
            [
                "meta priority set none",
                f'ip saddr 203.0.113.0/24 tcp dport {{ 22, 80-90 }} counter name "rule_1_2" {dropped}',
                'sctp dport != 9-9 counter name "rule_1_3" return comment "user, priority 2"',
            ],
        )
        self.assertEqual(Classes.of(self.hosts).by_rules, self.kernel.classes.by_rules)
