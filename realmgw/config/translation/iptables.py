"""What policy files of existing deployments say to other programs: rules of iptables, and sets of ipset, as values.

They stand below the keys IPTABLES and IPSET, in the words of python-iptables::

    IPTABLES:
        ADMIN_PREEMPTIVE:
            rules:
                - {table: raw, chain: PREROUTING, rule: {set: {match-set: [BLACK, src]}, target: DROP}}
    IPSET:
        rules:
            - {name: BLACK, type: ip, items: [192.0.2.1]}

What a rule is, as the gateway knows it, says `realmgw.config.translation.recognition`; what becomes of it is decided in
`realmgw.config.translation.stages`. Sides are told by the marks of such files: of 0xff..., the last four bits say by
which side a packet came in, and the four before by which it goes out; the others follow from these.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any

import attrs

from realmgw.config import identifiers
from realmgw.config.document import Mapping, Node, Scalar, Sequence
from realmgw.config.validators import is_null

RULES, SETS = "IPTABLES", "IPSET"
"""Where they stand."""
OWN, LAN, WAN, TUNNEL, POOL = 1, 2, 3, 4, 15
"""The sides that marks tell; the first one is the machine itself, the last one what the pool has refused."""
ENDS = {"ACCEPT", "DROP", "REJECT"}
"""Targets that end the way of a packet."""
REFUSED = {"mREJECT", "REJECT"}
"""Targets by which senders are told."""
MARKS = (
    0xFF121212, 0xFF211221, 0xFF021113, 0xFF011131, 0xFF021114, 0xFF011141,
    0xFF222232, 0xFF112223, 0xFF222342, 0xFF112324,
)  # fmt: skip
"""All marks of such files, but for that of what the pool has refused."""
LATER = {"CUSTOMER_POLICY", "CUSTOMER_POLICY_ACCEPT", "ADMIN_POLICY"}
"""Chains that a group leaves the rest to."""
GROUPS = "GROUP_POLICY"
"""The chain that leads to groups."""
GOTO = "goto"
"""How python-iptables writes a target that is not come back from."""
_LAST = ENDS | REFUSED | {"RETURN", GOTO}
_STATES = frozenset(("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"))
EVERYWHERE = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "mREJECT", "CUSTOMER_POLICY_ACCEPT"}
"""The chains that packets come to by themselves, and those that the program leads to."""
_WHOLE = 0xF
_REMARK = "comment"


@attrs.frozen(eq=False)
class Match:
    """An extension of iptables with its options, or another match."""

    name: str
    """`tcp`, `in-interface`, and so on."""
    node: Node
    """Its value."""

    @property
    def words(self) -> set[str]:
        """Its options."""
        return {*self.node.pairs} if isinstance(self.node, Mapping) else set()

    def option(self, word: str) -> list[str]:
        """The texts of an option; none where it is not there."""
        said = member(self.node, word)
        return [] if said is None else texts(said)


@attrs.frozen(eq=False)
class Said:
    """A rule."""

    place: Node
    """Where it stands."""
    table: str
    """Of iptables."""
    chain: str
    """Its chain."""
    target: str
    """What it does: a verdict, another target, or another chain."""
    options: Node | None
    """Of the target."""
    matches: tuple[Match, ...]
    """What it matches, without marks: what these say of sides is in `came` and `goes`."""
    comment: Node | None
    """For humans."""
    came: int | None
    """The side by which packets came in; None: any."""
    goes: int | None
    """The side by which they go out; None: any."""

    @property
    def is_of_any_side(self) -> bool:
        """Whether it asks for no side."""
        return self.came is self.goes is None

    @property
    def is_about_all(self) -> bool:
        """Whether every packet matches it."""
        return not self.matches and self.is_of_any_side

    @property
    def leads_to(self) -> str:
        """The chain that it leads to, if it does."""
        return text(self.options) if self.target == GOTO else self.target

    @property
    def sides(self) -> list[str]:
        """Of the sides that services tell apart, those that it is about."""
        return [name for side, name in ((WAN, "wan"), (LAN, "lan")) if self.came in (None, side)]

    def match(self, name: str) -> Match | None:
        """One of its matches by name."""
        return next((each for each in self.matches if each.name == name), None)

    def only(self, *names: str) -> bool:
        """Whether it matches nothing but some of these."""
        return all(each.name in names for each in self.matches)

    @property
    def states(self) -> frozenset[str]:
        """The states that it asks for; none: it asks for none."""
        found = [*self.option("conntrack", "ctstate"), *self.option("state", "state")]
        states = frozenset(word.strip().upper() for text in found for word in text.split(","))
        return _STATES - states if "!" in states else states

    @property
    def begins(self) -> bool:
        """Whether it is about what begins a flow, which is what all our rules are about."""
        return not self.states or "NEW" in self.states

    @property
    def listed(self) -> tuple[str, str, bool] | None:
        """Of a set that it asks for: the name, `src` or `dst`, and whether those are meant that are not in it."""
        found = self.match("set")
        words = " ".join(self.option("set", "match-set")).split()
        is_not = words[:1] == ["!"]
        end = words[is_not:]
        is_one = found is not None and found.words == {"match-set"} and len(end) == 2
        return (end[0], end[1], is_not) if is_one and end[1] in ("src", "dst") else None

    def option(self, name: str, option: str) -> list[str]:
        """The texts of an option of one of its matches; none where it is not there."""
        found = self.match(name)
        return [] if found is None else found.option(option)


class Part(dict[str, Any]):
    """A mapping that is to be, with the place of the rule that it began with."""

    def __init__(self, place: Node | None) -> None:
        super().__init__()
        self.place = place


def member(node: Node | None, word: str) -> Node | None:
    """What a mapping has for a key; None: nothing, or it is no mapping."""
    return node.pairs[word][1] if isinstance(node, Mapping) and word in node.pairs else None


def text(node: Node | None) -> str:
    """A single value; empty: it is none."""
    return node.text if isinstance(node, Scalar) else ""


def texts(node: Node) -> list[str]:
    """A single value, or several of a list."""
    items = node.items if isinstance(node, Sequence) else [] if is_null(node) else [node]
    return [each.text for each in items if isinstance(each, Scalar)]


def made(place: Node, value: Any) -> Node:
    """A value as a node, as were it written at that place; nodes stay as they are."""
    if isinstance(value, Scalar | Sequence | Mapping):
        return value
    line, column, source = place.line, place.column, place.source
    if isinstance(value, dict):
        return mapping(place, value)
    if isinstance(value, list):
        return Sequence(line, column, [made(place, each) for each in value], source)
    said = str(value).lower() if isinstance(value, bool) else str(value)
    return Scalar(line, column, said, not isinstance(value, str), source)


def mapping(place: Node, value: dict[str, Any]) -> Mapping:
    """The same of a mapping."""
    place = value.place or place if isinstance(value, Part) else place
    line, column, source = place.line, place.column, place.source
    pairs = {word: (Scalar(line, column, word, True, source), made(place, each)) for word, each in value.items()}
    return Mapping(line, column, pairs, source)


def rules(roots: Iterable[Node]) -> Iterator[Said | Node]:
    """All rules in the order of the text; what can not be read as one comes as it stands."""
    for section in _sections(roots, RULES):
        said = member(section, "rules")
        for each in said.items if isinstance(said, Sequence) else ():
            found = _rule(each)
            yield each if found is None else found


def chains(roots: Iterable[Node]) -> set[str]:
    """The names of the chains that the files ask for."""
    found = set()
    for section in _sections(roots, RULES):
        said = member(section, "requires")
        found |= {text(member(each, "chain")) for each in said.items} if isinstance(said, Sequence) else set()
    return found


def reached(found: Iterable[Said], ways: Container[str]) -> set[int]:
    """The rules that packets come to, by `id`: something leads to their chain, and none before decides about all.

    Args:
        found: Rules.
        ways: The chains that packets come to by themselves.
    """
    by_chain: dict[tuple[str, str], list[Said]] = {}
    for each in found:
        by_chain.setdefault((each.table, each.chain), []).append(each)
    groups = {each.target for each in by_chain.get(("filter", GROUPS), ()) if each.listed}
    final = {way for way, of_it in by_chain.items() if _is_final(of_it)}
    left = [way for way in by_chain if way[1] in ways]
    seen, reached = set(left), set[int]()
    while left:
        table, chain = left.pop()
        for each in by_chain[table, chain]:
            reached.add(id(each))
            way = (table, each.leads_to)
            if way in by_chain and way not in seen:
                seen.add(way)
                left.append(way)
            ends = each.target in _LAST or way in final or (chain in groups and each.target in LATER)
            if each.is_about_all and ends:
                break
    return reached


def _is_final(of_chain: Iterable[Said]) -> bool:
    """Whether nothing comes back from a chain."""
    for each in of_chain:
        if each.target == "RETURN":
            return False
        if each.is_about_all and each.target in ENDS:
            return True
    return False


def sets(roots: Iterable[Node]) -> dict[str, list[Scalar]]:
    """What is in each set."""
    found: dict[str, list[Scalar]] = {}
    for root in roots:
        said = member(member(root, SETS), "rules")
        for each in said.items if isinstance(said, Sequence) else ():
            items = member(each, "items")
            held = [item for item in items.items if isinstance(item, Scalar)] if isinstance(items, Sequence) else []
            found.setdefault(text(member(each, "name")), []).extend(held)
    return found


def _sections(roots: Iterable[Node], word: str) -> Iterator[Node]:
    for root in roots:
        said = member(root, word)
        if isinstance(said, Mapping):
            yield from (value for _, value in said.pairs.values())


def _rule(node: Node) -> Said | None:
    said = member(node, "rule")
    if not isinstance(said, Mapping) or not text(member(node, "table")) or not text(member(node, "chain")):
        return None
    target = member(said, "target")
    options = None
    if isinstance(target, Mapping) and len(target.pairs) == 1:
        [(target, options)] = target.pairs.values()
    if not text(target):
        return None
    marks = _sides(said.pairs["mark"][1]) if "mark" in said.pairs else (None, None)
    left = () if marks is not None else ("mark",)
    matches = [(word, value) for word, (_, value) in said.pairs.items() if word not in ("target", _REMARK)]
    came, goes = marks or (None, None)
    return Said(
        node, text(member(node, "table")), text(member(node, "chain")), text(target), options,
        tuple(Match(word, value) for word, value in matches if word != "mark" or word in left),
        member(said, _REMARK), came, goes,
    )  # fmt: skip


def _sides(node: Node) -> tuple[int | None, int | None] | None:
    """The sides that a mark is of; None: it says something else, or what is not meant."""
    words = texts(member(node, "mark") or node)
    value, _, mask = words[0].partition("/") if len(words) == 1 else ("", "", "")
    try:
        mark, bits = int(value, 0), int(mask or "0xffffffff", 0)
    except ValueError:
        return None
    if bits >> 24 != 0xFF or mark >> 24 != 0xFF:
        return None
    came = mark & _WHOLE if bits & _WHOLE == _WHOLE else None
    goes = mark >> 4 & _WHOLE if bits >> 4 & _WHOLE == _WHOLE else None
    meant = [each for each in MARKS if not (each ^ mark) & bits]
    told = [each for each in MARKS if came in (None, each & _WHOLE) and goes in (None, each >> 4 & _WHOLE)]
    return (came, goes) if meant == told else None


def interfaces(found: Iterable[Said]) -> dict[int, list[str]]:
    """The names of the interfaces of each side, by the rules that mark packets."""
    sides: dict[int, list[str]] = {}
    for each in found:
        for word, side in zip(("in-interface", "out-interface"), marked(each) or (), strict=False):
            name = text(node_of(each, word))
            named = sides.setdefault(side, []) if side is not None and interface_problem(name) is None else [name]
            if name not in named:
                named.append(name)
    return {side: names for side, names in sides.items() if names}


def marked(said: Said) -> tuple[int | None, int | None] | None:
    """The sides that a rule with the target MARK tells; None: it marks something else."""
    if said.target != "MARK" or not isinstance(said.options, Mapping) or len(said.options.pairs) != 1:
        return None
    [(_, value)] = said.options.pairs.values()
    return _sides(value) if said.only("in-interface", "out-interface") else None


def interface_problem(name: str) -> str | None:
    """Why a name is none of one interface; None: it is."""
    if name.startswith("!"):
        return f"{name!r} is all others: write a rule for each of them"
    return identifiers.problem(identifiers.interface_name, name)


def node_of(said: Said, name: str) -> Node | None:
    """The value of one of its matches."""
    found = said.match(name)
    return None if found is None else found.node
