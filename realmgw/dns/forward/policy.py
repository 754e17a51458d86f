"""Names that are not to be had, by everybody or by some subscribers: what lists say of a question.

Who asks is looked at only if a list that is not for everybody has the name. The cost of a question does not grow with
the number of names: the name, and those above it, are looked up in each list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address

import attrs

from realmgw.config.namelists import Listed, Verdict
from realmgw.config.settings import ListReason, NameList
from realmgw.config.steps import PORTION, Steps
from realmgw.dns.codec import names
from realmgw.dns.codec.message import ExtendedError, InfoCode, Response
from realmgw.dns.codec.wire import Rcode
from realmgw.dns.forward.special import soa_record
from realmgw.dns.view import Answer, Asked, Part, said
from realmgw.subscribers.model import Host

BLOCKED_TTL = 60  # seconds
"""For so long those who ask remember that a name is not to be had; as long it takes until a list that changed counts
everywhere."""

_CODES = {
    ListReason.BLOCKED: InfoCode.BLOCKED,
    ListReason.CENSORED: InfoCode.CENSORED,
    ListReason.FILTERED: InfoCode.FILTERED,
}
_WILD = "*."

Note = Callable[[float, bytes, str, str], object]
"""Told what is not to be had: when (monotonic), the name in wire form, who asked, and what the list is called."""
HostAt = Callable[[bytes], Host | None]
"""The host that has a packed address."""


@attrs.define(eq=False)
class NameSet:
    """A list, as questions are looked up in it."""

    rules: NameList
    """What the configuration says of it."""
    exact: Mapping[bytes, Verdict]
    """By name, in wire form and lower case."""
    below: Mapping[bytes, Verdict]
    """By the name that those lie below."""
    counted: int = 0
    """How many questions it decided on."""

    @property
    def is_for_all(self) -> bool:
        """It holds for everybody."""
        return not self.rules.subscribers and not self.rules.groups

    def verdict(self, above: list[bytes]) -> Verdict | None:
        """What it says of a name; None: nothing.

        Args:
            above: The name and those above it, the root last.
        """
        found = self.exact.get(above[0])
        if found is not None or not self.below:
            return found
        return next((self.below[each] for each in above[1:] if each in self.below), None)

    def holds_for(self, host: Host | None) -> bool:
        """Whether it is for a subscriber; None: for somebody who is none."""
        if self.is_for_all or host is None:
            return self.is_for_all
        return host.name in self.rules.subscribers or not set(self.rules.groups).isdisjoint(host.profile.groups)


def compiling(lists: Iterable[Listed]) -> Steps[tuple[NameSet, ...]]:
    """Makes lists as they were read into such that can be looked up in, some names at a time."""
    found = []
    for each in lists:
        exact, below = dict[bytes, Verdict](), dict[bytes, Verdict]()
        for count, (name, verdict) in enumerate(each.names, 1):
            if name == "*":
                below[names.ROOT] = verdict
            elif name.startswith(_WILD):
                below[names.to_wire(f"{name[len(_WILD) :]}.")] = verdict
            else:
                exact[names.to_wire(f"{name}.")] = verdict
            if not count % PORTION:
                yield None
        found.append(NameSet(each.rules, exact, below))
    return tuple(found)


class NamePolicy:
    """Answers questions for names that are not to be had.

    Args:
        host_at: Finds out who asks; None: that is not known here, and what depends on it is for those who are careful.
        note: See there; it only keeps that.

    Attributes:
        dropped: How many questions lists decided on that are not there any more.
    """

    def __init__(self, host_at: HostAt | None, note: Note) -> None:
        self._host_at, self._note = host_at, note
        self._lists: tuple[NameSet, ...] = ()
        self.dropped = 0

    def configure(self, lists: tuple[NameSet, ...]) -> None:
        """From the next question on, go by these."""
        counted = {each.rules.name: each.counted for each in self._lists}
        for each in lists:
            each.counted = counted.pop(each.rules.name, 0)
        self.dropped += sum(counted.values())
        self._lists = lists

    def before(self, part: Part, careful: Part) -> Part:
        """What answers questions for names that may be had.

        Args:
            part: Answers those that all who ask get the same answer to, and may remember it by the question alone.
            careful: Answers those of which some are not to have an answer, and remembers nothing of it.
        """

        def answer(asked: Asked) -> Answer | None:
            if not self._lists:
                return part(asked)
            above = names.ancestors(asked.query.name)
            response, is_personal = self._judged(above, asked)
            if response is not None:
                return said(response)
            return (careful if is_personal else part)(asked)

        return answer

    def counts(self) -> dict[str, object]:
        """What was counted of each list, and how many names it has."""
        return {
            f"list {each.rules.name}": {"names": len(each.exact) + len(each.below), "decided": each.counted}
            for each in self._lists
        }

    def explain(self, name: bytes, address: str) -> tuple[str, bool]:
        """What lists say of a name that somebody asks for, in words; and whether it is to be had. Counts nothing."""
        found, _ = self._found(names.ancestors(name), address)
        if found is None:
            return "no list that holds for who asks has it", True
        rules, verdict = found[0].rules, found[1]
        if verdict is Verdict.PASS:
            return f"list {rules.name} ({rules.file}) says that it is had, whatever later ones say", True
        return f"list {rules.name} ({rules.file}) keeps it from who asks: {verdict.name}", False

    def _judged(self, above: list[bytes], asked: Asked) -> tuple[Response | None, bool]:
        """The answer, if the name is not to be had; and whether that depends on who asks."""
        found, is_personal = self._found(above, asked.address)
        if found is None:
            return None, is_personal
        each, verdict = found
        each.counted += 1
        if verdict is Verdict.PASS:
            return None, is_personal
        self._note(asked.now, above[0], asked.address, each.rules.name)
        return _blocked(above[0], verdict, each.rules), is_personal

    def _found(self, above: list[bytes], address: str) -> tuple[tuple[NameSet, Verdict] | None, bool]:
        """The list that decides, and how; and whether that depends on who asks."""
        is_personal, host = False, None
        for each in self._lists:
            verdict = each.verdict(above)
            if verdict is None:
                continue
            if not each.is_for_all:
                if self._host_at is None:
                    return None, True
                host = host if is_personal else self._host_at(_packed(address))
                is_personal = True
                if not each.holds_for(host):
                    continue
            return (each, verdict), is_personal
        return None, is_personal


def _packed(address: str) -> bytes:
    return ip_address(address.partition("%")[0]).packed


def _blocked(name: bytes, verdict: Verdict, rules: NameList) -> Response:
    rcode = Rcode.NXDOMAIN if verdict is Verdict.NXDOMAIN else Rcode.NOERROR
    soa = (soa_record(name, BLOCKED_TTL),)
    return Response(rcode, authority=soa, error=ExtendedError(_CODES[rules.reason], f"list {rules.name}"))
