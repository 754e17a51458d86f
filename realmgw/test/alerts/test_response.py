"""Tests for `realmgw.alerts.response`, `rules`, `bans` and `recent`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.alerts import recent
from realmgw.alerts.bans import MINUTE, Bans, Cause
from realmgw.alerts.eve import NO_FLOW, Alert, Flow
from realmgw.alerts.ours import Ours, guarding, is_of
from realmgw.alerts.response import Means, Response
from realmgw.alerts.rules import KNOWN, Rules
from realmgw.config.alerts import Action, AlertRule, Alerts
from realmgw.config.settings import Network
from realmgw.control.command.alerting import alerts
from realmgw.datapath.netlink.tracked import Direction, Tracked
from realmgw.subscribers.reach import Around
from realmgw.test.synproxy.test_table import settings

CLIENT, POOL, HOST = (ip_address(each).packed for each in ("203.0.113.5", "198.51.100.1", "192.168.0.1"))
CLIENT6, HOST6 = (ip_address(each).packed for each in ("2001:db8::5", "2001:db8:1::1"))
GATEWAY = ip_address("198.51.100.254")
OURS = ip_network("198.51.100.0/24"), ip_network("192.168.0.0/24"), ip_network("2001:db8:1::/48")
AROUND = Around(own=frozenset((GATEWAY,)), links=OURS[1:])
ALL = tuple(Action)


def alert(flow: Flow = (CLIENT, POOL, 6, 4000, 80), signature: int = 1, **how: Any) -> Alert:
    """One of some kind."""
    return Alert(signature, "TEST", how.pop("category", "Attempt"), how.pop("severity", 1), flow)


@attrs.define
class MemoryFlow:
    """A flow that conntrack has."""

    tracked: Tracked
    is_proven: bool = True
    ends: bool = True
    ended: int = 0


def into(client: bytes = CLIENT, pool: bytes = POOL, host: bytes = HOST, **how: Any) -> MemoryFlow:
    """A flow into a host."""
    one, other = Direction(client, pool, 6, 4000, 80), Direction(host, client, 6, 80, 4000)
    return MemoryFlow(Tracked(one, other, "established", True, True, 30, None, None), **how)


def out_of() -> MemoryFlow:
    """A flow out of a host."""
    one, other = Direction(HOST, CLIENT, 6, 5000, 443), Direction(CLIENT, POOL, 6, 443, 40000)
    return MemoryFlow(Tracked(one, other, "established", True, True, 30, None, None))


def to_gateway(port: int = 80, **how: Any) -> MemoryFlow:
    """A flow to the gateway itself."""
    one, other = Direction(CLIENT, GATEWAY.packed, 6, 4000, port), Direction(GATEWAY.packed, CLIENT, 6, port, 4000)
    return MemoryFlow(Tracked(one, other, "established", True, True, 30, None, None), **how)


CAUSE = Cause(2034636, "ET EXPLOIT something", AlertRule((Action.BAN,)))


class RecordingOpener:
    """Who has asked."""

    name = "192.0.2.53"

    def __init__(self) -> None:
        """Not blamed yet."""
        self.blamed: list[float] = []

    def blame(self, now: float) -> None:
        """Notes it."""
        self.blamed.append(now)


class ResponseTestCase(SynchronousTestCase):
    """One flow, and somebody who has asked for its client."""

    def setUp(self) -> None:
        """Makes them."""
        self.flow: MemoryFlow | None = into()
        self.opener: RecordingOpener | None = RecordingOpener()
        self.asked: list[Flow] = []
        self.steps: list[str] = []
        self.banned: list[tuple[bytes, float]] = []
        self.ours: tuple[Network, ...] = OURS

    def respond(self, *alerts: Alert, actions: tuple[Action, ...] = ALL, now: float = 0.0, **how: Any) -> Response:
        """What is done by one rule."""
        rules = Alerts(rules=(AlertRule(actions),), **how)
        self.bans = Bans(rules, lambda packed: is_of(guarding(self.ours), packed))
        means = Means(
            self._find,
            self._end,
            Ours(settings(), lambda packed: None, lambda: AROUND).way,
            lambda answer: answer.sport == 80,
            {HOST: "one.example.org."}.get,
            lambda *_: self.opener,
            lambda *banned: self.banned.append(banned),
        )
        response = Response(rules, self.bans, means)
        response.take(alerts, now, 1_700_000_000.0 + now)
        return response

    def _find(self, flows: Sequence[Flow]) -> list[MemoryFlow | None]:
        self.asked += flows
        self.steps.append("find")
        return [self.flow for _ in flows]

    def _end(self, some: Sequence[MemoryFlow]) -> list[bool]:
        self.steps.append(f"end {len(some)}")
        for each in some:
            each.ended += 1
        return [each.ends for each in some]

    def row(self, response: Response) -> dict[str, Any]:
        """The latest."""
        return dict(response.show(1, 1_700_000_001.0)["alerts"][0])


class ResponseTests(ResponseTestCase):
    """What is done."""

    def test_all_of_it_where_the_client_is_proven(self) -> None:
        """And it is told whose flow it was."""
        response = self.respond(alert())
        assert self.flow is not None
        assert self.opener is not None
        self.assertEqual(self.banned, [(CLIENT, 600.0)])
        self.assertEqual((self.flow.ended, self.opener.blamed), (1, [0.0]))
        row = self.row(response)
        self.assertEqual(row["done"], ["203.0.113.5 banned for 600 s", "192.0.2.53 blamed", "flow ended"])
        self.assertEqual((row["not_done"], row["rule"], row["ago"]), ([], 1, 1.0))
        self.assertEqual(
            row["flow"],
            {
                "direction": "in", "protocol": "tcp", "host": "one.example.org.", "address": "192.168.0.1", "port": 80,
                "client": "203.0.113.5", "client_port": 4000, "proven": True,
            },
        )  # fmt: skip

    def test_each_action_by_itself(self) -> None:
        """A ban ends the flow as well."""
        for action, ended, banned, blamed in (
            (Action.COUNT, 0, 0, 0), (Action.END, 1, 0, 0), (Action.BAN, 1, 1, 0), (Action.BLAME, 0, 0, 1),
        ):  # fmt: skip
            self.setUp()
            counts = self.respond(alert(), actions=(action,)).counts
            self.assertEqual((counts.ended, counts.banned, counts.blamed), (ended, banned, blamed), action)

    def test_nothing_without_a_flow(self) -> None:
        """Whoever is named in it: conntrack knows nothing of him."""
        self.flow = None
        response = self.respond(alert())
        self.assertEqual((self.banned, response.counts.without_flow), ([], 1))
        self.assertEqual(self.row(response)["not_done"], ["conntrack has no such flow"])

    def test_protocols_without_ports_are_not_looked_for(self) -> None:
        """It is said."""
        response = self.respond(alert((CLIENT, POOL, 1, 0, 0)))
        self.assertEqual((self.asked, self.banned), ([], []))
        self.assertIn("without ports", self.row(response)["not_done"][0])

    def test_a_packet_without_addresses_is_told(self) -> None:
        """It has no flow."""
        response = self.respond(alert(NO_FLOW))
        self.assertEqual((self.asked, self.banned, response.counts.without_flow), ([], [], 1))
        row = self.row(response)
        self.assertEqual((row["src_ip"], row["dest_ip"], row["proto"]), ("", "", ""))
        self.assertEqual(row["not_done"], ["the packet had no addresses"])
        lines = list(alerts({"on": True, **response.show(1, 1_700_000_001.0)}))
        self.assertEqual(
            lines[-2:], ["1 s ago: 1 TEST (Attempt, severity 1)", "  rule 1: not done: the packet had no addresses"]
        )

    def test_a_client_who_may_be_forged_is_neither_banned_nor_blames_anybody(self) -> None:
        """His flow ends."""
        self.flow = into(is_proven=False)
        response = self.respond(alert())
        assert self.opener is not None
        self.assertEqual((self.banned, self.opener.blamed, self.flow.ended), ([], [], 1))
        self.assertEqual(len(self.row(response)["not_done"]), 2)
        self.assertEqual(response.counts.not_proven, 2)

    def test_a_flow_that_was_begun_inside_bans_nobody(self) -> None:
        """Neither the host nor whom it has called."""
        self.flow = out_of()
        response = self.respond(alert((CLIENT, POOL, 6, 443, 40000)))
        self.assertEqual((self.banned, self.flow.ended), ([], 1))
        row = self.row(response)
        self.assertEqual((row["flow"]["direction"], row["flow"]["host"]), ("out", "one.example.org."))
        self.assertIn("not banned: the flow was begun inside", row["not_done"])

    def test_what_comes_to_the_web_proxy_bans_its_client(self) -> None:
        """Nobody has asked for him. Without a ban the flow can not be ended, and that is told."""
        self.flow = to_gateway()
        response = self.respond(alert())
        self.assertEqual((self.banned, self.flow.ended), ([(CLIENT, 600.0)], 1))
        row = self.row(response)
        flow = {key: row["flow"][key] for key in ("direction", "host", "address", "port", "client")}
        self.assertEqual(flow, {"direction": "gateway", "host": None, "address": str(GATEWAY), "port": 80,
                                "client": "203.0.113.5"})  # fmt: skip
        self.assertEqual(row["done"], ["203.0.113.5 banned for 600 s", "flow ended"])
        self.assertEqual(len(row["not_done"]), 1)
        self.assertIn("nobody blamed: it came to the gateway itself", row["not_done"][0])
        self.assertIn(
            f": to the gateway itself, {GATEWAY}:80, client 203.0.113.5:4000",
            "\n".join(alerts({"on": True, **response.show(1, 1_700_000_001.0)})),
        )
        for actions, bans, is_proven in (((Action.END,), 1, True), (ALL, 0, True), (ALL, 1, False)):
            self.setUp()
            self.flow = to_gateway(is_proven=is_proven)
            response = self.respond(alert(), actions=actions, bans_per_minute=bans)
            self.assertEqual((self.banned, self.flow.ended, response.counts.not_ended), ([], 0, 1))
            self.assertIn("flow not ended: it came to the gateway itself", self.row(response)["not_done"][-1])

    def test_what_else_comes_to_the_gateway_itself_bans_nobody(self) -> None:
        """DNS by TCP, SSH: a ban would not keep him from them. It is told, and whose flow it was."""
        self.flow = to_gateway(53)
        response = self.respond(alert())
        self.assertEqual((self.banned, self.flow.ended), ([], 0))
        row = self.row(response)
        self.assertEqual((row["done"], row["flow"]["client"]), ([], "203.0.113.5"))
        self.assertIn("not banned: it came to the gateway itself", row["not_done"][0])
        counts = response.counts
        self.assertEqual((counts.not_banned, counts.nobody_blamed, counts.not_ended), (1, 1, 1))

    def test_what_is_ours_or_named_is_never_banned(self) -> None:
        """Nor a /64 that has such an address; the reason is told."""
        for client, ours, never, why in (
            (POOL, OURS, (), "ours"), (CLIENT, (ip_network("203.0.113.5/32"),), (), "ours"),
            (CLIENT6, (ip_network("2001:db8::77/128"),), (), "ours"),
            (CLIENT6, (ip_network("2001:db8::/32"),), (), "ours"),
            (CLIENT, OURS, (ip_network("203.0.113.0/24"),), "never_ban"),
            (CLIENT6, OURS, (ip_network("2001:db8::77/128"),), "never_ban"),
            (CLIENT6, OURS, (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")), "never_ban"),
            (bytes((127, 0, 0, 1)), (), (), "this machine"),
        ):  # fmt: skip
            self.setUp()
            self.flow, self.ours = into(client), ours
            response = self.respond(alert(), actions=(Action.BAN,), never_ban=never)
            self.assertEqual((self.banned, response.counts.not_banned, self.flow.ended), ([], 1, 0))
            self.assertIn(why, self.row(response)["not_done"][0])

    def test_so_many_a_minute_are_banned(self) -> None:
        """Then others again; nobody twice. Whoever else could be banned has his flow ended all the same."""
        for number in range(4):
            self.flow = flow = into(bytes((203, 0, 113, number)))
            if not number:
                response = self.respond(alert(), actions=(Action.BAN,), bans_per_minute=2)
            else:
                response.take([alert(signature=number + 1)], 0.0, 0.0)
            self.assertEqual(flow.ended, 1)
        self.assertEqual((len(self.banned), response.counts.not_banned), (2, 2))
        response.take([alert(signature=9)], MINUTE, 0.0)
        self.assertEqual(len(self.banned), 3)
        response.take([alert(signature=10)], MINUTE, 0.0)
        self.assertIn("banned already", self.row(response)["not_done"][0])
        self.assertEqual(flow.ended, 3)

    def test_whoever_has_asked_may_be_forgotten(self) -> None:
        """It is said."""
        self.opener = None
        response = self.respond(alert(), actions=(Action.BLAME,))
        self.assertIn("who asked", self.row(response)["not_done"][0])
        self.assertEqual(response.counts.nobody_blamed, 1)

    def test_audit_only_tells(self) -> None:
        """What would be done."""
        response = self.respond(alert(), audit=True)
        assert self.flow is not None
        assert self.opener is not None
        self.assertEqual((self.banned, self.opener.blamed, self.flow.ended), ([], [], 0))
        self.assertEqual(len(self.row(response)["done"]), 3)
        self.assertEqual((response.counts.audited, response.counts.ended, len(self.bans)), (1, 0, 0))

    def test_a_flow_that_conntrack_does_not_end_is_told(self) -> None:
        """It may have been over."""
        self.flow = into(ends=False)
        response = self.respond(alert(), actions=(Action.END,))
        self.assertEqual((self.row(response)["done"], response.counts.not_ended), ([], 1))

    def test_the_same_alert_again_is_counted_for_a_second(self) -> None:
        """Then it is looked at again, and is still one entry."""
        response = self.respond(alert(), alert(), alert(signature=2), actions=(Action.END,))
        self.assertEqual((response.counts.repeated, len(response.recent)), (1, 2))
        response.take([alert()], recent.SOON, 0.0)
        self.assertEqual((len(self.asked), self.row(response)["times"], len(response.recent)), (2, 3, 2))

    def test_what_is_alike_is_done_once(self) -> None:
        """Conntrack is asked for a flow once, and it ends once, in whatever views others saw it; each alert says so."""
        back = (POOL, CLIENT, 6, 80, 4000)
        response = self.respond(alert(), alert(signature=2), alert(back), actions=(Action.END,))
        self.assertEqual((self.asked, self.steps), ([alert().flow, back], ["find", "end 1"]))
        self.assertEqual((response.counts.ended, response.counts.not_ended), (1, 0))
        self.assertEqual([each["done"] for each in response.show(9, 0.0)["alerts"]], [["flow ended"]] * 3)

    def test_who_has_to_go_is_first(self) -> None:
        """Whatever comes before him that is only shown."""
        response = self.respond()
        rules = AlertRule((Action.END,), signatures=(2,)), AlertRule((Action.COUNT,), signatures=(1,))
        response.configure(Alerts(rules=rules))
        others = [alert((CLIENT, POOL, 6, port, 80), signature=port % 2 * 2 + 1) for port in range(4)]
        response.take([*others, alert(signature=2)], 0.0, 0.0)
        self.assertEqual((self.steps, self.asked[0]), (["find", "end 1", "find"], alert().flow))
        self.assertEqual((len(self.asked), response.counts.without_rule), (5, 2))

    def test_what_is_remembered_is_bounded(self) -> None:
        """The oldest is forgotten."""
        response = self.respond(*(alert(signature=number + 1) for number in range(recent.MOST + 5)), actions=ALL[:1])
        shown = response.show(recent.MOST, 0.0)
        self.assertEqual((shown["total"], shown["alerts"][0]["signature_id"]), (recent.MOST, recent.MOST + 5))


class RulesTests(SynchronousTestCase):
    """Which rule holds."""

    def test_the_first_one_of_which_all_holds(self) -> None:
        """Severity 1 is the most severe; categories are compared without regard to case."""
        rules = Rules((
            AlertRule((Action.BAN,), signatures=(7, 8), severity=1),
            AlertRule((Action.END,), categories=("Web Application Attack",)),
            AlertRule((Action.BLAME,), severity=2),
        ))  # fmt: skip
        for number, signature, severity, category in (
            (1, 7, 1, "x"), (3, 7, 2, "x"), (None, 7, 3, "x"), (2, 9, 3, "web application ATTACK"), (3, 9, 1, "")
        ):  # fmt: skip
            for _ in range(2):
                found = rules.of(alert(signature=signature, severity=severity, category=category))
                self.assertEqual(found and found[0], number)

    def test_what_is_remembered_of_kinds_is_bounded(self) -> None:
        """Whatever categories there are."""
        rules = Rules((AlertRule((Action.END,)),))
        for number in range(KNOWN + 10):
            self.assertIsNotNone(rules.of(alert(category=str(number))))
        self.assertLessEqual(len(rules._known), KNOWN)


class BansTests(SynchronousTestCase):
    """Who is banned."""

    def test_bans_end(self) -> None:
        """And how long each lasts is known meanwhile; of IPv6 it is the /64."""
        bans = Bans(Alerts(ban_time=10.0), lambda packed: False)
        self.assertEqual(str(bans.add(CLIENT, 0.0, CAUSE)), "203.0.113.5/32")
        self.assertEqual(str(bans.add(CLIENT6, 5.0, CAUSE)), "2001:db8::/64")
        self.assertIsNotNone(bans.refuses(CLIENT6[:-1] + b"\7", 6.0))
        bans.expire(10.0)
        self.assertEqual((len(bans), list(bans.left(10.0).values())), (1, [5.0]))
        self.assertIsNone(bans.refuses(CLIENT, 10.0))

    def test_it_is_known_what_somebody_is_banned_for(self) -> None:
        """The signature, and the rule while it is in force; of IPv6 whoever is in the /64; nothing of others."""
        other = AlertRule((Action.END,))
        bans = Bans(Alerts(rules=(other, CAUSE.rule)), lambda packed: False)
        bans.add(CLIENT6, 0.0, CAUSE)
        self.assertEqual(bans.cause(CLIENT6[:-1] + b"\7"), (CAUSE, 1))
        self.assertIsNone(bans.cause(CLIENT))
        bans.configure(Alerts(rules=(other,)))
        self.assertEqual(bans.cause(CLIENT6), (CAUSE, None))
        bans.expire(1e9)
        self.assertIsNone(bans.cause(CLIENT6))
