"""Tests for `realmgw.control.expecting`."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.expectations import ASKED, MET, Expectation
from realmgw.config.settings import Settings
from realmgw.config.steps import finish
from realmgw.control.apply import Status
from realmgw.control.expecting import Ran, expecting
from realmgw.errors import ConfigurationError
from realmgw.subscribers.files.incremental import Unit, read
from realmgw.subscribers.registry import Changes, Registry
from realmgw.test.config.test_schema import MINIMAL, settings
from realmgw.test.control.command.test_cli import CliTestCase
from realmgw.test.control.parts import TestGateway, only

HOSTS = """
a.example.org:
  address: 192.168.0.1
  services:
    www.example.org: {protocol: tcp, port: 80}
    far.below.example.org: {protocol: tcp, port: 80}
    shop.example.org: {proxy_required: true}
b.example.org: {address: [192.168.0.2, '2001:db8:7::2'], max_claims: 0}
c.example.org: {address: '2001:db8:7::1'}
"""
MORE = """
policy: {max_claims: 200, groups: [{nodes: [192.0.2.53], initial_reputation: 1.0}]}
"""
WWW = "name: www.example.org, resolver: 203.0.113.53"
BEST = "name: www.example.org, resolver: 192.0.2.53"
CLIENT = "source: 203.0.113.80"
PLACE = MINIMAL.count("\n") + MORE.count("\n") + 2


def unit(text: str) -> Unit:
    """A subscriber file."""
    return finish(read("hosts.yaml", text.encode()))


class RunTestCase(SynchronousTestCase):
    """Three hosts."""

    def setUp(self) -> None:
        """They are in force."""
        self.registry = Registry()
        finish(self.registry.commit(self.changes(HOSTS)))

    def changes(self, text: str) -> Changes:
        """What becomes of the subscribers when a file says this."""
        said = unit(text)
        self.assertEqual(said.problems, ())
        return finish(self.registry.changes([said], settings(MINIMAL).zones))

    def run_tests(self, *tests: str, more: str = MORE, changes: Changes | None = None, complete: bool = True) -> Ran:
        """What comes of tests: each a subject in YAML, and behind `=` what is expected."""
        listed = "".join(f"  - {{{each.replace(' = ', ', expect: ')}}}\n" for each in tests)
        said = settings(f"{MINIMAL}{more}tests:\n{listed}" if tests else MINIMAL + more)
        inside = [ip_network("192.168.0.0/24")]
        return finish(expecting(said, self.registry, changes or Changes(), inside, complete))

    def assert_comes(self, *tests: str, more: str = MORE) -> None:
        """Each comes true, and would not if something else was expected."""
        self.assertEqual(self.run_tests(*tests, more=more), Ran())
        for test in tests:
            subject, _, word = test.partition(" = ")
            other = next(each for each in (ASKED if subject.startswith("ask") else MET) if each != word.upper())
            [line] = self.run_tests(f"{subject} = {other}", more=more).failed
            self.assertIn(f": the test expects {other}, and what comes is {word.upper()}: ", line)


class AskTests(RunTestCase):
    """What is said to a question."""

    def test_by_transport_load_and_reputation(self) -> None:
        """As the server and the allocation decide."""
        self.assert_comes(
            f"ask: {{{WWW}}} = tc",
            f"ask: {{{WWW}, transport: tcp}} = given",
            f"ask: {{{WWW}, cookie: true}} = given",
            f"ask: {{{WWW}, transport: tcp, load: 70}} = policy",
            f"ask: {{{BEST}, transport: tcp, load: 70}} = given",
        )
        self.assert_comes(f"ask: {{{BEST}, transport: tcp, load: 100}} = exhausted", more="")
        few = MORE.replace("200", "100")
        self.assert_comes(f"ask: {{{BEST}, transport: tcp, load: 30}} = given", more=few)
        self.assert_comes(f"ask: {{{BEST}, transport: tcp, load: 50}} = claim_limit", more=few)

    def test_by_the_challenges_of_its_zone(self) -> None:
        """An alias is told to whoever asks for the name."""
        zones = MINIMAL.replace("admin.example.org}", "admin.example.org}, alias.example.org: {aliases: true}")
        test = f"{{ask: {{{WWW}, transport: tcp}}, expect: cname}}"
        said = settings(f"{zones}policy: {{challenges: {{cname: true}}}}\ntests: [{test}]\n")
        self.assertEqual(finish(expecting(said, self.registry, Changes(), (), True)), Ran())

    def test_by_name(self) -> None:
        """Names of nobody, of the zone, of others, and what has none of a family."""
        self.assert_comes(
            "ask: {name: nobody.example.org, resolver: 203.0.113.53} = nxdomain",
            "ask: {name: below.example.org, resolver: 203.0.113.53} = nodata",
            "ask: {name: ns.example.org, resolver: 203.0.113.53} = answered",
            "ask: {name: www.example.net, resolver: 203.0.113.53} = refused",
            "ask: {name: shop.example.org, resolver: 203.0.113.53} = nodata",
            f"ask: {{{WWW}, type: AAAA}} = nodata",
            "ask: {name: c.example.org, resolver: 203.0.113.53, transport: tcp} = nodata",
        )

    def test_on_a_lan_nothing_is_lent(self) -> None:
        """It is answered as there."""
        self.assert_comes("ask: {name: www.example.org, resolver: 192.168.0.7} = answered")

    def test_of_ipv6(self) -> None:
        """From a pool of its own."""
        pools = "circular: [{addresses: 198.51.100.0/24, attachment: routed}"
        self.assertIn(pools, MINIMAL)
        both = MINIMAL.replace(pools, f"{pools}, {{addresses: '2001:db8:8::/64', attachment: routed}}")
        tests = (
            "{ask: {name: c.example.org, resolver: 203.0.113.53, type: AAAA, transport: tcp}, expect: given}",
            "{ask: {name: b.example.org, resolver: 203.0.113.53, type: AAAA, transport: tcp}, expect: host_limit}",
            "{packet: {source: '2001:db8:1::1', asked: c.example.org, port: 80}, expect: admitted}",
            "{packet: {source: '2001:db8:1::1', destination: '2001:db8:8::1', port: 80}, expect: no_reservation}",
        )
        said = settings(f"{both}tests: [{', '.join(tests)}]\n")
        self.assertEqual(finish(expecting(said, self.registry, Changes(), (), True)), Ran())
        less = attrs.evolve(said, tests=(attrs.evolve(said.tests[2], expect="ADMITTED"), said.tests[3]))
        less = attrs.evolve(less, tests=(*less.tests, *self.asked_first("b.example.org")))
        [line] = finish(expecting(less, self.registry, Changes(), (), True)).failed
        self.assertTrue(line.endswith("what comes is HOST_LIMIT: no address is given for b.example.org.: HOST_LIMIT"))

    def asked_first(self, name: str) -> tuple[Expectation, ...]:
        """A client of IPv6 that has asked for a name itself."""
        test = f"{{packet: {{source: '2001:db8:1::1', asked: {name}, port: 80}}, expect: admitted}}"
        return settings(f"{MINIMAL}tests: [{test}]\n").tests


class PacketTests(RunTestCase):
    """What becomes of a first packet."""

    def test_of_strangers(self) -> None:
        """Nobody is expected."""
        self.assert_comes(
            f"packet: {{{CLIENT}, destination: 198.51.100.255, port: 80}} = no_reservation",
            f"packet: {{{CLIENT}, destination: 198.51.101.0, port: 80}} = not_ours",
        )

    def test_of_who_was_told_the_address(self) -> None:
        """By the protocol and the port of the service; who waits for nothing does not come in by the way."""
        self.assert_comes(
            f"packet: {{{CLIENT}, asked: www.example.org, port: 80}} = admitted",
            f"packet: {{{CLIENT}, asked: www.example.org, port: 81}} = no_reservation",
            f"packet: {{{CLIENT}, asked: www.example.org, protocol: udp, port: 80}} = no_reservation",
            f"packet: {{{CLIENT}, asked: b.example.org, protocol: 47}} = admitted",
        )

    def test_when_no_address_is_given(self) -> None:
        """Then no packet comes; it is told why."""
        for name, why in {
            "nobody": "NXDOMAIN: there is no service nobody.example.org.",
            "shop": "NODATA: no address is given for shop.example.org.: it needs the reverse proxy",
            "c": "NODATA: no address is given for c.example.org.: its A is NO_ADDRESS",
        }.items():
            [line] = self.run_tests(f"packet: {{{CLIENT}, asked: {name}.example.org, port: 80}} = admitted").failed
            self.assertTrue(line.endswith(f"what comes is {why}"), line)


class RunTests(RunTestCase):
    """All tests of a configuration."""

    def test_what_has_failed_is_told_with_its_place_and_the_last_steps(self) -> None:
        """Every one, in the order of the file."""
        met = "198.51.100.0 is given for www.example.org.; 198.51.100.0 is waiting, with 1 reservations; refused: no_"
        met, outside = f"{met}reservation", "www.example.net. lies in none of our zones; refused: REFUSED"
        self.assertEqual(
            self.run_tests(
                f"packet: {{{CLIENT}, asked: www.example.org, port: 22}} = admitted",
                f"ask: {{{WWW}}} = tc",
                "ask: {name: www.example.net, resolver: 203.0.113.53} = given",
            ).failed,
            (
                f"f:{PLACE}:5: the test expects ADMITTED, and what comes is NO_RESERVATION: {met}",
                f"f:{PLACE + 2}:5: the test expects GIVEN, and what comes is REFUSED: {outside}",
            ),
        )
        many = self.run_tests(*[f"ask: {{{WWW}}} = given"] * 30).failed
        self.assertEqual((len(many), many[-1]), (21, "and 10 failed tests more"))

    def test_hosts_are_those_that_would_be_in_force(self) -> None:
        """Who comes is there, who goes is not, and what is different is so; nothing is changed by it."""
        changes = self.changes(
            HOSTS.replace("www.example.org: {protocol: tcp, port: 80}", "www.example.org: {protocol: tcp, port: 81}")
            .replace("b.example.org", "d.example.org")
            .replace("far.below", "far")
        )
        before = dict(self.registry.directory.services)
        ran = self.run_tests(
            f"packet: {{{CLIENT}, asked: www.example.org, port: 81}} = admitted",
            "ask: {name: b.example.org, resolver: 203.0.113.53} = nxdomain",
            "ask: {name: d.example.org, resolver: 203.0.113.53, transport: tcp} = given",
            "ask: {name: below.example.org, resolver: 203.0.113.53} = nxdomain",
            "ask: {name: far.example.org, resolver: 203.0.113.53} = tc",
            changes=changes,
        )
        self.assertEqual(ran, Ran())
        self.assertEqual(self.registry.directory.services, before)

    def test_a_name_below_another_is_as_it_would_be(self) -> None:
        """Be it asked for itself, too."""
        changes = self.changes(
            HOSTS.replace("far.below.example.org: {protocol: tcp", "far.below.example.org: {protocol: udp")
        )
        ran = self.run_tests(
            "ask: {name: below.example.org, resolver: 203.0.113.53} = nodata",
            f"packet: {{{CLIENT}, asked: far.below.example.org, protocol: udp, port: 80}} = admitted",
            changes=changes,
        )
        self.assertEqual(ran, Ran())

    def test_of_who_may_be_known_elsewhere_nothing_is_said(self) -> None:
        """A repository was not heard, or there may be registrations."""
        ran = self.run_tests(
            f"packet: {{{CLIENT}, asked: nobody.example.org, port: 80}} = admitted",
            "ask: {name: nobody.example.org, resolver: 203.0.113.53} = given",
            f"ask: {{{WWW}}} = given",
            complete=False,
        )
        self.assertEqual(
            ran.skipped,
            tuple(
                f"f:{PLACE + each}:5: not looked at: nobody has the name nobody.example.org. so far" for each in (0, 1)
            ),
        )
        self.assertEqual(len(ran.failed), 1)

    def test_pools_of_any_size_are_as_full_as_is_said(self) -> None:
        """In steps, none of which takes long: a part of a large one stands for it."""
        said = settings(f"{MINIMAL}{MORE}tests: [{{ask: {{{BEST}, transport: tcp, load: 50}}, expect: given}}]\n")
        [piece] = said.pools.circular
        for prefix in ("198.51.100.0/32", "198.51.100.0/30", "10.0.0.0/8"):
            circular = (attrs.evolve(piece, network=ip_network(prefix)),)
            self.assertEqual(self.failed_in(attrs.evolve(said, pools=attrs.evolve(said.pools, circular=circular))), ())

    def failed_in(self, said: Settings) -> tuple[str, ...]:
        """What does not come true."""
        policy = attrs.evolve(said.policy, max_claims=None)
        ran = finish(expecting(attrs.evolve(said, policy=policy), self.registry, Changes(), (), True))
        return ran.failed


class ReloadTests(SynchronousTestCase):
    """Tests hold a configuration up that they do not come true with."""

    def setUp(self) -> None:
        """A gateway with two subscribers and a test that comes true."""
        self.gateway = TestGateway(Path(self.mktemp()))
        self.plain = self.gateway.path.read_text()
        self.line = len(self.plain.splitlines()) + 1
        self.write("b.example.org", "given")
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)

    def write(self, name: str, word: str, more: str = "") -> None:
        """Writes a main file."""
        test = f"{{ask: {{name: {name}, resolver: 203.0.113.53, transport: tcp}}, expect: {word}}}"
        self.gateway.path.write_text(f"{self.plain}tests: [{test}]\n{more}")

    def test_a_reload_is_refused_and_nothing_is_changed(self) -> None:
        """Not what is right with it, either; when the test comes true again, all of it is in force."""
        before, calls = self.gateway.running.settings, list(self.gateway.parts.calls)
        self.write("b.example.org", "tc", "allocation: {linger: 5}\n")
        self.gateway.write("b.yaml", c="192.168.0.3")
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.REFUSED)
        [line] = outcome.problems
        place = f"{self.gateway.path}:{self.line}:9: "
        self.assertTrue(line.startswith(f"{place}the test expects TC, and what comes is GIVEN: "), line)
        self.assertIs(self.gateway.running.settings, before)
        self.assertEqual((self.gateway.names, self.gateway.parts.calls), (["a.example.org.", "b.example.org."], calls))
        self.assertEqual(self.gateway.running.problems, (line,))
        self.write("c.example.org", "given", "allocation: {linger: 5}\n")
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)
        self.assertEqual((self.gateway.running.settings.allocation.linger, len(self.gateway.names)), (5.0, 3))

    def test_a_host_that_a_test_is_about_does_not_go(self) -> None:
        """Though only a subscriber file was changed."""
        self.gateway.write("a.yaml", a="192.168.0.1")
        outcome = only(self.gateway.reload(accepts_loss=True))
        self.assertEqual(outcome.status, Status.REFUSED)
        self.assertIn("the test expects GIVEN, and what comes is NXDOMAIN", outcome.problems[0])
        self.assertEqual(self.gateway.names, ["a.example.org.", "b.example.org."])

    def test_a_plan_tells_it(self) -> None:
        """As what is wrong with what is written."""
        self.write("b.example.org", "policy")
        planned = self.gateway.reloader.plan()
        self.gateway.pass_time()
        error = self.failureResultOf(planned, ConfigurationError).value
        self.assertIn("the test expects POLICY", str(error))


class CheckTests(CliTestCase):
    """`realmgw check`."""

    def test_tells_what_has_failed(self) -> None:
        """As a problem; and nothing where all comes true."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {address: 192.168.0.1}\n")
        text = self.path.read_text()
        for word, problems in (("tc", 0), ("given", 1)):
            test = f"{{ask: {{name: a.example.org, resolver: 203.0.113.53}}, expect: {word}}}"
            self.path.write_text(f"{text}tests: [{test}]\n")
            status, lines = self.run_command("check", "--config", str(self.path))
            found = [line for line in lines if "the test expects" in line]
            self.assertEqual((status, len(found)), (problems, problems), lines)
        self.assertTrue(found[0].startswith(f"{self.path}:{len(text.splitlines()) + 1}:9: the test expects GIVEN"))

    def test_tells_what_it_can_not_know(self) -> None:
        """Who is known to the repository only."""
        test = "{ask: {name: b.example.org, resolver: 203.0.113.53}, expect: tc}"
        more = f"repository: {{url: 'https://repository.example.org/'}}\ntests: [{test}]\n"
        self.path.write_text(self.path.read_text() + more)
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual(status, 0, lines)
        self.assertIn("not looked at: nobody has the name b.example.org. so far", "".join(lines))
