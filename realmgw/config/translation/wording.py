"""The section `policy.pipeline` that rules of iptables become, while it is made.

Rules of the operator's own are written in the words of `realmgw.config.rules`; what can not be is noted with its place.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from collections.abc import Mapping as AbstractMapping
from typing import Any

from realmgw.config import identifiers
from realmgw.config.addresses import network
from realmgw.config.document import Mapping, Node, Problems, Scalar
from realmgw.config.pipeline import MOST_RULES, MOST_WRITTEN, Check
from realmgw.config.rules import KNOWN, MAX_TEXT, NEVER, read_rule
from realmgw.config.translation import iptables
from realmgw.config.translation.iptables import LAN, OWN, REFUSED, WAN, Said, made, text

_MATCHES = {*KNOWN, "protocol", "src", "dst"}
_EVERYWHERE = ["0.0.0.0/0", "::/0"]
_OPTIONS = {"REJECT": "reject-with", "LOG": "log-prefix"}


class Wording:
    """What is said so far."""

    def __init__(
        self, problems: Problems, sides: dict[int, list[str]], sets: dict[str, list[Scalar]], hosts: Container[str]
    ) -> None:
        """With nothing said.

        Args:
            problems: Gets what has no translation, as what is outdated.
            sides: The interfaces of each side.
            sets: What is in each set.
            hosts: The sets that subscribers come into by themselves.
        """
        self._problems = problems
        self.sides = sides
        self.sets = sets
        self.hosts = hosts
        self._place: Node | None = None
        self._said = iptables.Part(None)
        self._checks: dict[Check, None] = {}
        self._tunnels: dict[str, None] = {}
        self._listed: set[tuple[str, ...]] = set()

    def begin(self, said: Said) -> None:
        """What is said from here on, that rule says."""
        self._said.place = self._said.place or said.place
        self._place = said.place

    def lacks(self, place: Node, why: str, of: str = "") -> None:
        """Notes what has no translation.

        Args:
            place: Where it stands.
            why: What to write instead.
            of: Of which packets it has none; empty: of all.
        """
        self._problems.outdate(place, f"not translated, and not in force{of}: {why}")

    def say(self, word: str, value: Any, *above: str) -> None:
        """Says something once; what was said before stays."""
        assert self._place is not None
        self.section(*above).setdefault(word, made(self._place, value))

    def section(self, *words: str) -> dict[str, Any]:
        """A mapping by the keys that lead to it."""
        found = self._said
        for word in words:
            found = found.setdefault(word, iptables.Part(self._place))
        return found

    def append(self, place: Node, value: Any, *words: str) -> None:
        """Adds to a list, by the keys that lead to it."""
        *above, last = words
        self.section(*above).setdefault(last, []).append(made(place, value))

    def check(self, which: Check) -> None:
        """Has something looked at before anything else, after what is already."""
        self._checks.setdefault(which)

    def prefixes(self, said: Said, *words: str) -> None:
        """Adds what is in the set that a rule asks for to a list."""
        found = self.section(*words).setdefault("prefixes", made(said.place, []))
        for each in self.items(said):
            if (*words, each.text) not in self._listed:
                self._listed.add((*words, each.text))
                found.items.append(each)

    def by(self, said: Said) -> list[str]:
        """By which interfaces a packet came in; an empty name: by any; none: nobody knows, and that is noted."""
        named = said.match("in-interface")
        if named is None and said.came is None:
            return [""]
        if named is None and said.came in self.sides:
            return [self.ours(name) for name in self.sides[said.came]]
        wrong: str | None = "no rule with the target MARK says which interface that mark is of: write in-interface"
        if named is not None:
            name = text(named.node)
            wrong = iptables.interface_problem(name)
            if wrong is None and said.came is not None and name not in self.sides.get(said.came, ()):
                wrong = f"{name!r} is not of the side of its mark, so it never matches: leave one of both out"
            if wrong is None:
                return [self.ours(name)]
        self.lacks(said.place, str(wrong))
        return []

    def ours(self, name: str) -> str:
        """An interface that is named, and therefore has to be known."""
        if name != "lo" and name not in (*self.sides.get(LAN, ()), *self.sides.get(WAN, ())):
            self._tunnels[name] = None
        return name

    def own(self, said: Said, stage: str) -> None:
        """A rule of the operator's own in a stage, at its end."""
        if said.goes is not None and (stage, said.goes) != ("services", OWN):
            self.lacks(said.place, "a stage knows of no interface by which a packet leaves: write a rule of a group")
            return
        ends = list(self._ends(said))
        for by in self.by(said):
            for end in ends:
                if not self._rule(said, {**end, **({"interface": by} if by else {})}, stage):
                    return

    def own_by(self, said: Said, by: str, stage: str) -> None:
        """The same by one interface, wherever the rule itself is about."""
        self._rule(said, {"interface": self.ours(by)}, stage)

    def manages(self, said: Said, by: str) -> None:
        """Whoever comes in by that interface manages the gateway."""
        self.check(Check.MANAGEMENT)
        self.say("prefixes", _EVERYWHERE, "preemptive", "management")
        self.append(said.place, by, "preemptive", "management", "interfaces")

    def _ends(self, said: Said) -> Iterable[dict[str, Any]]:
        """What is known of either end by a set: all prefixes in it, one after the other."""
        name, end, is_not = said.listed or ("", "", False)
        if not name:
            yield {}
        elif is_not or said.match(end) is not None:
            self.lacks(said.place, f"of the set {name!r} it asks what no stage can: write rules with src or dst")
        else:
            yield from ({end: item} for item in self.items(said))

    def items(self, said: Said) -> list[Scalar]:
        """The prefixes in the set that a rule asks for."""
        assert said.listed is not None
        name, _, _ = said.listed
        if name in self.hosts:
            self.lacks(said.place, f"who is in {name!r} shows while the gateway runs: write a rule of each group")
        elif name not in self.sets:
            self.lacks(said.place, f"no file says what is in the set {name!r}: write its prefixes")
        elif len(found := self.sets[name]) > MOST_WRITTEN:
            self.sets[name] = []
            why = f"the set {name!r} has {len(found)} prefixes: write them into a file, one in each line,"
            self._problems.add(found[0], f"{why} and file: NAME into our own list, black_list for example")
        else:
            self.sets[name] = [each for each in found if self._is_prefix(each)]
            return self.sets[name]
        return []

    def _is_prefix(self, item: Scalar) -> bool:
        wrong = identifiers.problem(lambda text: str(network(text)), item.text)
        if wrong is not None:
            self.lacks(item, wrong)
        return wrong is None

    def _rule(self, said: Said, more: dict[str, Any], stage: str) -> bool:
        rule = self.written(said, more)
        if rule is None:
            return False
        if stage == "preemptive":
            self.check(Check.RULES)
        return self.number(rule, self.section(stage), f"of {stage}")

    def number(self, rule: Mapping, section: dict[str, Any], where: str) -> bool:
        """Adds a rule at the end of a section's rules; not if there are too many, which is noted."""
        rules = section.setdefault("rules", made(rule, []))
        if len(rules.items) >= MOST_RULES:
            self.lacks(rule, f"there are {MOST_RULES} rules {where} by now: write fewer, with larger prefixes")
            return False
        priority = made(rule, 10 * len(rules.items))
        rule.pairs["priority"] = Scalar(rule.line, rule.column, "priority", True, rule.source), priority
        rules.items.append(rule)
        return True

    def written(self, said: Said, more: AbstractMapping[str, Any]) -> Mapping | None:
        """A rule in our words; None: it can not be had, and why is noted.

        Args:
            said: It.
            more: What is known of it besides, in our words, in the place of sides and sets.
        """
        copied = {each.name: each.node for each in said.matches if each.name in _MATCHES}
        done = {word for word, by in (("set", {"src", "dst"}), ("in-interface", {"interface"})) if by & more.keys()}
        left = next((each.name for each in said.matches if each.name not in _MATCHES | done), None)
        if left is not None:
            self.lacks(said.place, f"{left!r} can not be had: {NEVER.get(left, 'no rule of ours can match that')}")
            return None
        target = "REJECT" if said.target in REFUSED else said.target
        whole = {**copied, "target": target, **more}
        if said.comment is not None:
            remark = " ".join(
                " ".join(iptables.texts(iptables.member(said.comment, "comment") or said.comment)).split()
            )
            whole.update({"comment": {"comment": remark[:MAX_TEXT]}} if remark else {})
        option = _OPTIONS.get(target, "")
        if (how := iptables.member(said.options, option)) is not None:
            told = {**whole, "target": {target: {option: how}}}
            wrong = self._wrong(said, told)
            if wrong is None:
                return iptables.mapping(said.place, told)
            self.lacks(said.place, wrong, f" as to {option}")
        wrong = self._wrong(said, whole)
        if wrong is not None:
            self.lacks(said.place, wrong)
        return iptables.mapping(said.place, whole) if wrong is None else None

    def _wrong(self, said: Said, whole: dict[str, Any]) -> str | None:
        """What is wrong with a rule in our words; None: nothing."""
        trial = Problems("")
        tried = {"priority": 0, "direction": "INGRESS", **whole}
        tried.pop("interface", None)
        if read_rule(made(said.place, tried), trial) is not None:
            return None
        return trial.found[0][2] if trial.found else "no rule of ours can say that"

    def whole(self) -> Mapping | None:
        """All of it; None: nothing was said."""
        if self._place is None:
            return None
        if self._checks or "preemptive" in self._said:
            self.section("preemptive")["checks"] = made(self._place, [each.value for each in self._checks])
        if self._tunnels:
            self._said["tunnels"] = made(self._place, list(self._tunnels))
        return iptables.mapping(self._place, self._said)
