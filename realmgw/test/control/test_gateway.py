"""Tests for `realmgw.control.gateway` and the commands' table."""

from __future__ import annotations

import json
from functools import partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.challenges import Challenge
from realmgw.config.policy import ResolverGroup
from realmgw.config.settings import Attachment, PoolPrefix
from realmgw.config.steps import Steps, finish
from realmgw.control.command import shown
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus
from realmgw.control.counting import SHOWN, Counting
from realmgw.control.decided import Decided
from realmgw.control.flows import Flows
from realmgw.control.gateway import Gateway, Insight
from realmgw.control.health import Severity
from realmgw.control.history import PastFlows
from realmgw.control.leases import Leases
from realmgw.control.parameters import number
from realmgw.control.rules import Rules
from realmgw.control.streaming import Stream
from realmgw.control.tracing import Tracing
from realmgw.datapath import selecting
from realmgw.datapath.policy.classes import Classes
from realmgw.dns.codec.names import to_wire
from realmgw.subscribers.model import Service
from realmgw.test.control.parts import TestGateway
from realmgw.test.control.registering import Inline, begun
from realmgw.test.control.test_history import RecordingRecords


@attrs.frozen
class Found:
    """What the DNS server makes of a name."""

    steps: tuple[str, ...]
    """Steps."""
    service: Service | None
    """The service."""
    challenge: Challenge | None = None
    """What would be due."""
    family: int = 4
    """Of the addresses that are asked for."""


PROXY = {
    "proxy": "203.0.113.9:12345", "state": "in step", "since": 61.0, "entries": 2, "waiting": 0, "outstanding": 0,
    "ipv6": False, "error": "", "counts": {"sent": 9, "refused": 0},
}  # fmt: skip
COUNTS = {
    "dns": {"wan": {"queries": 120, "reserved": 60, "nodata": 0}, "lan": {"queries": 0}},
    "admission": {"admitted": 30, "untold": 0, "refused": {"late": 1, "no_reservation": 0}},
    "reputation": {"failing": False, "written": 0},
    "reloads": {"count": 0, "last": None, "problems": []},
}
KERNEL = {"kernel": {"presented": {"packets": 31, "octets": 1240}, "not_syn": {"packets": 0, "octets": 0}}}


def no_flows(*_: object) -> Steps[selecting.Found[Any]]:
    """Conntrack has none."""
    yield None
    return selecting.Found()


def valid(name: str) -> str:
    """The name; the DNS server refuses those that are none."""
    to_wire(f"{name.removesuffix('.')}.")
    return name


def gateway_of(made: TestGateway) -> Gateway:
    """The command layer of a gateway."""
    services = made.running.registry.directory.services
    counting = Counting(made.clock.seconds, lambda: succeed(KERNEL))
    for part, counts in COUNTS.items():
        counting.add(part, partial(dict, counts))
    past = PastFlows(RecordingRecords(), made.running.registry, made.clock.seconds)
    insight = Insight(
        running=made.running,
        health=made.health,
        allocator=made.allocator,
        reputations=made.reputations,
        flows=Flows(
            made.running, made.allocator, made.reloader.drive, no_flows, no_flows, lambda *_: lambda: None, float
        ),
        leases=Leases(begun(made, Inline(), made.clock.seconds, []), made.clock.seconds),
        rules=Rules(made.running, lambda: succeed((Classes(), {})), made.reloader.drive),
        tracing=Tracing(made.running, lambda *_: succeed(lambda: None)),
        decided=Decided(
            made.running,
            made.allocator.ledger.decisions,
            made.reloader.drive,
            lambda *_: lambda: None,
            lambda *_: succeed([]),
            made.clock.seconds,
            float,
            made.reputations.called,
        ),
        explain_name=lambda name, who, **how: Found(
            (f"{valid(name)} {who} {how}",), services.get(name), Challenge.CNAME
        ),
        counting=counting,
        companions={
            "synproxy/show": lambda: {"proxies": [PROXY]},
            "webproxy/show": lambda: {"state": "off"},
            "flows/history": past.list,
            "flows/accounts": past.accounts,
            "alerts": lambda limit: {"limit": number(limit, "limit", 9999)},
        },
        placed=lambda: [{"what": "route", "name": "r", "should_be": "there", "is": "gone"}],
        plan=made.reloader.plan,
        reload=made.reloader.reload,
        purge=lambda: succeed(("table removed",)),
        monotonic=made.clock.seconds,
        since=0.0,
    )
    return Gateway(insight)


class GatewayTestCase(SynchronousTestCase):
    """A gateway with two subscribers."""

    def setUp(self) -> None:
        """Makes it."""
        self.made = TestGateway(Path(self.mktemp()))
        self.gateway = gateway_of(self.made)

    def do(self, path: str, **given: str) -> Any:
        """What a command comes to, as it arrives by JSON."""
        value = self.gateway.do(path, given)
        if hasattr(value, "addCallback"):
            self.made.pass_time()
            value = self.successResultOf(value)
        if isinstance(value, Stream):
            value = None
        return json.loads(json.dumps(value))

    def refusal(self, path: str, **given: str) -> ExitStatus:
        """Why a command can not be done."""
        error = self.assertRaises(CommandError, self.gateway.do, path, given)
        assert isinstance(error, CommandError)
        return error.status


class CommandTests(GatewayTestCase):
    """Every command."""

    def test_every_command_of_the_table_is_done(self) -> None:
        """With the parameters that the table names."""
        given = {"name": "a.example.org.", "resolver": "192.0.2.53", "source": "192.0.2.9",
                 "destination": "198.51.100.1", "protocol": "tcp", "who": "192.0.2.53",
                 "reputation": "0.5", "address": "192.168.0.1", "src": "192.0.2.9"}  # fmt: skip
        self.made.allocator.groups.of("192.0.2.53")
        for path, command in COMMANDS.items():
            names = [parameter.name for parameter in command.parameters if parameter.default is None]
            told = given if path != "purge" else {"name": "gw.example.org"}
            more = {"client": "192.0.2.9"} if path == "flows/kill" else {}
            self.do(path, **{name: told[name] for name in names}, **more)

    def test_numbers_that_are_none_are_the_askers_fault(self) -> None:
        """Whatever they are asked for, and however many digits or words there are."""
        given = {"name": "a.example.org.", "source": "192.0.2.9", "destination": "198.51.100.1", "protocol": "tcp",
                 "who": "192.0.2.53", "reputation": "0.5", "resolver": "192.0.2.53"}  # fmt: skip
        for path, command in COMMANDS.items():
            names = [parameter.name for parameter in command.parameters]
            for name in {"limit", "port", "source_port", "reputation"}.intersection(names):
                for wrong in ("9" * 5000, "-1", "\N{SUPERSCRIPT TWO}", "", "nan", "1e999", "x" * 5000):
                    asked = {each: given[each] for each in names if each in given} | {name: wrong}
                    self.assertIs(self.refusal(path, **asked), ExitStatus.USAGE, (path, name, wrong[:9]))

    def test_purge_is_of_the_gateway_that_is_named(self) -> None:
        """Another name is that of another gateway, and nothing is done."""
        self.assertIs(self.refusal("purge", name="other.example.org"), ExitStatus.USAGE)
        self.assertIs(self.refusal("purge"), ExitStatus.USAGE)
        for name in ("gw.example.org", "GW.example.org."):
            self.assertEqual(list(self.do("purge", name=name)), ["done"])

    def test_a_brief_status_leaves_out_counters(self) -> None:
        """All but those that `top` and the dashboard show; it says the same beside them."""
        whole, brief = self.do("status"), self.do("status", brief="1")
        self.assertEqual({**whole, "counts": None}, {**brief, "counts": None})
        self.assertEqual(brief["counts"], {part: whole["counts"][part] for part in SHOWN if part in whole["counts"]})
        self.assertLess(len(brief["counts"]), len(whole["counts"]))

    def test_status_says_what_runs(self) -> None:
        """And what was counted."""
        self.made.health.tell("datapath", ["no route"], Severity.DEGRADED)
        self.made.clock.advance(2)
        answer = self.do("status")
        self.assertEqual(next(shown.status(answer)), "degraded: datapath: no route")
        self.assertEqual(answer["troubles"][0]["for"], 2)
        self.assertIn("placed       1 things, not as they should be: route r gone", list(shown.status(answer)))
        self.assertEqual(self.do("health"), {"state": "degraded", "troubles": answer["troubles"]})
        self.assertEqual((answer["hosts"], answer["pool"]["size"], answer["problems"]), (2, 256, []))

    def test_subscribers_are_listed_by_name(self) -> None:
        """Those that match, at most so many."""
        answer = self.do("subscribers/list", match="example", limit="1")
        self.assertEqual((answer["total"], answer["subscribers"][0]["name"]), (2, "a.example.org."))
        self.assertEqual(list(shown.subscribers(answer))[-1], "1 more")

    def test_a_subscriber_is_found_by_a_service(self) -> None:
        """With or without the final dot, in any case; with where it comes from."""
        answer = self.do("subscribers/show", name="A.example.org")
        self.assertEqual((answer["address"], answer["address6"]), ("192.168.0.1", None))
        self.assertTrue(answer["source"].endswith("a.yaml"))
        self.assertTrue(list(shown.subscriber(answer)))

    def test_pool_and_reservations_tell_what_stands(self) -> None:
        """By prefix and by address."""
        service = self.made.running.registry.directory.services["a.example.org."]
        self.made.allocator.ask(service, "192.0.2.53", 1, now=0.0)
        self.assertEqual(self.do("pool")["prefixes"]["198.51.100.0/24"]["waiting"], 1)
        [row] = self.do("reservations")["reservations"]
        self.assertEqual((row["service"], row["claims"][0]["resolver"]), ("a.example.org.", "192.0.2.53"))
        self.assertTrue(list(shown.pool(self.do("pool"))) and list(shown.reservations(self.do("reservations"))))
        self.assertEqual(self.do("reservations", limit="0"), {"addresses": 1, "reservations": []})

    def test_the_pool_is_drawn_in_as_many_cells_as_there_are_to_be(self) -> None:
        """Each counts its addresses that are waited at, and those that linger."""
        service = self.made.running.registry.directory.services["a.example.org."]
        self.made.allocator.ask(service, "192.0.2.53", 1, now=0.0)
        for cells, each, many in (("1024", 1, 256), ("100", 3, 86), ("1", 256, 1), ("0", 256, 1)):
            drawn = self.do("picture", cells=cells)
            self.assertEqual((drawn["size"], drawn["each"], len(drawn["waiting"])), (256, each, many))
            self.assertEqual((sum(drawn["waiting"]), drawn["lingering"]), (1, [0] * many))
        self.assertEqual(list(shown.drawn(self.do("picture", cells="4")))[1:], ["#..."])
        self.assertEqual([len(line) for line in shown.drawn(self.do("picture"))][1:], [64] * 4)

    def test_a_pool_that_changes_meanwhile_is_told_so(self) -> None:
        """A reload brings an address while it is gone through."""
        steps, pool = self.gateway.pool.picture(1), self.made.allocator.pool
        self.made.allocator.extend([IPv4Network("203.0.113.0/24")] * 3, now=0.0)
        next(steps)
        for network in ("192.0.2.0/30", "198.18.0.0/30"):
            pool.extend([IPv4Network(network)])
        with self.assertRaisesRegex(CommandError, "ask again"):
            finish(steps)

    def test_pool_and_reservations_tell_what_stands_of_ipv6(self) -> None:
        """Each address with its claim; of a gateway without such a pool, nothing."""
        self.assertEqual(self.do("pool")["ipv6"], {"prefixes": [], "waiting": 0, "kept": 0})
        self.assertFalse([line for line in shown.pool(self.do("pool")) if "IPv6" in line])
        settings, network = self.made.running.settings, IPv6Network("2001:db8:1::/64")
        circular = (*settings.pools.circular, PoolPrefix(network, Attachment.ROUTED))
        self.made.running.settings = attrs.evolve(settings, pools=attrs.evolve(settings.pools, circular=circular))
        self.made.allocator.extend([network], now=0.0)
        service = self.made.running.registry.directory.services["a.example.org."]
        service = attrs.evolve(service, host=attrs.evolve(service.host, address6=network[7].packed))
        answer = self.made.allocator.ask(service, "192.0.2.53", 1, now=0.0, family=6)
        assert isinstance(answer, bytes)
        [row] = self.do("reservations")["reservations"]
        self.assertEqual(
            (row["address"], row["state"], row["host"]), (str(IPv6Address(answer)), "waiting", "a.example.org.")
        )
        self.assertEqual((len(row["claims"]), row["sources"]), (1, 0))
        self.assertIn("IPv6: 2001:db8:1::/64: 1 addresses waiting, 0 kept", list(shown.pool(self.do("pool"))))
        self.assertTrue([line for line in shown.status(self.do("status")) if line.startswith("pool IPv6")])

    def test_explains_a_name(self) -> None:
        """First what the DNS server finds, then what the allocator would say."""
        answer = self.do("explain/name", name="a.example.org.", resolver="192.0.2.53")
        self.assertEqual((answer["answer"], answer["reason"]), ("198.51.100.0", None))
        self.assertTrue(next(shown.explanation(answer)).startswith("1. "))
        self.assertIsNone(self.do("explain/name", name="z.example.org.", resolver="192.0.2.53")["answer"])

    def test_the_way_a_name_is_asked_for_counts(self) -> None:
        """By TCP, with a cookie: the DNS server's part is told; for a client: it is told what becomes of him."""
        how = {"tcp": "yes", "cookie": "yes", "client": "203.0.113.9/24"}
        [step, client, *_] = self.do("explain/name", name="a.example.org.", resolver="192.0.2.53", **how)["steps"]
        self.assertEqual(step, "a.example.org. 192.0.2.53 {'kind': 1, 'tcp': True, 'cookie': True}")
        self.assertIn("its client 203.0.113.0/24 is not believed", client)

    def test_explains_either_type(self) -> None:
        """Which one it is, the DNS server is told; in letters of either case."""
        for kind, code in (("A", 1), ("aaaa", 28)):
            answer = self.do("explain/name", name="a.example.org.", resolver="192.0.2.53", type=kind)
            self.assertIn(f"'kind': {code}", answer["steps"][0])

    def test_the_challenge_that_would_be_due_is_told(self) -> None:
        """By its name."""
        self.assertEqual(self.do("explain/name", name="a.example.org.", resolver="192.0.2.53")["challenge"], "cname")

    def test_a_client_is_believed_of_whom_there_is_an_agreement_with(self) -> None:
        """Of nobody else; and he is not made known by asking."""
        presets = [ResolverGroup((IPv4Network("192.0.2.53/32"),), sla=True)]
        self.made.allocator.groups.preset(presets, now=0.0)
        for resolver, said in (("192.0.2.53", "is believed"), ("192.0.2.54", "is not believed")):
            answer = self.do("explain/name", name="a.example.org.", resolver=resolver, client="203.0.113.9")
            self.assertIn(f"its client 203.0.113.9/32 {said}", answer["steps"][1])
        self.assertEqual(list(self.made.allocator.requestors), [])

    def test_explains_a_packet(self) -> None:
        """With the host, or the reason."""
        where = {"source": "192.0.2.9", "destination": "198.51.100.0", "protocol": "tcp", "port": "80"}
        self.assertEqual(self.do("explain/packet", **where)["reason"], "no_reservation")
        service = self.made.running.registry.directory.services["a.example.org."]
        self.made.allocator.ask(service, "192.0.2.53", 1, now=0.0)
        self.assertEqual(self.do("explain/packet", **where)["host"]["name"], "a.example.org.")

    def test_reloads_and_plans(self) -> None:
        """In the same words."""
        self.made.write("a.yaml", b="192.168.0.2")
        planned = self.do("plan")
        self.assertEqual(planned["hosts_removed"], ["a.example.org."])
        self.assertIn("- host a.example.org.: its flows end", list(shown.plan(planned)))
        self.made.settle()
        answer = self.do("reload")
        self.assertEqual((answer["status"], answer["plan"]), ("applied", planned))
        self.assertIn("applied", list(shown.reload(answer))[-1])


class RefusalTests(GatewayTestCase):
    """What can not be done."""

    def test_parameters_are_checked(self) -> None:
        """Missing, unknown and malformed ones are told."""
        cases: tuple[tuple[str, dict[str, str]], ...] = (
            ("explain/name", {"name": "a.example.org."}),
            ("status", {"colour": "red"}),
            ("flows/list", {"host": "", "protocol": "tcp"}),
            ("log", {"name": ""}),
            ("reservations", {"limit": "-1"}),
            ("explain/name", {"name": "a.example.org.", "resolver": "me"}),
            ("explain/name", {"name": "a..example.org.", "resolver": "192.0.2.1"}),
            ("explain/name", {"name": "a.example.org.", "resolver": "192.0.2.1", "type": "MX"}),
            ("explain/name", {"name": "a.example.org.", "resolver": "192.0.2.1", "client": "him"}),
            ("explain/packet", {"source": "x", "destination": "192.0.2.1", "protocol": "6"}),
            ("explain/packet", {"source": "192.0.2.1", "destination": "192.0.2.1", "protocol": "300"}),
        )
        for path, given in cases:
            self.assertIs(self.refusal(path, **given), ExitStatus.USAGE, given)

    def test_what_is_not_there_is_told(self) -> None:
        """Commands and subscribers."""
        self.assertIs(self.refusal("dance"), ExitStatus.NOT_FOUND)
        self.assertIs(self.refusal("subscribers/show", name="z.example.org"), ExitStatus.NOT_FOUND)
