"""Rules of iptables beside what they are translated to: the same packets pass, whatever the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from realmgw.config.pipeline import Check, Pipeline, Policing, Preemptive
from realmgw.config.rules import StageRule, Target, plain
from realmgw.config.values import Network
from realmgw.test.config.translation.test_stages import TranslationTestCase

SIDES = {"lan0": 2, "wan0": 3, "tun0": 4}
SETS = {"A": ("192.0.2.1", "192.0.2.2"), "B": ("192.0.2.2", "192.0.2.3"), "C": ("192.0.2.3",), "NONE": ()}
_EACH = ", ".join(f"{{name: {name}, items: [{', '.join(items)}]}}" for name, items in SETS.items())
FILES = f"\nIPSET: {{rules: [{_EACH}]}}\n"
HOSTS = [f"192.0.2.{at}" for at in (1, 2, 3, 4)]
PORTS = [22, 80, 443, 8080, 8443]
LED = {80, 443, 8080, 8443}


@attrs.frozen
class Packet:
    """What begins a flow, of TCP."""

    by: str
    src: str
    dst: str
    port: int


PACKETS = [Packet(*each) for each in product(SIDES, HOSTS, HOSTS[:2], PORTS)]


@attrs.frozen
class Written:
    """A rule as it stands in a file."""

    chain: str
    target: str
    side: str
    listed: tuple[str, str, bool] | None
    src: str
    ports: tuple[int, ...]

    def text(self) -> tuple[str, str]:
        """As `TranslationTestCase.read` takes it."""
        words = [f"mark: {{mark: '0xff00000{SIDES[self.side]}/0xff00000f'}}"] if self.side else []
        if self.listed:
            name, end, is_not = self.listed
            turned = "'!', " if is_not else ""
            words.append(f"set: {{match-set: [{turned}{name}, {end}]}}")
        words += [f"src: {self.src}"] if self.src else []
        ports = ",".join(map(str, self.ports))
        words += ["protocol: tcp", f"multiport: {{dports: '{ports}'}}"] if ports else []
        return self.chain, ", ".join([*words, f"target: {self.target}"])

    def meets(self, packet: Packet) -> bool:
        """Whether iptables takes a packet for one of the rule's."""
        if self.listed:
            name, end, is_not = self.listed
            if (getattr(packet, end) in SETS[name]) == is_not:
                return False
        return (
            self.side in ("", packet.by)
            and self.src in ("", packet.src)
            and (not self.ports or packet.port in self.ports)
        )


_sides = st.sampled_from(["", "", *SIDES])
_ports = st.sampled_from([(), (), (), (80,), (443,), (80, 443), (8080,), (22,)])
FIRST = st.builds(
    Written,
    st.sampled_from(["ADMIN_PREEMPTIVE", "ADMIN_PREEMPTIVE", "ADMIN_PREEMPTIVE", "raw PREROUTING"]),
    st.sampled_from(["ACCEPT", "DROP", "mREJECT", "RETURN"]),
    _sides,
    st.none()
    | st.tuples(st.sampled_from(list(SETS)), st.sampled_from(["src", "dst"]), st.sampled_from([False] * 5 + [True])),
    st.just(""),
    _ports,
)
SERVED = st.builds(
    Written,
    st.just("POLICY_HTTP"),
    st.sampled_from(["ACCEPT", "DROP", "mREJECT"]),
    _sides,
    st.none(),
    st.sampled_from(["", "", *HOSTS]),
    _ports,
)
CAME_IN = st.sampled_from(
    [
        Written("INPUT", "ADMIN_POLICY", "", None, "", ()),
        Written("INPUT", "POLICY_HTTP", "", None, "", (80, 443)),
        Written("ADMIN_POLICY", "POLICY_HTTP", "", None, "", (80, 443)),
        Written("ADMIN_POLICY", "POLICY_HTTP", "", None, "", (8080, 8443)),
    ]
) | st.builds(
    Written,
    st.sampled_from(["INPUT", "ADMIN_POLICY", "POLICY_HTTP"]),
    st.sampled_from(["ACCEPT", "DROP"]),
    st.sampled_from(["", "", "wan0"]),
    st.none(),
    st.sampled_from(["", "", HOSTS[0]]),
    st.sampled_from([(), (), (80,), (80, 443)]),
)


def walked(rules: list[Written], chain: str, packet: Packet) -> bool | None:
    """What becomes of a packet in a chain; None: it comes back."""
    for each in rules:
        if each.chain == chain and each.meets(packet):
            if each.target not in ("ADMIN_POLICY", "POLICY_HTTP"):
                return each.target == "ACCEPT"
            if (said := walked(rules, each.target, packet)) is not None:
                return said
    return None


def passes(rules: list[Written], packet: Packet) -> bool:
    """What the first rule that matches says."""
    return next((each.target in ("ACCEPT", "RETURN") for each in rules if each.meets(packet)), True)


def own(rules: tuple[StageRule, ...]) -> Callable[[Packet], bool | None]:
    """What the first of our rules that matches says of a packet; None: nothing."""
    said = [
        (each.interface, _address(each.rule.src), _address(each.rule.dst),
         {int(port) for port in plain(each.rule).get("multiport", {"dports": "0"})["dports"].split(",")},
         each.rule.target is Target.ACCEPT)
        for each in rules
    ]  # fmt: skip

    def verdict(packet: Packet) -> bool | None:
        for by, src, dst, ports, accepts in said:
            of_ends = src in ("", packet.src) and dst in ("", packet.dst)
            if by in ("", packet.by) and of_ends and (packet.port in ports or ports == {0}):
                return accepts
        return None

    return verdict


def _address(where: Network | None) -> str:
    return "" if where is None else str(where.network_address)


def looked_at(first: Preemptive) -> Callable[[Packet], bool]:
    """Whether a packet passes what is looked at first."""
    black, white = ({_address(each) for each in of.prefixes} for of in (first.black_list, first.white_list))
    spoofed = {(of.interface, _address(each)) for of in first.sources for each in of.refused}
    by_check: dict[Check, Callable[[Packet], bool | None]] = {
        Check.BLACK_LIST: lambda packet: False if packet.src in black else None,
        Check.WHITE_LIST: lambda packet: True if packet.src in white else None,
        Check.SOURCES: lambda packet: False if (packet.by, packet.src) in spoofed else None,
        Check.RULES: own(first.rules),
    }
    used = [by_check[each] for each in first.checks if each in by_check]
    return lambda packet: next((said for said in (check(packet) for check in used) if said is not None), True)


def served(found: Pipeline) -> Callable[[Packet], bool]:
    """Whether a packet comes to what listens at the gateway."""
    sides = {"wan0": found.services.http.wan, "lan0": found.services.http.lan}
    others = {"wan0": found.services.others.wan, "lan0": found.services.others.lan}
    rules = own(found.services.rules)

    def verdict(packet: Packet) -> bool:
        said = rules(packet)
        if said is not None:
            return said
        accept = Policing.ACCEPT
        if packet.port in (80, 443) and (found.services.http.origin or sides.get(packet.by, accept) is not accept):
            return sides.get(packet.by, accept) is accept
        return others.get(packet.by, accept) is accept

    return verdict


class SameTests(TranslationTestCase):
    """A rule that nothing is told of is in force as it was; of one that is told, nothing is."""

    def in_force(self, rules: list[Written]) -> Iterator[Written]:
        """Those that nothing was told of."""
        told = {int(line.split(":")[1]) - self.first for line in self.told if "not in force: " in line}
        yield from (each for at, each in enumerate(rules) if at not in told)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(FIRST, min_size=3, max_size=6))
    def test_what_is_looked_at_first(self, rules: list[Written]) -> None:
        """By sets, sides and ports, in raw and behind it."""
        found = self.read(*(each.text() for each in rules), more=FILES)
        left = list(self.in_force(rules))
        raw = [each for each in left if each.chain.startswith("raw")]
        rest = [each for each in left if each not in raw]
        ours = looked_at(found.preemptive)
        for packet in PACKETS:
            expected = passes(raw, packet) and passes(rest, packet)
            self.assertEqual(ours(packet), expected, (packet, rules, self.told))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(SERVED, min_size=2, max_size=5))
    def test_a_service(self, rules: list[Written]) -> None:
        """By senders, sides and ports."""
        found = self.read(*(each.text() for each in rules), more=FILES)
        left = list(self.in_force(rules))
        ours = served(found)
        for packet in PACKETS:
            expected = packet.port not in LED or passes(left, packet)
            self.assertEqual(ours(packet), expected, (packet, rules, self.told))

    @settings(max_examples=500, deadline=None)
    @given(st.lists(CAME_IN, min_size=4, max_size=6))
    def test_what_comes_in_to_the_gateway(self, rules: list[Written]) -> None:
        """In any order, by INPUT and what it leads to: nothing is opened that was not open."""
        lines = (each.text() for each in rules)
        text = "".join(f"      - {{table: filter, chain: {chain}, rule: {{{said}}}}}\n" for chain, said in lines)
        found = self.read(more=text)
        left = list(self.in_force(rules))
        ours = served(found)
        for packet in PACKETS:
            is_told = any("not in force for" in line for line in self.told)
            if ours(packet) and not is_told:
                self.assertIsNot(walked(left, "INPUT", packet), False, (packet, rules, self.told))
