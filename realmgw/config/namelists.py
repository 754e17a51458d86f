"""Lists of names that are not to be had, in the forms that others publish; every problem has its line.

As hosts: `0.0.0.0 ads.example.org`, or the name alone. As a response policy zone: `ads.example.org CNAME .`, with
triggers by names, and actions that need nothing but these. In both, `*.example.org` is all that lies below a name.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

import attrs

from realmgw.config.dns import ListForm, NameList
from realmgw.config.document import Problems
from realmgw.config.steps import PORTION, Steps

T = TypeVar("T")

LONGEST = 2**25  # octets
"""Of a file."""
MOST_NAMES = 1_000_000
"""In a list."""

_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_NOWHERE = frozenset(("0.0.0.0", "127.0.0.1", "::", "::0", "::1"))  # noqa: S104 - text in a file, bound by nobody
_ITSELF = frozenset((
    "localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback", "ip6-localnet",
    "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0",  # noqa: S104 - text, as above
))  # fmt: skip
"""What the head of a hosts file says of the machine itself; it is passed over."""
_TTL = re.compile(r"(?:[0-9]+[smhdw])+[0-9]*|[0-9]+")  # in one way only: else a line could take for ever
_OTHER_TRIGGERS = frozenset(("rpz-ip", "rpz-client-ip", "rpz-nsip", "rpz-nsdname"))
_OTHER_ACTIONS = frozenset(("rpz-drop.", "rpz-tcp-only."))
_PASSED_OVER = frozenset(("SOA", "NS"))


class Verdict(enum.IntEnum):
    """What becomes of a question for a name."""

    NXDOMAIN = 0
    """There is no such name."""
    NODATA = 1
    """There is nothing of this type."""
    PASS = 2
    """It is answered as if no list had it."""


@attrs.frozen(eq=False)
class Listed:
    """A list as it was read."""

    rules: NameList
    """What the configuration says of it."""
    names: tuple[tuple[str, Verdict], ...]
    """Absolute and in lower case, without the final dot; `*.` before it: all below it."""


def reading(rules: NameList, content: bytes, problems: Problems) -> Steps[Listed]:
    """Reads a list, some lines at a time.

    Args:
        rules: What the configuration says of it.
        content: The file.
        problems: Gets what is wrong.
    """
    read = _reader(rules)
    what = "name", "names", MOST_NAMES, "write fewer, or several lists"
    found = yield from entries(content, problems, read.line, what, lambda: read.is_open)
    if rules.allow:
        found = [(name, Verdict.PASS) for name, _ in found]
    return Listed(rules, tuple(found))


def standing(rules: NameList, content: bytes, wanted: Collection[str]) -> Steps[dict[str, int]]:
    """In which lines entries stand, as far as they are there, as `Listed.names` has them; some lines at a time."""
    read, found = _reader(rules), dict[str, int]()
    for number, line in enumerate(lines(content), 1):
        with suppress(ValueError):
            for name, _ in read.line(line):
                if name in wanted:
                    found.setdefault(name, number)
        if not number % PORTION:
            yield None
    return found


def _reader(rules: NameList) -> _Hosts | _Zone:
    return _Hosts() if rules.form is ListForm.HOSTS else _Zone()


def entries(
    content: bytes,
    problems: Problems,
    read: Callable[[str], Iterable[T]],
    what: tuple[str, str, int, str],
    is_open: Callable[[], bool] = lambda: False,
    at_once: int = PORTION,
) -> Steps[list[T]]:
    """Goes through a file, some lines at a time.

    A file without an entry, and one that ends within a line, was not written whole: that is a problem.

    Args:
        content: The file.
        problems: Gets what is wrong.
        read: Gives the entries of a line; its ValueError says what is wrong there.
        what: What an entry is called, and several; how many there may be, and what to do about more.
        is_open: Whether an entry goes on in the next line.
        at_once: So many lines between two steps.
    """
    name, many, most, instead = what
    found, number = list[T](), 0
    for number, line in enumerate(lines(content), 1):
        try:
            found += read(line)
        except ValueError as error:
            problems.at(number, len(line) - len(line.lstrip()) + 1, str(error))
        if problems.are_many(number):
            break
        if len(found) > most:
            problems.at(number, 1, f"there are more than {most} {many}: {instead}")
            return []
        if not number % at_once:
            yield None
    if not problems.found and not found:
        problems.at(1, 1, f"there is no {name} in it: was it written whole?")
    elif not problems.found and (not content.endswith(b"\n") or is_open()):
        problems.at(number, 1, "the file ends within a line: was it written whole? End it with a new line")
    return found


def lines(content: bytes) -> Iterator[str]:
    """The lines of a file, one after the other; what is no UTF-8 is replaced, so that a problem can be told there."""
    at = 0
    while at < len(content):
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        yield content[at:end].decode("utf-8", "replace")
        at = end + 1


def _name(text: str) -> str:
    """A name without its final dot, maybe with `*.` before it."""
    lower = text.lower()
    if lower == "*":
        return lower
    if len(lower) > 253 or _NAME.fullmatch(lower.removeprefix("*.")) is None:
        raise ValueError(f"{text!r} is no domain name")
    return lower.removesuffix(".")


class _Hosts:
    """A file like /etc/hosts."""

    is_open = False

    def line(self, text: str) -> Iterator[tuple[str, Verdict]]:
        """The names of a line."""
        words = text.partition("#")[0].split()
        if len(words) > 1:
            address, *words = words
            if address not in _NOWHERE and any(word.lower() not in _ITSELF for word in words):
                raise ValueError(f"{address!r} is no address that leads nowhere: write 0.0.0.0 before the names")
        return ((_name(word), Verdict.NXDOMAIN) for word in words if word.lower() not in _ITSELF)


class _Zone:
    """The zone of a response policy (draft-vixie-dnsop-dns-rpz), with triggers by names."""

    def __init__(self) -> None:
        self._origin = self._apex = ""
        self._owner = ""
        self._depth = 0

    @property
    def is_open(self) -> bool:
        """A record goes on in the next line."""
        return self._depth > 0

    def line(self, text: str) -> list[tuple[str, Verdict]]:
        """The name of a line, if it has one."""
        text = text.partition(";")[0]
        was_open = self.is_open
        self._depth += text.count("(") - text.count(")")
        words = text.split()
        if was_open or not words:
            return []
        if words[0].startswith("$"):
            self._directive(words)
            return []
        if not text[0].isspace():
            self._owner = self._full(words.pop(0))
        while words and (_TTL.fullmatch(words[0].lower()) or words[0].upper() == "IN"):
            words.pop(0)
        kind = words[0].upper() if words else ""
        if kind == "SOA":
            self._apex = self._owner
        if kind in _PASSED_OVER:
            return []
        if kind != "CNAME" or len(words) != 2:
            raise ValueError(f"{' '.join(words)!r}: no data can be given: write CNAME ., *. or rpz-passthru.")
        return [self._rule(self._trigger(), words[1].lower())]

    def _directive(self, words: list[str]) -> None:
        if words[0].upper() == "$ORIGIN" and len(words) == 2:
            self._origin = self._full(words[1])
            self._apex = self._apex or self._origin
        elif words[0].upper() != "$TTL":
            raise ValueError(f"{words[0]!r}: only $ORIGIN and $TTL are read")

    def _full(self, text: str) -> str:
        """A name with its final dot where the zone's is known; relative to the zone where it is not."""
        lower = text.lower()
        if lower == "@":
            return self._origin
        if lower.endswith(".") or not self._origin:
            return lower
        return f"{lower}.{self._origin}"

    def _trigger(self) -> str:
        """The owner without the zone's name."""
        owner = self._owner
        if owner.endswith("."):
            if not self._apex.endswith(".") or not owner.endswith(f".{self._apex}"):
                raise ValueError(f"{owner!r} is not in this zone: write it without its final dot")
            owner = owner.removesuffix(f".{self._apex}")
        if owner.rpartition(".")[2] in _OTHER_TRIGGERS:
            raise ValueError(f"{owner!r}: only names are triggers here, and nothing by {owner.rpartition('.')[2]}")
        return _name(owner)

    def _rule(self, trigger: str, target: str) -> tuple[str, Verdict]:
        verdicts = {".": Verdict.NXDOMAIN, "*.": Verdict.NODATA, "rpz-passthru.": Verdict.PASS}
        verdict = Verdict.PASS if target == f"{trigger}." else verdicts.get(target)
        if target in _OTHER_ACTIONS:
            raise ValueError(f"{target!r}: no question is left unanswered: write CNAME ., *. or rpz-passthru.")
        if verdict is None:
            raise ValueError(f"{target!r}: no data can be given: write CNAME ., *. or rpz-passthru.")
        return trigger, verdict
