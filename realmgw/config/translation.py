"""Rules of iptables in policy files of existing deployments, in the words of `policy.pipeline`.

Each rule is looked at by itself: it says what a stage does, or it is what the gateway does in any case, or it can not
be had here. What can not be had is told with its place and with what to write instead; nothing of it is in force.
Rules of the operator's own, which no stage has a word for, become rules of that stage, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from realmgw.config import identifiers, iptables
from realmgw.config.document import Mapping, Node, Problems, Scalar
from realmgw.config.iptables import ENDS, LAN, OWN, POOL, REFUSED, TUNNEL, WAN, Said, made, text
from realmgw.config.rules import KNOWN, NEVER, read_rule
from realmgw.config.steps import Steps

_SERVICES = {"POLICY_DHCP": "dhcp", "POLICY_HTTP": "http"}
_RATES = {
    "POLICY_DNS_LAN_GLOBAL_LIMIT": "lan_rate",
    "POLICY_DNS_WAN_WHITELIST": "white_rate",
    "POLICY_DNS_WAN_WKGREYLIST": "well_known_rate",
    "POLICY_DNS_WAN_GREYLIST": "rate",
}
_LISTS = {"POLICY_DNS_WAN_WHITELIST": "white_list", "POLICY_DNS_WAN_WKGREYLIST": "well_known"}
_BUILT_IN = {"NFQUEUE", "MARKDNAT"}
_WAYS = {(None, LAN): ["INGRESS"], (LAN, None): ["EGRESS"], (None, None): ["INGRESS", "EGRESS"]}
_SUBSCRIBERS = "IPS_SUBSCRIBERS"
_EVERYWHERE = ["0.0.0.0/0", "::/0"]
_MATCHES = {*KNOWN, "protocol", "src", "dst"}


def translating(roots: Iterable[Node], problems: Problems) -> Steps[Mapping | None]:
    """What policy files say by IPTABLES and IPSET, as a section `pipeline`.

    Args:
        roots: The files; of a key that stands twice, the last value.
        problems: What has no translation is noted there, as what is outdated.

    Returns:
        It, each of its parts with the place of the rule that says so; None: nothing is said.
    """
    made_of = _Translation(roots, problems)
    for each in made_of.found:
        if isinstance(each, Said):
            made_of.add(each)
        else:
            made_of.lacks(each, "this is no rule: write {table, chain, rule: {target, ...}}")
        yield None
    return made_of.whole()


class _Translation:
    """What is said so far."""

    def __init__(self, roots: Iterable[Node], problems: Problems) -> None:
        self.roots = list(roots)
        self._problems = problems
        self._sets = iptables.sets(self.roots)
        self.found = list(iptables.rules(self.roots))
        known = [each for each in self.found if isinstance(each, Said)]
        self._reached, self._sides = iptables.reached(known), iptables.interfaces(known)
        self._chains = {each.chain for each in known} | iptables.chains(self.roots)
        grouped = (each for each in known if each.chain == "GROUP_POLICY")
        self._group_of = {
            each.target: each.listed[0] for each in grouped if each.listed and each.listed[0] != _SUBSCRIBERS
        }
        self._place: Node | None = None
        self._said = iptables.Part(None)
        self._checks: list[str] = []
        self._tunnels: dict[str, None] = {}

    def add(self, said: Said) -> None:
        """Takes a rule."""
        self._said.place = self._said.place or said.place
        self._place = said.place
        if id(said) not in self._reached:
            self.lacks(said.place, "no packet comes here: an earlier rule decides about all, or nothing leads there")
        elif said.target == "MARK":
            self._said["marking"] = made(said.place, True)
        elif said.came == POOL:
            return  # what the pool has refused is told so by mREJECT
        elif said.target not in _BUILT_IN:
            self._of(said)(said)

    def lacks(self, place: Node, why: str) -> None:
        """Notes what has no translation."""
        self._problems.outdate(place, f"not translated, and not in force: {why}")

    def _of(self, said: Said) -> Callable[[Said], None]:
        """What takes a rule, by its table and chain."""
        if said.chain in self._group_of:
            return self._group
        by_chain: dict[str, Callable[[Said], None]] = {
            "mREJECT": self._told, "ADMIN_PREEMPTIVE": self._first, "GROUP_POLICY": self._grouped,
            "INPUT": self._input, "ADMIN_POLICY": self._served, "GUEST_SERVICES": lambda _: None,
            **dict.fromkeys(_SERVICES, self._service),
        }  # fmt: skip
        by_table = {
            ("raw", "PREROUTING"): self._first, ("mangle", "POSTROUTING"): self._segment,
            ("nat", "POSTROUTING"): self._source, ("nat", "PREROUTING"): self._led,
            ("nat", "GUEST_SERVICES"): self._guest,
        }  # fmt: skip
        if said.chain.startswith("POLICY_DNS"):
            return self._dns
        taken = by_chain.get(said.chain) if said.table == "filter" else by_table.get((said.table, said.chain))
        return taken or self._elsewhere

    def _section(self, *words: str) -> dict[str, Any]:
        found = self._said
        for word in words:
            found = found.setdefault(word, iptables.Part(self._place))
        return found

    def _append(self, place: Node, value: Any, *words: str) -> None:
        *above, last = words
        self._section(*above).setdefault(last, []).append(made(place, value))

    def _check(self, word: str) -> None:
        if word not in self._checks:
            self._checks.append(word)

    def _interface(self, said: Said) -> str | None:
        """By which a packet came in; empty: by any; None: nobody knows which one that is."""
        named = said.match("in-interface")
        if named is not None:
            name = text(named.node)
            wrong = identifiers.problem(identifiers.interface_name, name)
            if wrong:
                self.lacks(said.place, wrong)
            return None if wrong else self._ours(name)
        if said.came is None:
            return ""
        if said.came in self._sides:
            return self._ours(self._sides[said.came])
        self.lacks(said.place, "no rule with the target MARK says which interface that mark is of: write in-interface")
        return None

    def _each(self, said: Said) -> list[str]:
        """The interfaces that a rule is about, each by its name."""
        by = self._interface(said)
        return [by] if by else [self._ours(name) for name in self._sides.values()] if by == "" else []

    def _ours(self, name: str) -> str:
        if name and name != "lo" and name not in {self._sides.get(LAN), self._sides.get(WAN)}:
            self._tunnels[name] = None
        return name

    def _items(self, said: Said) -> list[Scalar]:
        """What is in the set that a rule asks for."""
        assert said.listed is not None
        name, _, _ = said.listed
        if name not in self._sets:
            self.lacks(said.place, f"no file says what is in the set {name!r}: write its prefixes")
        return self._sets.get(name, [])

    def _jumps(self, said: Said) -> bool:
        """Whether it leads to where other rules are: the order of stages is `datapath.policy_order`'s business."""
        return said.target in self._chains and said.target not in REFUSED

    def _first(self, said: Said) -> None:
        """ADMIN_PREEMPTIVE, and what stands before conntrack."""
        if self._jumps(said):
            return
        if said.listed is not None:
            self._from_set(said)
        elif said.match("fragment") is not None and said.only("fragment"):
            for name in self._each(said):
                self._append(said.place, name, "preemptive", "fragments")
        elif said.target == "ACCEPT" and said.states and said.states <= {"RELATED", "ESTABLISHED"}:
            return  # what was answered passes in any case
        elif (check := iptables.checked(said)) and said.came is None:
            self._check(check)
        elif said.target == "DROP" and (rate := iptables.overall(said)) and said.begins:
            self._new_rate(said, rate)
        else:
            self._own(said, "preemptive")

    def _from_set(self, said: Said) -> None:
        name, end, is_not = said.listed or ("", "", False)
        if is_not or end not in ("src", "dst") or said.target not in ("ACCEPT", "DROP") or not said.only("set"):
            self.lacks(said.place, f"of the set {name!r} it asks what no stage can: write rules with src or dst")
            return
        items = self._items(said)
        if end == "dst":
            for item in items:
                self._rule(said, {"dst": item}, "preemptive")
        elif said.came is None:
            word = "black_list" if said.target == "DROP" else "white_list"
            self._check(word)
            found = self._section("preemptive", word).setdefault("prefixes", made(said.place, []))
            found.items += [each for each in items if each not in found.items]
        elif said.target == "DROP" and items and (by := self._interface(said)):
            self._check("sources")
            self._append(said.place, {"interface": by, "refused": list(items)}, "preemptive", "sources")
        elif said.target == "ACCEPT":
            for item in items:
                self._rule(said, {"src": item}, "preemptive")

    def _new_rate(self, said: Said, rate: dict[str, Any]) -> None:
        for name in self._each(said):
            self._check("new_rates")
            self._append(said.place, {"interface": name, **rate}, "preemptive", "new_rates")

    def _input(self, said: Said) -> None:
        if self._jumps(said):
            return
        if said.target != "ACCEPT" or not said.matches or not said.only("in-interface"):
            self._own(said, "services")
        elif (by := self._interface(said)) and by != "lo":
            self._check("management")
            self._section("preemptive", "management").setdefault("prefixes", made(said.place, _EVERYWHERE))
            self._append(said.place, by, "preemptive", "management", "interfaces")

    def _grouped(self, said: Said) -> None:
        if said.target in self._group_of:
            self._group_named(self._group_of[said.target])
        elif said.listed:
            self._guest(said)
        elif not self._jumps(said):
            self.lacks(said.place, "it is of no group: write a rule of each group, below policy.pipeline.groups")

    def _group_named(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._section("groups", name)
        if self._sets.get(name):
            self.lacks(self._sets.pop(name)[0], f"write the group into its hosts' files: groups: [{name}]")
        return found

    def _group(self, said: Said) -> None:
        """A rule of a group: which way it is about says the side of the LAN."""
        passes = said.target in ("ACCEPT", "RETURN") or self._jumps(said)
        target = "ACCEPT" if passes else "REJECT" if said.target in REFUSED else said.target
        if (said.came, said.goes) not in _WAYS:
            self.lacks(said.place, "its mark is of neither direction of a host: write direction: INGRESS, or EGRESS")
        elif passes and said.is_about_all:
            return  # everything passes where nothing is said
        for direction in _WAYS.get((said.came, said.goes), ()):
            rule = self._written(said, {"direction": direction, "target": target})
            if rule is not None:
                name = self._group_of[said.chain]
                of_it = self._group_named(name).setdefault("rules", made(said.place, []))
                of_it.items.append(self._numbered(rule, len(of_it.items)))

    def _told(self, said: Said) -> None:
        word = text(iptables.node_of(said, "protocol"))
        who, how = iptables.REFUSALS.get(word, ("", ""))
        if said.target == "REJECT" and who and said.only("protocol"):
            self._append(said.place, who, "reject")
            if (other := text(iptables.member(said.options, "reject-with"))) not in ("", how):
                self.lacks(said.place, f"{other!r}: senders are told by {how!r}, and it can not be chosen")
        else:
            self.lacks(said.place, "refusals are told by protocol: tcp, udp, icmp or any other one")

    def _served(self, said: Said) -> None:
        if self._jumps(said) or (said.target == "ACCEPT" and said.is_about_all):
            return  # the services have chains of their own; what nothing is said of passes
        if said.target == "DROP" and not said.matches:
            for word in said.sides:
                self._section("services", "others")[word] = made(said.place, "drop")
        else:
            self._own(said, "services")

    def _service(self, said: Said) -> None:
        """DHCP and HTTP: a side that nothing accepts is dropped by the last rule."""
        word = _SERVICES[said.chain]
        found = self._section("services", word)
        usual = {"80", "443"} if word == "http" else {"67"}
        asked = {port for each in said.matches for port in iptables.ports(each)}
        if said.target == "ACCEPT" and asked <= usual and said.came in (LAN, WAN, None):
            for name in said.sides:
                found.setdefault(name, made(said.place, "accept"))
        elif said.target in ("DROP", *REFUSED) and not said.matches and said.came in (LAN, WAN, None):
            for name in said.sides:
                found.setdefault(name, made(said.place, "drop" if said.target == "DROP" else "reject"))
        else:
            self._own(said, "services")

    def _dns(self, said: Said) -> None:
        """The buckets of DNS."""
        rate = said.match("hashlimit")
        if said.match("string") is not None:
            self.lacks(said.place, "the DNS server refuses names that are of no zone of its own: write zones")
        elif said.match("u32") is not None or (not said.matches and said.target in ("DROP", *self._chains)):
            self._side_dropped(said)
        elif said.listed and said.target in _LISTS:
            self._dns_list(said, _LISTS[said.target])
        elif said.listed and said.target == "DROP" and said.chain == "POLICY_DNS_WAN_BLACKLIST":
            self._dns_list(said, "black_list")
        elif (
            rate is not None and said.chain in _RATES and (above := iptables.per_second(rate.option("hashlimit-upto")))
        ):
            self._section("services", "dns")[_RATES[said.chain]] = made(said.place, above)
            if not rate.option("hashlimit-mode"):
                self.lacks(said.place, f"its limit is of all senders together: here {above} a second are each one's")
        elif rate is not None and not self._jumps(said):
            self.lacks(
                said.place, "no bucket is of all senders together: write a rule of services.rules with that limit"
            )
        elif not (self._jumps(said) or (said.is_about_all and said.target == "ACCEPT")):
            self.lacks(said.place, "no bucket of DNS does that: see policy.pipeline.services.dns")

    def _side_dropped(self, said: Said) -> None:
        if said.chain == "POLICY_DNS_TUN" and TUNNEL in self._sides and said.target == "DROP":
            by = self._ours(self._sides[TUNNEL])
            self._rule(said, {"interface": by, "udp": {"dport": 53}}, "services")

    def _dns_list(self, said: Said, word: str) -> None:
        found = self._section("services", "dns", word).setdefault("prefixes", made(said.place, []))
        found.items += [each for each in self._items(said) if each not in found.items]

    def _segment(self, said: Said) -> None:
        name = self._sides.get(said.goes or 0)
        size = text(iptables.member(said.options, "set-mss"))
        if said.target == "TCPMSS" and name is not None:
            value = {"interface": self._ours(name), **({"size": int(size)} if size.isdigit() else {})}
            self._append(said.place, value, "segments")
        else:
            self._elsewhere(said)

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

    def _guest(self, said: Said) -> None:
        to = text(iptables.member(said.options, "to-destination"))
        here = f", and portal.listen: [{to}]" if to else ""
        self.lacks(said.place, f"what guests get is said once: write datapath.unknown_hosts: guest{here}")

    def _elsewhere(self, said: Said) -> None:
        """Where no stage is: what leads to the pool and to stages is built in, anything else is not."""
        if self._jumps(said) or (said.chain == "CIRCULAR_POOL" and said.target == "DROP" and iptables.checked(said)):
            if said.listed and said.listed[0] == _SUBSCRIBERS:
                self._guest(said)
            elif said.listed and said.listed[1] == "dst" and self._sets.get(said.listed[0]):
                pool = self._sets.pop(said.listed[0])
                self.lacks(pool[0], f"the pool is said elsewhere: write pools.circular: {pool[0].text}, and so on")
        elif said.chain in self._chains and said.target in ENDS | REFUSED and said.table == "filter":
            self.lacks(said.place, f"no stage is called {said.chain!r}: write it for preemptive, services or a group")
        else:
            self.lacks(said.place, f"no stage does that ({said.table} {said.chain}): write it into a file of nft.d")

    def _own(self, said: Said, stage: str) -> None:
        by = self._interface(said)
        if by is not None and said.goes is not None:
            self.lacks(said.place, "a stage knows of no interface by which a packet leaves: write a rule of a group")
        elif by is not None:
            self._rule(said, {"interface": by} if by else {}, stage)

    def _rule(self, said: Said, more: dict[str, Any], stage: str) -> None:
        target = "REJECT" if said.target in REFUSED else said.target
        rule = self._written(said, {**more, "target": target})
        if rule is not None:
            rules = self._section(stage).setdefault("rules", made(said.place, []))
            rules.items.append(self._numbered(rule, len(rules.items)))
            if stage == "preemptive":
                self._check("rules")

    def _numbered(self, rule: Mapping, at: int) -> Mapping:
        rule.pairs["priority"] = Scalar(rule.line, rule.column, "priority", True, rule.source), made(rule, 10 * at)
        return rule

    def _written(self, said: Said, more: dict[str, Any]) -> Mapping | None:
        """The rule in our words; None: it can not be had, and why is noted."""
        copied = {each.name: each.node for each in said.matches if each.name in _MATCHES and each.name not in more}
        done = {word for word, by in (("set", {"src", "dst"}), ("in-interface", {"interface"})) if by & more.keys()}
        left = next((each.name for each in said.matches if each.name not in _MATCHES | done), None)
        if left is not None:
            self.lacks(said.place, f"{left!r} can not be had: {NEVER.get(left, 'no rule of ours can match that')}")
            return None
        told = {"reject-with": iptables.member(said.options, "reject-with")}
        if more["target"] == "REJECT" and told["reject-with"] is not None:
            more = {**more, "target": {"REJECT": told}}
        whole = {**copied, **more, **({} if said.comment is None else {"comment": said.comment})}
        trial = Problems("")
        tried = {"priority": 0, "direction": "INGRESS", **whole}
        tried.pop("interface", None)
        if read_rule(made(said.place, tried), trial) is None:
            self.lacks(said.place, trial.found[0][2] if trial.found else "no rule of ours can say that")
            return None
        return iptables.mapping(said.place, whole)

    def whole(self) -> Mapping | None:
        """All of it."""
        if self._place is None:
            return None
        if self._checks or "preemptive" in self._said:
            self._section("preemptive")["checks"] = made(self._place, list(self._checks))
        if self._tunnels:
            self._said["tunnels"] = made(self._place, list(self._tunnels))
        return iptables.mapping(self._place, self._said)
