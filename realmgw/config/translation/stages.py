"""Rules of iptables in policy files of existing deployments, in the words of `policy.pipeline`.

Each rule says what a stage does, or it is what the gateway does in any case, or it can not be had here. What can not be
had is told with its place and with what to write instead; nothing of it is in force. Rules of the operator's own, which
no stage has a word for, become rules of that stage, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from realmgw.config.document import Mapping, Node, Problems
from realmgw.config.pipeline import LARGEST_SEGMENT, LEAST_SEGMENT, Check
from realmgw.config.steps import Steps
from realmgw.config.translation import iptables, recognition
from realmgw.config.translation.iptables import (
    ENDS,
    EVERYWHERE,
    GOTO,
    GROUPS,
    LAN,
    LATER,
    OWN,
    POOL,
    REFUSED,
    WAN,
    Said,
    text,
)
from realmgw.config.translation.recognition import PORTED, PORTS, SERVICES, STATE
from realmgw.config.translation.served import Served
from realmgw.config.translation.wording import Wording

_BUILT_IN = {("mangle", "NFQUEUE"), ("nat", "MARKDNAT")}
_WAYS = {(None, LAN): ["INGRESS"], (LAN, None): ["EGRESS"], (None, None): ["INGRESS", "EGRESS"]}
_BINDINGS: dict[str, tuple[str, set[tuple[int | None, int | None]]]] = {
    "src": ("EGRESS", {(LAN, None), (None, None)}),
    "dst": ("INGRESS", {(None, LAN), (None, None)}),
}
_SUBSCRIBERS = "IPS_SUBSCRIBERS"
_SERVED = ("protocol", *PORTED, *STATE)


def translating(roots: Iterable[Node], problems: Problems) -> Steps[Mapping | None]:
    """What policy files say by IPTABLES and IPSET, as a section `pipeline`.

    Args:
        roots: The files; of a key that stands twice, the last value.
        problems: What has no translation is noted there, as what is outdated.

    Returns:
        It, each of its parts with the place of the rule that says so; None: nothing is said.
    """
    roots, found = list(roots), list[Said | Node]()
    for each in iptables.rules(roots):
        found.append(each)
        yield None
    made_of = _Translation(roots, found, problems)
    for each in made_of.in_turn(found):
        if isinstance(each, Said):
            made_of.add(each)
        else:
            made_of.lacks(each, "this is no rule: write {table, chain, rule: {target, ...}}")
        yield None
    for _ in made_of.looking():
        yield None
    return made_of.words.whole()


class _Translation:
    """What becomes of each rule."""

    def __init__(self, roots: list[Node], found: Iterable[Said | Node], problems: Problems) -> None:
        known = [each for each in found if isinstance(each, Said)]
        self._reached = iptables.reached(known, EVERYWHERE)
        through = (each for each in known if each.goes != OWN and each.leads_to != "GUEST_SERVICES")
        self._goes_on = iptables.reached(through, ("FORWARD", "CUSTOMER_POLICY_ACCEPT"))
        self._chains = {each.chain for each in known} | iptables.chains(roots)
        self._leads: dict[str, list[Said]] = {}
        self._groups: dict[str, dict[tuple[str, str], None]] = {}
        self._chain_of: dict[tuple[str, str], str] = {}
        for each in known:
            if id(each) in self._reached:
                self._leads.setdefault(each.leads_to, []).append(each)
            for bound in self._bound(each):
                if self._chain_of.setdefault(bound, each.target) == each.target:
                    self._groups.setdefault(each.target, {})[bound] = None
        hosts = {name for name, _ in self._chain_of} | {_SUBSCRIBERS}
        self.words = Wording(problems, iptables.interfaces(known), iptables.sets(roots), hosts)
        self.lacks = self.words.lacks
        self._looked: list[tuple[Said, Check]] = []
        self._late: set[int] = set()
        self._served = Served(self.words, self._leads, self._leads_on, self._jumps)
        stages = {"mREJECT", "ADMIN_PREEMPTIVE", GROUPS, "ADMIN_POLICY", "GUEST_SERVICES", *LATER, *SERVICES}
        self._stages = stages | {chain for chain in self._chains if chain.startswith("POLICY_DNS")} | {*self._groups}

    def in_turn(self, found: Iterable[Said | Node]) -> list[Said | Node]:
        """All rules; those about what comes in to the gateway itself last, in the order in which packets meet them."""
        by_chain: dict[str, list[Said]] = {"INPUT": []}
        rest = list[Said | Node]()
        for each in found:
            is_for_itself = isinstance(each, Said) and each.table == "filter" and self._is_for_itself(each.chain)
            if isinstance(each, Said) and is_for_itself:
                by_chain.setdefault(each.chain, []).append(each)
            else:
                rest.append(each)
        turn = self._served.turn
        for first in [*by_chain]:
            left = [iter(by_chain.pop(first, ()))]
            while left:
                said = next(left[-1], None)
                if said is None:
                    left.pop()
                    continue
                turn.append(said)
                if said.leads_to in by_chain:
                    left.append(iter(by_chain.pop(said.leads_to)))
        self._late = {id(each) for chain in SERVICES for each in self._led_late(chain, turn)}
        for chain in SERVICES:
            self._leads[chain] = [each for each in self._leads.get(chain, ()) if id(each) not in self._late]
        return [*rest, *turn]

    def _led_late(self, chain: str, turn: Iterable[Said]) -> Iterator[Said]:
        """What leads to a service again, after rules that are of something else."""
        is_led = is_past = False
        for each in turn:
            if each.leads_to == chain and id(each) in self._reached:
                if is_past:
                    yield each
                is_led = True
            elif is_led and each.chain != chain and not self._leads_on(each):
                is_past = True

    def _is_for_itself(self, chain: str) -> bool:
        return chain in {"INPUT", "ADMIN_POLICY", *SERVICES} or chain.startswith("POLICY_DNS")

    def add(self, said: Said) -> None:
        """Takes a rule."""
        self.words.begin(said)
        if id(said) not in self._reached:
            self.lacks(said.place, "no packet comes here: an earlier rule decides about all, or nothing leads there")
        elif said.target == "MARK":
            self._mark(said)
        elif id(said) in self._late:
            self.lacks(said.place, f"what leads to {said.target!r} stands in two places: write it beside the first one")
        elif said.target == GOTO:
            self.lacks(said.place, "a chain is always come back from: write its name as the target")
        elif said.came != POOL and (said.table, said.target) not in _BUILT_IN:
            self._of(said)(said)  # what the pool has refused is told so by mREJECT
            if self._is_for_itself(said.chain) and id(said) in self._goes_on and said.target in ("DROP", *REFUSED):
                why = "this stage is about the gateway itself: write a rule of preemptive, or of each group, too"
                self.lacks(said.place, why, " for what goes on to others")
        self._served.begun.add(said.chain)

    def _of(self, said: Said) -> Callable[[Said], None]:
        """What takes a rule, by its table and chain."""
        if said.table == "filter" and said.chain in self._groups:
            return self._group
        by_chain: dict[str, Callable[[Said], None]] = {
            "mREJECT": self._told, "ADMIN_PREEMPTIVE": self._first, GROUPS: self._grouped,
            "INPUT": self._served.input, "ADMIN_POLICY": self._served.rest, "GUEST_SERVICES": self._of_guests,
            **dict.fromkeys(SERVICES, self._served.service),
        }  # fmt: skip
        by_table = {
            ("raw", "PREROUTING"): self._first, ("mangle", "POSTROUTING"): self._segment,
            ("nat", "POSTROUTING"): self._source, ("nat", "PREROUTING"): self._led,
            ("nat", "GUEST_SERVICES"): self._guest,
        }  # fmt: skip
        if said.table == "filter" and said.chain.startswith("POLICY_DNS"):
            return self._served.dns
        taken = by_chain.get(said.chain) if said.table == "filter" else by_table.get((said.table, said.chain))
        return taken or self._elsewhere

    def _mark(self, said: Said) -> None:
        if iptables.marked(said) is None:
            self.lacks(said.place, "marks are the gateway's own, by interface: write it into a file of nft.d")
        else:
            self.words.say("marking", True)

    def _leads_on(self, said: Said) -> bool:
        """Whether it leads to where other rules are."""
        return said.target in self._chains and said.target not in REFUSED

    def _jumps(self, said: Said) -> bool:
        """The same, and conditions that are lost are noted: which stage comes first says `datapath.policy_order`."""
        if not self._leads_on(said):
            return False
        is_service = said.target in SERVICES or said.target.startswith("POLICY_DNS")
        is_built_in = said.only(*_SERVED) if is_service else said.only(*STATE) and said.is_of_any_side
        if said.target in self._stages and not (is_built_in and said.begins):
            name = f"the stage of {said.target!r}"
            self.lacks(
                said.place, f"all packets meet {name}, whatever leads there: write the conditions into its rules"
            )
        return True

    def _first(self, said: Said) -> None:
        """ADMIN_PREEMPTIVE, and what stands before conntrack."""
        if self._jumps(said):
            return
        if said.target in ("ACCEPT", "RETURN"):
            if said.table == "raw":
                self.lacks(said.place, "ADMIN_PREEMPTIVE decides about it nevertheless: write the rule there")
                return
            said = attrs.evolve(said, target="ACCEPT")
        if said.match("fragment") is not None:
            self._fragments(said)
        elif said.target != "ACCEPT" or not said.states or not said.states <= {"RELATED", "ESTABLISHED"}:
            self._looked.append((said, recognition.kind(said)))  # what was answered passes in any case

    def _fragments(self, said: Said) -> None:
        by = self.words.by(said)
        names = by if by != [""] else [name for names in self.words.sides.values() for name in names]
        is_plain = said.only("fragment", "in-interface") and said.goes is None and said.target == "DROP"
        if by and (not names or not is_plain or text(iptables.node_of(said, "fragment")).lower() != "true"):
            self.lacks(said.place, "fragments are dropped by interface: write preemptive.fragments, with its name")
            return
        for name in names:
            self.words.append(said.place, self.words.ours(name), "preemptive", "fragments")

    def looking(self) -> Iterator[None]:
        """Says what is looked at first, once all rules are known; what drops before conntrack does so before others."""
        seen, looked = set[object](), list[tuple[Said, Check]]()
        for said, which in sorted(self._looked, key=lambda each: each[0].table != "raw"):
            told = (which, said.listed, said.came)
            name = said.listed[0] if said.listed and not said.listed[2] and which is Check.RULES else ""
            is_empty = self.words.sets.get(name) == [] and name not in self.words.hosts
            if not is_empty and (told not in seen or which not in (Check.BLACK_LIST, Check.WHITE_LIST, Check.SOURCES)):
                looked.append((said, which))
            seen.add(told)
            yield None
        for said, which in recognition.in_order(looked):
            self.words.begin(said)
            self._look(said, which)
            yield None

    def _look(self, said: Said, which: Check) -> None:
        words = self.words
        if which is Check.RULES:
            words.own(said, "preemptive")
        elif which in (Check.BLACK_LIST, Check.WHITE_LIST):
            words.prefixes(said, "preemptive", which.value)
            words.check(which)
        elif which is Check.SOURCES:
            items = words.items(said)
            for by in words.by(said) if items else ():
                words.append(said.place, {"interface": by, "refused": list(items)}, "preemptive", "sources")
                words.check(which)
        elif which is Check.NEW_RATES:
            rate = recognition.new_rate(said) or {}
            for by in words.by(said):
                words.append(said.place, {"interface": by, **rate}, "preemptive", "new_rates")
                words.check(which)
        else:
            words.check(which)

    def _bound(self, said: Said) -> Iterator[tuple[str, str]]:
        """Of a rule that leads hosts to their group: the set, and the direction."""
        name, end, is_not = said.listed or ("", "", True)
        if said.chain != GROUPS or said.table != "filter" or is_not or name == _SUBSCRIBERS or not said.only("set"):
            return
        direction, sides = _BINDINGS[end]
        if (said.came, said.goes) in sides and said.target in self._chains and said.target not in LATER | {"mREJECT"}:
            yield name, direction

    def _grouped(self, said: Said) -> None:
        bound = list(self._bound(said))
        for each in bound:
            self._group_named(each[0])
            if (chain := self._chain_of[each]) != said.target:
                self.lacks(said.place, f"a group has one list of rules: write those of {said.target!r} into {chain!r}")
        if bound:
            return
        if said.listed and said.listed[2] and said.listed[0] == _SUBSCRIBERS:
            self._guest(said)
        elif said.matches or not self._jumps(said):
            self.lacks(said.place, "it is of no group: write a rule of each group, below policy.pipeline.groups")

    def _group_named(self, name: str) -> dict[str, Any]:
        found = self.words.section("groups", name)
        if self.words.sets.get(name):
            self.lacks(self.words.sets.pop(name)[0], f"write the group into its hosts' files: groups: [{name}]")
        return found

    def _group(self, said: Said) -> None:
        """A rule of a group: which way it is about say the side of the LAN, and what leads to its chain."""
        passes = said.target in LATER | {"ACCEPT", "RETURN"}
        if (said.came, said.goes) not in _WAYS:
            self.lacks(said.place, "its mark is of neither direction of a host: write direction: INGRESS, or EGRESS")
        elif passes and said.is_about_all:
            return  # everything passes where nothing is said
        elif self._leads_on(said) and not passes:
            self.lacks(said.place, f"a group has one list of rules: write those of {said.target!r} into it")
        else:
            for name, direction in self._groups[said.chain]:
                if direction not in _WAYS[said.came, said.goes]:
                    continue
                rule = self.words.written(said, {"direction": direction, **({"target": "ACCEPT"} if passes else {})})
                if rule is None or not self.words.number(rule, self._group_named(name), f"of {name}"):
                    return

    def _told(self, said: Said) -> None:
        who = recognition.is_told(said)
        _, how = recognition.REFUSALS["" if who == "others" else who or "tcp"]
        if not who:
            self.lacks(said.place, "refusals are told by protocol: tcp, udp, icmp or any other one")
            return
        self.words.append(said.place, who, "reject")
        if (other := text(iptables.member(said.options, "reject-with"))) not in ("", how):
            self.lacks(said.place, f"{other!r}: senders are told by {how!r}, and it can not be chosen")

    def _segment(self, said: Said) -> None:
        names = self.words.sides.get(said.goes or 0)
        size = text(iptables.member(said.options, "set-mss"))
        if said.target != "TCPMSS" or not names:
            self._elsewhere(said)
        elif size and not (size.isdecimal() and LEAST_SEGMENT <= int(size) <= LARGEST_SEGMENT):
            self.lacks(said.place, f"{size!r} is no size: write one from {LEAST_SEGMENT} to {LARGEST_SEGMENT}")
        else:
            for name in names:
                value = {"interface": self.words.ours(name), **({"size": int(size)} if size else {})}
                self.words.append(said.place, value, "segments")

    def _source(self, said: Said) -> None:
        to = text(iptables.member(said.options, "to-source"))
        if said.goes == WAN and said.came == OWN:
            self.lacks(said.place, "the gateway itself sends from its own address: leave it out")
        else:
            self.lacks(said.place, f"how LANs leave say the pools: write pools.outbound: {to or 'FIRST-LAST'}")

    def _led(self, said: Said) -> None:
        if said.target == "DNAT":
            self.lacks(said.place, "flows go to hosts by names: for a reverse proxy, write pools.service and webproxy")
        else:
            self._elsewhere(said)

    def _of_guests(self, said: Said) -> None:
        asked = recognition.destinations(said)
        is_usual = asked and asked <= set().union(*PORTS.values()) and said.only(*_SERVED)
        if not (said.target == "ADMIN_POLICY" and is_usual) and not (said.target == "DROP" and said.is_about_all):
            self._guest(said)

    def _guest(self, said: Said) -> None:
        to = text(iptables.member(said.options, "to-destination"))
        here = f", and portal.listen: [{to}]" if to else ""
        self.lacks(said.place, f"what guests get is said once: write datapath.unknown_hosts: guest{here}")

    def _elsewhere(self, said: Said) -> None:
        """Where no stage is: what leads to the pool and to stages is built in, anything else is not."""
        is_built_in = said.chain == "CIRCULAR_POOL" and recognition.check(said) is Check.NOT_SYN
        if said.listed and said.listed[0] == _SUBSCRIBERS:
            self._guest(said)
        elif said.listed and said.listed[1] == "dst" and said.target == "CIRCULAR_POOL":
            if self.words.sets.get(said.listed[0]):
                pool = self.words.sets.pop(said.listed[0])
                self.lacks(pool[0], f"the pool is said elsewhere: write pools.circular: {pool[0].text}, and so on")
        elif is_built_in or said.target == "CIRCULAR_POOL" or self._jumps(said):
            return
        elif said.chain in self._chains and said.target in ENDS | REFUSED and said.table == "filter":
            self.lacks(
                said.place, f"{said.chain!r} has no rules of its own here: write it for preemptive, services or a group"
            )
        else:
            self.lacks(said.place, f"no stage does that ({said.table} {said.chain}): write it into a file of nft.d")
