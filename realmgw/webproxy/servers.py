"""The servers that one HAProxy has for hosts that it looks at: brought, watched, and taken away, around its map.

Edge: the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred

from realmgw.config.webproxy import Health
from realmgw.webproxy import checked, runtime

AT_ONCE = 200
"""So many servers at most are tried to be removed in one go: those with connections are tried again."""
Conversation = Generator[Deferred[Any], Any, None]
"""Something that is said and answered."""


class Servers:
    """Keeps the servers of one HAProxy; whoever calls does one thing at a time.

    Args:
        how: How hosts are looked at.
        answer: Says a line to HAProxy, and gives its answer.

    Attributes:
        leaving: Those that are still to be removed.
        watched: Those that are looked at.
    """

    def __init__(self, how: Health, answer: Callable[[bytes], Deferred[bytes]]) -> None:
        self._how, self._answer = how, answer
        self._there = dict[str, set[str]]()  # by name
        self.watched = set[str]()
        self.leaving: dict[str, None] = {}

    def listed(self, known: Iterable[str]) -> None:
        """HAProxy has these, and no others; which of them are looked at is not known."""
        self._there, self.leaving = {}, {}
        self.watched.clear()
        for each in known:
            self._there.setdefault(checked.name_of(each), set()).add(each)

    def names(self) -> list[str]:
        """The names that have some."""
        return list(self._there)

    def is_amiss(self, name: str, route: str | None) -> bool:
        """Whether a name has others than its route says, or such as are not looked at."""
        wanted = checked.servers(name, route, self._how).keys()
        return wanted != self._there.get(name, set()) or not wanted <= self.watched

    def bring(self, routes: Mapping[str, str | None]) -> Conversation:
        """What these names need from now on is there after this, and takes clients."""
        missing, back = dict[str, str](), list[str]()
        for name, route in routes.items():
            there = self._there.get(name, set())
            for known, words in checked.servers(name, route, self._how).items():
                if known in self.leaving:
                    del self.leaving[known]
                    back.append(known)
                elif known not in there:
                    missing[known] = words
        for line, _ in checked.bringing(missing):
            checked.brought((yield self._answer(line)))
        for line, _ in checked.returning(back):
            runtime.succeeded((yield self._answer(line)))
        for known in (*missing, *back):
            self._there.setdefault(checked.name_of(known), set()).add(known)

    def settle(self, routes: Mapping[str, str | None]) -> Conversation:
        """The map leads where these routes say: what they need is looked at, and what they do not is to go."""
        new = list[str]()
        for name, route in routes.items():
            wanted = checked.servers(name, route, self._how).keys()
            there = self._there.pop(name, set())
            self.leaving.update(dict.fromkeys(there - wanted))
            self.watched -= there - wanted
            if wanted:
                self._there[name] = set(wanted)
                new += [known for known in wanted if known not in self.watched]
        for line, _ in checked.watching(new):
            runtime.succeeded((yield self._answer(line)))
        self.watched.update(new)

    def sweep(self) -> Conversation:
        """Remove those that are to go; who still has connections is tried again the next time."""
        going = list(islice(self.leaving, AT_ONCE))
        for known in going:  # those of them that stay come last from now on
            self.leaving[known] = self.leaving.pop(known)
        for line, portion in checked.removing(going):
            for known in checked.removed(portion, (yield self._answer(line))):
                del self.leaving[known]
