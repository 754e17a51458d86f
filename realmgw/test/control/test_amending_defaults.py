"""Tests for `realmgw.control.amending`: reloads with other defaults for those who are registered."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from realmgw import config
from realmgw.config.names import absolute
from realmgw.config.settings import Settings
from realmgw.control.apply import Outcome, Status
from realmgw.control.health import State
from realmgw.subscribers.files.folders import QUIET
from realmgw.subscribers.leases.hosts import SOURCE
from realmgw.subscribers.leases.turns import PAUSE
from realmgw.test.control.parts import only
from realmgw.test.control.registering import NAMES, LeaseTestCase, adding, address

WWW = "services: [{}, {label: www}]"


class DefaultsTests(LeaseTestCase):
    """Three hosts are registered, with the defaults; then these are others."""

    def setUp(self) -> None:
        super().setUp()
        self.text = self.gateway.path.read_text()
        self.register(h0="192.168.0.10", h1="192.168.0.11", h2="192.168.0.12")

    def register(self, **hosts: str) -> None:
        """These are registered from now on, or refreshed."""
        self.assertEqual(set(self.change(*(adding(address(label, text)) for label, text in hosts.items()))), {""})
        self.gateway.pass_time(PAUSE)

    def reload(self, defaults: str, **files: str) -> Outcome:
        """With these defaults, and files as they are written by then."""
        for name, text in files.items():
            (self.gateway.folder / "subscribers.d" / f"{name}.yaml").write_text(text)
        self.gateway.path.write_text(self.text.replace("dns: {", f"dns: {{update: {{defaults: {{{defaults}}}}}, "))
        return only(self.gateway.reload())

    def said(self, label: str) -> tuple[tuple[str, ...], int]:
        """What stands before the names of a host's services, and its `max_claims`."""
        name = f"{label}.example.org."
        services = self.gateway.running.registry.services_of(name)
        return tuple(each.name.removesuffix(name) for each in services), services[0].host.profile.max_claims

    def assert_said(self, **hosts: tuple[tuple[str, ...], int]) -> None:
        """So it is of these."""
        self.assertEqual({label: self.said(label) for label in hosts}, hosts)

    def test_whose_new_name_somebody_has_stays_as_he_was_alone(self) -> None:
        """He keeps his claims and flows; it is told until nobody is in his way, and then he is as all others."""
        file = "x.example.org: {address: 192.168.0.7, services: {www.h0.example.org: }}\n"
        self.reload("", x=file)
        before = self.gateway.running.registry.services_of("h0.example.org.")
        self.calls.clear()
        outcome = self.reload(f"{WWW}, max_claims: 7", x=file)
        self.assertEqual((outcome.status, outcome.flows_ended), (Status.APPLIED, 0))
        self.assertEqual(outcome.plan.hosts_changed, ("h1.example.org.", "h2.example.org."))
        [line] = outcome.problems
        self.assertIn("www.h0.example.org. belongs to x.example.org.", line)
        self.assertIn("until then this host stays as it was", line)
        self.assertIs(self.gateway.health.state, State.LAST_GOOD)
        self.assert_said(h0=(("",), 2), h1=(("", "www."), 7), h2=(("", "www."), 7))
        self.assertEqual(self.gateway.running.registry.services_of("h0.example.org."), before)
        self.register(h0="192.168.0.10")
        self.assertEqual(only(self.gateway.reload()).problems, (line,))
        outcome = self.reload(f"{WWW}, max_claims: 8", x=file)
        self.assertEqual((outcome.problems, outcome.flows_ended), ((line,), 0), "with others once more, he still is")
        self.assert_said(h0=(("",), 2), h1=(("", "www."), 8))
        self.gateway.write("x.yaml", x="192.168.0.7")
        self.assertEqual(only(self.gateway.reload()).problems, ())
        self.assert_said(h0=(("", "www."), 8), h1=(("", "www."), 8))
        self.assertIs(self.gateway.health.state, State.HEALTHY)
        self.assertEqual(only(self.gateway.reload()).status, Status.UNCHANGED)

    def test_who_comes_in_a_file_together_with_them_has_what_he_wants(self) -> None:
        """A name that would be a registered host's; and one that is: that host is idle, as with the same defaults."""
        outcome = self.reload(WWW, x="x.example.org: {address: 192.168.0.7, services: {www.h0.example.org: }}\n")
        self.assertEqual(len(outcome.problems), 1)
        self.assert_said(h0=(("",), 2), h1=(("", "www."), 2))
        outcome = self.reload(f"{WWW}, max_claims: 7", y="y.example.org: {address: 192.168.0.11}\n")
        self.assertEqual(len(outcome.problems), 1)
        self.assertIn("192.168.0.11 belongs to y.", self.leases.hosts.idle["h1.example.org."])
        self.assertNotIn("h1.example.org.", self.gateway.running.registry.units[SOURCE].tokens)
        self.assert_said(h0=(("",), 2), h2=(("", "www."), 7))

    def test_who_waits_for_a_name_has_it_then(self) -> None:
        """A file that takes a host away as well: nobody else has it for a moment, to lose all that he has by it."""
        self.gateway.write("x.yaml", x="192.168.0.7", y="192.168.0.8")
        self.gateway.reload()
        self.calls.clear()
        text = "x.example.org: {address: 192.168.0.7, services: {x.example.org: , www.h0.example.org: }}\n"
        outcome = self.reload(f"{WWW}, max_claims: 7", x=text)
        self.assertEqual((len(outcome.problems), outcome.waited, self.leases.hosts.idle), (1, QUIET, {}))
        self.assertEqual([call[1] for call in self.calls if call[0] == "kernel"][-1], ["y.example.org."])
        self.assert_said(h0=(("",), 2), h1=(("", "www."), 7))

    def test_who_has_a_name_keeps_it(self) -> None:
        """Of two registered hosts as well, whichever came first: only the other one stays as it was."""
        self.register(**{"www.h0": "192.168.0.20"})
        outcome = self.reload(f"{WWW}, max_claims: 7")
        [line] = outcome.problems
        self.assertIn("www.h0.example.org. belongs to www.h0.example.org. of dynamic updates already", line)
        self.assert_said(**{"h0": (("",), 2), "www.h0": (("", "www."), 7), "h1": (("", "www."), 7)})

    def test_no_loss_is_doubted(self) -> None:
        """A file has the addresses of most who are registered, while the defaults become others."""
        self.register(**{f"i{n}": f"192.168.1.{n + 1}" for n in range(30)})
        text = "".join(f"f{n}.example.org: {{address: 192.168.1.{n + 1}}}\n" for n in range(30))
        self.assertEqual(self.reload(f"{WWW}, max_claims: 7", f=text).problems, ())
        self.assertEqual(len(self.leases.hosts.idle), 30)
        self.assert_said(h0=(("", "www."), 7))

    def test_who_is_as_they_want_it_is_untouched(self) -> None:
        """No entry is made anew."""
        before = dict(self.gateway.running.registry.units[SOURCE].tokens)
        self.assertEqual(self.reload("services: [{}]").problems, ())
        self.assertEqual(self.gateway.running.registry.units[SOURCE].tokens, before)
        self.assertEqual(self.host("h0"), (ip_address("192.168.0.10").packed,))
        self.assertEqual(self.gateway.names, [*NAMES, *(f"h{n}.example.org." for n in range(3))])


class LongNameTests(LeaseTestCase):
    """A name that is as long as it may be, while those of its services would be longer."""

    def setUp(self) -> None:
        super().setUp()
        self.label = f"{'a.' * 119}bc"
        self.name = f"{self.label}.example.org."
        self.assertEqual(absolute(self.name), self.name)

    def write(self, path: Path) -> None:
        """The configuration has a service pool."""
        path.write_text(path.read_text().replace("pools: {", "pools: {service: [198.51.101.1], "))

    def test_its_update_is_refused_alone(self) -> None:
        """All that came in the same turn, and what waits behind it, is taken."""
        self.write(self.gateway.path)
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)
        hosts = address("h", "192.168.0.9"), address(self.label, "192.168.0.10"), address("i", "192.168.0.11")
        found = self.change(*(adding(each) for each in hosts))
        self.assertEqual((found[0], found[2]), ("", ""))
        self.assertIn(f"www.{self.name} is no domain name: it may have 253 characters, shorten it", found[1])
        self.assertEqual(list(self.leases.book.leases), ["h.example.org.", "i.example.org."])
        self.assertEqual(self.gateway.names, [*NAMES, "h.example.org.", "i.example.org."])

    def test_a_service_pool_leaves_it_as_it_was(self) -> None:
        """All others have services of it; a start has it idle, and so it may end and be refused as any other."""
        self.assertEqual(self.change(adding(address(self.label, "192.168.0.10"), address("h", "192.168.0.9"))), [""])
        self.write(self.gateway.path)
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.APPLIED)
        [line] = outcome.problems
        self.assertIn(f"www.{self.name} is no domain name", line)
        services = self.gateway.running.registry.directory.services
        self.assertEqual([name for name in services if self.name in name], [self.name])
        self.assertIn("www.h.example.org.", services)
        self.patch(config, "load", self.loading(config.load))
        self.leases = self.again()
        self.assertEqual(self.gateway.names, [*NAMES, "h.example.org."])
        self.assertIn(f"www.{self.name} is no domain name", self.leases.hosts.idle[self.name])
        self.assertIn("www.h.example.org.", self.gateway.running.registry.directory.services)
        self.assertEqual(self.change(adding(removed=self.leases.records(self.name))), [""])
        self.assertEqual((self.leases.hosts.idle, list(self.leases.book.leases)), ({}, ["h.example.org."]))

    def loading(self, load: Callable[[Path], Settings]) -> Callable[[Path], Settings]:
        """How a main file is read: with a service pool."""

        def loading(path: Path) -> Settings:
            self.write(path)
            return load(path)

        return loading
