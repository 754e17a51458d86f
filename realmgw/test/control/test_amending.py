"""Tests for `realmgw.control.amending`, with what is registered (`realmgw.subscribers.leases.service`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import ip_address, ip_network
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from realmgw.control.apply import Status
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.leases.hosts import SOURCE
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.records import ContradictionError, Record
from realmgw.subscribers.leases.service import GRACE
from realmgw.subscribers.leases.turns import PAUSE
from realmgw.subscribers.reach import Around
from realmgw.test.control.parts import RecordingParts, only
from realmgw.test.control.registering import NAMES, LeaseTestCase, adding, address


class RegisteredTests(LeaseTestCase):
    """A host is registered, changes and goes."""

    def test_a_registered_host_is_on_disk_and_in_force(self) -> None:
        """In the kernel first, then by name, with the defaults of the configuration."""
        self.assertEqual(self.change(adding(address("h", "192.168.0.9"), address("h", "2001:db8::9"))), [""])
        self.assertEqual(self.calls, [("kernel", [], ["h.example.org."]), ("names", ["h.example.org."])])
        service = self.gateway.running.registry.directory.services["h.example.org."]
        self.assertEqual(self.host("h"), (b"\xc0\xa8\0\x09", ip_address("2001:db8::9").packed))
        self.assertEqual((service.host.profile.max_claims, service.host.profile.groups), (2, ("prepaid-1",)))
        self.assertEqual(self.gateway.running.registry.source_of("h.example.org."), SOURCE)
        [lease] = Journal(self.gateway.folder / "leases.sqlite", lambda: 0.0).read()
        self.assertEqual((lease.name, lease.key, len(lease.records)), ("h.example.org.", "dhcp.", 2))

    def test_all_that_comes_in_one_turn_is_one_change(self) -> None:
        """A thousand hosts, of which some can not be: they hold up nobody."""
        many = [adding(address(f"h{n}", f"192.168.{n // 250 + 1}.{n % 250 + 1}")) for n in range(1000)]
        many[500:500] = [adding(address("x", "192.168.0.1")), adding(address("y", "192.168.1.1"))]
        found = self.change(*many)
        self.assertEqual([number for number, text in enumerate(found) if text], [500, 501])
        self.assertIn("belongs to a.example.org.", found[500])
        self.assertIn("192.168.1.1 belongs to h0.example.org. of dynamic updates already", found[501])
        self.assertEqual([call[0] for call in self.calls], ["kernel", "names"])
        self.assertEqual(len(self.gateway.running.registry.directory.hosts), 1002)
        self.assertEqual((self.leases.counts()["registered"], self.leases.counts()["refused"]), (1000, 2))

    def test_many_a_second_share_a_change_of_the_kernel(self) -> None:
        """400 in a second, one each 2.5 ms, of a kernel that takes 10: a change of it each 30. Each is judged once."""
        self.change(adding(address("h", "192.168.0.9")))
        judged, turns, done = list[int](), list[int](), list[Deferred[None]]()
        judge = self.leases.hosts.refusal

        def judging(*of: Any) -> str | None:
            judged.append(1)
            return judge(*of)

        def change(_: object, _gone: object, came: Collection[object]) -> Deferred[None]:
            turns.append(len(came))
            return deferLater(self.clock, 0.01)

        self.patch(self.leases.hosts, "refusal", judging)
        self.patch(self.gateway.parts, "change", change)
        for number in range(400):
            host = address(f"h{number}", f"192.168.{number // 250 + 1}.{number % 250 + 1}")
            done.append(self.leases.change(adding(host)))
            self.gateway.pass_time(0.0025)
        for _ in range(3):
            self.gateway.pass_time(PAUSE)
        for each in done:
            self.successResultOf(each)
        self.assertEqual((len(judged), sum(turns)), (400, 400))
        self.assertLessEqual(len(turns), 52)

    def test_another_address_ends_the_flows_of_the_former_one(self) -> None:
        """And a host that goes loses its name and its flows; its index is kept while it moves."""
        self.change(adding(old := address("h", "192.168.0.9")))
        index = self.gateway.running.registry.directory.indices.by_name["h.example.org."]
        ended: list[set[bytes]] = []

        def end(gone: Collection[bytes], came: Collection[bytes], *, soon: bool) -> Deferred[int]:
            self.assertEqual((set(came), soon), (self.gateway.parts.welcomed, True))
            ended.append(set(gone))
            return succeed(1)

        self.patch(self.gateway.parts, "end_flows", end)
        self.change(adding(new := address("h", "192.168.0.10"), removed=(old,)))
        self.assertEqual(self.host("h"), (new.data,))
        self.assertEqual(self.gateway.running.registry.directory.indices.by_name["h.example.org."], index)
        self.assertEqual(self.change(adding(removed=(new,))), [""])
        self.gateway.pass_time(GRACE)
        self.assertEqual((self.gateway.names, self.host("h")), (NAMES, ()))
        self.assertEqual(ended, [{old.data}, {new.data}])
        self.patch(self.gateway.parts, "end_flows", RecordingParts.end_flows.__get__(self.gateway.parts))
        for removes, soon in ((True, False), (False, True)):
            self.change(adding(old))
            self.leases.remove((old,)) if removes else self.change(adding(removed=(old,)))
            self.gateway.pass_time(GRACE)
            self.assertEqual((self.host("h"), self.gateway.parts.soon), ((), soon), "by hand, it is waited for")
        self.assertEqual(self.leases.records("h.example.org."), ())

    def test_turns_do_not_multiply_while_some_leave_and_others_come(self) -> None:
        """However long each takes, one is under way, and one waits at most."""
        asked, begun = list[int](), list[int]()
        exclusively, turn = self.leases.in_force.exclusively, self.leases._turn

        def asking(doing: Callable[[], Deferred[None]]) -> Deferred[None]:
            asked.append(1)
            return exclusively(doing)

        def beginning() -> Deferred[None]:
            begun.append(1)
            return turn()

        self.patch(self.leases.in_force, "exclusively", asking)
        self.patch(self.leases, "_turn", beginning)
        self.patch(self.gateway.parts, "change", lambda *_: deferLater(self.clock, 0.02))
        for number in range(600):  # a host comes each 5 ms, is taken back half a second later, and leaves after `GRACE`
            self.leases.change(adding(address(f"h{number}", f"192.168.{number // 250 + 1}.{number % 250 + 1}")))
            if number >= 100:
                gone = address(f"h{number - 100}", f"192.168.{(number - 100) // 250 + 1}.{(number - 100) % 250 + 1}")
                self.leases.change(adding(removed=(gone,)))
            self.clock.advance(0.005)
            self.assertLessEqual(len(asked) - len(begun), 1)
        self.gateway.pass_time(2 * GRACE)

    def test_who_renews_keeps_his_flows(self) -> None:
        """A DHCP server may remove everything, and add it again; whoever else wants the address has it at once."""
        self.change(adding(there := address("h", "192.168.0.9")))
        self.calls.clear()
        for each in (adding(removed=(there,)), adding(there)):
            self.assertEqual(self.change(each), [""])
        self.gateway.pass_time(2 * GRACE)
        self.assertEqual((self.calls, self.host("h")), ([], (there.data,)))
        self.change(adding(removed=(there,)))
        self.assertEqual((self.host("h"), self.leases.records("h.example.org.")), ((there.data,), ()))
        self.assertEqual(self.change(adding(address("i", "192.168.0.9"))), [""])
        self.assertEqual((self.host("h"), self.host("i")), ((), (there.data,)))

    def test_what_is_beside_an_address_is_kept(self) -> None:
        """A PTR record, and what tells DHCP clients apart; the kernel hears nothing of it."""
        beside = (Record("h.example.org.", 49, 60, b"\0\1\1abc"), Record("9.0.168.192.in-addr.arpa.", 12, 60, b"\1h\0"))
        self.assertEqual(self.change(adding(*beside)), [""])
        self.assertEqual((self.calls, self.gateway.names), ([], NAMES))
        self.assertEqual(self.leases.records("9.0.168.192.in-addr.arpa."), beside[1:])

    def test_what_can_not_be_registered_is_refused_with_its_reason(self) -> None:
        """Nothing is changed by it."""
        self.know(Around(own=frozenset({ip_address("192.168.0.254")}), links=(ip_network("192.168.0.0/24"),)))
        for records, said in (
            ((address("a", "192.168.0.7"),), "its address is written in"),
            ((address("h", "192.168.0.2"),), "192.168.0.2 belongs to b.example.org."),
            ((address("h", "192.168.0.254"),), "the gateway's own address"),
            ((address("h", "10.0.0.1"),), "10.0.0.1 lies in no network of a LAN"),
            ((address("h", "2001:db8::1"),), "2001:db8::1 lies in no network of a LAN"),
            ((Record("example.org.", 1, 60, b"\xc0\xa8\0\x09"),), "it is a zone's own name"),
            ((address("h", "224.0.0.1"),), "of a group of hosts"),
            ((Record("h.example.net.", 1, 60, b"\xc0\xa8\0\x09"),), "lies outside our zones"),
            ((Record("example.org.", 2, 60, b"\0"),), "records of type 2 can not be registered"),
            ((address("h", "192.168.0.8"), address("h", "192.168.0.9")), "a host has one address of each family"),
            ((Record("h.example.org.", 1, 60, b"\xc0"),), "can not have 1 octets"),
            (tuple(Record("h.example.org.", 16, 60, b"%c" % n) for n in range(33)), "a name may have 32 records"),
        ):
            self.failureResultOf(self.leases.change(adding(*records)), ContradictionError)
            [text] = self.change(adding(*records))
            self.assertIn(said, text)
        self.assertEqual((self.gateway.names, self.leases.book.leases), (NAMES, {}))

    def test_a_subscribers_own_address_may_be_registered_once_more(self) -> None:
        """As a DHCP server does that has it reserved: it is kept for its questions, and has no effect."""
        self.assertEqual(self.change(adding(mine := address("a", "192.168.0.1"))), [""])
        self.assertEqual((self.calls, self.leases.records("a.example.org.")), ([], (mine,)))
        self.assertEqual(self.change(adding(removed=(mine,))), [""])
        self.assertEqual(self.gateway.names, NAMES)

    def test_there_are_no_more_names_than_may_be(self) -> None:
        """Those that are there may be refreshed."""
        self.leases.book.most = 1
        self.assertEqual(self.change(adding(address("h", "192.168.0.9"))), [""])
        self.assertIn("no room for more", self.change(adding(address("i", "192.168.0.10")))[0])
        self.assertEqual(self.change(adding(address("h", "192.168.0.9"))), [""])
        self.assertEqual(self.leases.counts()["refreshed"], 1)

    def test_what_comes_after_a_change_is_judged_by_it(self) -> None:
        """In the same turn: an address that was given back may be had."""
        self.change(adding(old := address("h", "192.168.0.9")))
        found = self.change(adding(removed=(old,)), adding(address("i", "192.168.0.9")))
        self.assertEqual((found, self.host("i"), self.host("h")), (["", ""], (old.data,), ()))


class FailingTests(LeaseTestCase):
    """Nothing is in force that is not on disk."""

    def test_a_disk_that_refuses_leaves_all_as_it_was(self) -> None:
        """It is told, and what waits behind it fails as well; then all goes on."""
        self.disk.refusal = PlatformError("the disk is full")
        self.assertEqual(self.change(adding(address("h", "192.168.0.9"))), ["the disk is full"])
        self.assertEqual((self.calls, self.gateway.names, self.leases.book.leases), ([], NAMES, {}))
        self.assertIn("none is taken: the disk is full", self.told[-1][0])
        self.assertEqual(self.leases.counts()["journal_errors"], 1)
        self.disk.refusal = None
        self.assertEqual(self.change(adding(address("h", "192.168.0.9"))), [""])
        self.assertEqual(self.told[-1], ())

    def test_a_kernel_that_refuses_leaves_all_as_it_was(self) -> None:
        """On disk, too."""
        self.change(adding(old := address("h", "192.168.0.9")))
        self.gateway.parts.refusal = RealmGatewayError("no room")
        self.assertEqual(self.change(adding(address("h", "192.168.0.10"), removed=(old,))), ["no room"])
        self.assertEqual(self.host("h"), (old.data,))
        [lease] = Journal(self.gateway.folder / "leases.sqlite", lambda: 0.0).read()
        self.assertEqual(lease.records, (old,))

    def test_what_came_after_a_change_that_fails_fails_too(self) -> None:
        """It was judged by it."""
        self.change(adding(old := address("h", "192.168.0.9")))
        self.disk.held = Deferred()
        found: list[str] = []
        for each in (adding(removed=(old,)), adding(address("i", "192.168.0.9"))):
            self.leases.change(each).addErrback(lambda failure: found.append(failure.getErrorMessage()))
            self.gateway.pass_time()
        self.disk.held.errback(PlatformError("gone"))
        self.gateway.pass_time()
        self.assertEqual((found, self.host("h")), (["gone", "gone"], (old.data,)))
        self.disk.held = None
        self.assertIn("belongs to h.", self.change(adding(address("i", "192.168.0.9")))[0])


class ReloadTests(LeaseTestCase):
    """Reloads, and what is written in files."""

    def test_a_reload_leaves_what_is_registered(self) -> None:
        """And what goes there is nothing that a reload would doubt."""
        many = [adding(address(f"h{n}", f"192.168.1.{n + 1}")) for n in range(100)]
        self.change(*many)
        self.assertEqual(only(self.gateway.reload()).status, Status.UNCHANGED)
        self.assertEqual(len(self.gateway.names), 102)
        self.change(*(adding(removed=each.added) for each in many))
        self.gateway.pass_time(PAUSE)
        self.gateway.pass_time(GRACE)
        self.assertEqual(only(self.gateway.reload()).status, Status.UNCHANGED)
        self.assertEqual((self.gateway.names, self.gateway.reloader.troubles), (NAMES, ()))

    def test_a_file_takes_names_and_addresses(self) -> None:
        """What was registered stays so, without effect until the file has them no more."""
        self.change(adding(address("h", "192.168.0.9")), adding(address("i", "192.168.0.10")))
        self.gateway.write("b.yaml", h="192.168.0.77", other="192.168.0.10")
        self.assertEqual(only(self.gateway.reload()).problems, ())
        self.assertEqual(self.gateway.names, [*NAMES, "h.example.org.", "other.example.org."])
        self.assertEqual(self.host("h"), (ip_address("192.168.0.77").packed,))
        self.assertEqual(sorted(self.leases.hosts.idle), ["h.example.org.", "i.example.org."])
        self.assertIn("192.168.0.10 belongs to other.", self.leases.hosts.idle["i.example.org."])
        self.gateway.write("b.yaml")
        self.gateway.reload(accepts_loss=True)
        self.assertEqual(self.gateway.names, [*NAMES, "h.example.org.", "i.example.org."])
        self.assertEqual((self.host("h"), self.leases.hosts.idle), ((ip_address("192.168.0.9").packed,), {}))

    def test_what_a_file_says_already_is_without_effect_from_the_beginning(self) -> None:
        """And it is told why, before any reload."""
        self.gateway.write("b.yaml", h="192.168.0.77")
        self.gateway.reload()
        self.change(adding(address("h", "192.168.0.77")))
        self.assertIn("says what it is", self.leases.hosts.idle["h.example.org."])
        self.change(adding(removed=(address("h", "192.168.0.77"),)))
        self.assertEqual((self.host("h"), self.leases.hosts.idle), ((ip_address("192.168.0.77").packed,), {}))

    def test_other_defaults_hold_for_those_who_are_there(self) -> None:
        """After a reload."""
        self.change(adding(address("h", "192.168.0.9")))
        path = self.gateway.path
        path.write_text(path.read_text().replace("dns: {", "dns: {update: {defaults: {max_claims: 7}}, "))
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)
        [service] = self.gateway.running.registry.services_of("h.example.org.")
        self.assertEqual(service.host.profile.max_claims, 7)
        self.assertEqual(self.change(adding(removed=self.leases.records("h.example.org."))), [""])
        self.gateway.pass_time(GRACE)
        self.assertEqual(self.gateway.names, NAMES)

    def test_what_waits_is_judged_by_what_a_reload_has_changed(self) -> None:
        """It may not be any more."""
        self.gateway.write("b.yaml", h="192.168.0.77")
        found: list[str] = []
        self.gateway.parts.hold = hold = Deferred[None]()
        self.gateway.reloader.reload("a test")
        self.gateway.pass_time()
        done = self.leases.change(adding(address("h", "192.168.0.9")))
        done.addErrback(lambda failure: found.append(failure.getErrorMessage()))
        self.gateway.pass_time()
        self.assertEqual(found, [])
        hold.callback(None)
        self.gateway.pass_time()
        self.assertIn("its address is written in", found[0])
        self.assertEqual(self.leases.book.leases, {})
