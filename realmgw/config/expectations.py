"""Policy tests: what the operator expects of names, first packets and flows. `control.expecting` runs them.

Each has one subject, and what is expected of it in a word. A configuration whose words do not come true is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping as AbstractMapping

import attrs

from realmgw.config.addresses import address
from realmgw.config.document import Mapping, Node, Problems
from realmgw.config.names import absolute
from realmgw.config.protocols import WITH_PORTS, protocol
from realmgw.config.rules import Target
from realmgw.config.steps import Steps
from realmgw.config.validators import (
    Section,
    Stepwise,
    Validator,
    boolean,
    choice,
    integer,
    key,
    name,
    number,
    parsed,
    plain_text,
    reading,
    sequence,
)  # fmt: skip
from realmgw.config.values import Address
from realmgw.errors import Reason

MOST_TESTS = 200
"""So many at most are run before a reload."""


class AddressType(enum.Enum):
    """What is asked for."""

    A = "A"
    """An address of IPv4."""
    AAAA = "AAAA"
    """One of IPv6."""


class Transport(enum.Enum):
    """How a query comes."""

    UDP = "udp"
    """Anybody can have sent it."""
    TCP = "tcp"
    """Its sender is who he says."""


@attrs.frozen
class AskTest:
    """A resolver asks for the address of a name, on the WAN's side."""

    name: str = key(name)
    """Absolute."""
    resolver: Address = key(parsed(address))
    """Where the query comes from."""
    type: AddressType = key(choice(AddressType, in_any_case=True), AddressType.A)
    """What is asked for."""
    transport: Transport = key(choice(Transport), Transport.UDP)
    """How it comes."""
    cookie: bool = key(boolean, False)
    """It has a valid server cookie."""
    load: float = key(number(0.0, 100.0), 0.0)
    """So many per cent of the pool's addresses are taken, as in `policy.system_load`."""


@attrs.frozen
class PacketTest:
    """A first packet comes to an address of the pool, in a pool that nobody has asked for anything else."""

    source: Address = key(parsed(address))
    """Who sends it."""
    destination: Address | None = key(parsed(address), None)
    """Where it goes; None: to the address that is given for `asked`."""
    asked: str | None = key(name, None)
    """A name whose address was asked for just before, absolute; None: nobody has asked."""
    resolver: Address | None = key(parsed(address), None)
    """Who has asked; None: the sender himself."""
    protocol: int = key(protocol, 6)
    """IP protocol number."""
    port: int = key(integer(0, 65535), 0)
    """The destination's; 0 for protocols without."""


def _party(text: str) -> Address | str:
    try:
        return address(text)
    except ValueError:
        return absolute(text)


@attrs.frozen
class FlowTest:
    """A flow begins at a host, or comes to one that has admitted it; its rules, and those of its groups, are asked."""

    source: Address | str = key(parsed(_party))
    """Who begins it: an address, or the name of a host or a service, absolute."""
    destination: Address | str = key(parsed(_party))
    """To whom, likewise; one of both is a name."""
    protocol: int = key(protocol, 6)
    """IP protocol number."""
    port: int = key(integer(0, 65535), 0)
    """The destination's; 0 for protocols without."""
    source_port: int = key(integer(0, 65535), 49152)
    """The source's."""


ASKED = (
    "GIVEN", "TC", "COOKIE", "CNAME", "ANSWERED", "NODATA", "NXDOMAIN", "REFUSED",
    *(each.name for each in (Reason.EXHAUSTED, Reason.HOST_LIMIT, Reason.POLICY, Reason.CLAIM_LIMIT)),
)  # fmt: skip
"""What may be expected of a question."""
MET = (
    "ADMITTED",
    *(each.name for each in (Reason.NOT_OURS, Reason.NO_RESERVATION, Reason.NO_CLAIM, Reason.OTHER_NETWORK)),
)
"""What may be expected of a first packet."""
RULED = tuple(each.value for each in Target if each is not Target.LOG)
"""What may be expected of a flow; rules that tell of it decide nothing."""
WORDS: AbstractMapping[str, tuple[str, ...]] = {"ask": ASKED, "packet": MET, "flow": RULED}
"""What may be expected, by the subject."""


@attrs.frozen
class Expectation:
    """One policy test; it has one subject."""

    ask: AskTest | None = key(Section(AskTest), None)
    """A question."""
    packet: PacketTest | None = key(Section(PacketTest), None)
    """A first packet."""
    flow: FlowTest | None = key(Section(FlowTest), None)
    """A flow of a host."""
    expect: str = key(parsed(str.upper), "")
    """What is expected of it: one of `WORDS`."""
    rule: str | None = key(plain_text, None)
    """Of a flow: what stands in the words that tell the rule which decides; None: whichever."""
    origin: str = attrs.field(default="", eq=False)
    """Where it stands: file, line and column."""

    @property
    def subject(self) -> AskTest | PacketTest | FlowTest:
        """What it is about."""
        found = self.ask or self.packet or self.flow
        assert found is not None, "the schema sees to it"
        return found


_SECTION = Section(Expectation)


def _read(node: Node, problems: Problems) -> Steps[Expectation | None]:
    """A test that has one subject, and expects something that can be said of it."""
    found = yield from reading(_SECTION, node, problems)
    if found is None or not isinstance(node, Mapping):
        return None
    subjects = [word for word in WORDS if word in node.pairs]
    if len(subjects) != 1:
        problems.add(node, f"a test is about one thing: write one of {', '.join(WORDS)}")
        return None
    [subject] = subjects
    before, words = len(problems.found), ", ".join(WORDS[subject]).lower()
    if not found.expect:
        problems.add(node, f"the key 'expect' is missing: write one of {words}")
    elif found.expect not in WORDS[subject]:
        told = f"{found.expect.lower()!r} is nothing that is said of {subject!r}: write one of {words}"
        problems.add(node.pairs["expect"][1], told)
    if found.rule is not None and found.flow is None:
        problems.add(node.pairs["rule"][0], "rules decide on flows: write 'flow', or remove 'rule'")
    for line in _wrong(found.subject):
        problems.add(node.pairs[subject][1], line)
    if len(problems.found) > before:
        return None
    return attrs.evolve(found, origin=f"{node.source or problems.source}:{node.line}:{node.column}")


def _wrong(subject: AskTest | PacketTest | FlowTest) -> list[str]:
    """What is wrong with a subject as a whole."""
    if isinstance(subject, AskTest):
        return []
    found = _of_packet(subject) if isinstance(subject, PacketTest) else _of_flow(subject)
    if subject.protocol in WITH_PORTS and not subject.port:
        found.append("what is of this protocol has a port: write 'port', from 1 to 65535")
    return found


def _of_flow(flow: FlowTest) -> list[str]:
    if not flow.protocol:
        return ["a flow has a protocol: write 'protocol'"]
    is_named = isinstance(flow.source, str) or isinstance(flow.destination, str)
    return [] if is_named else ["no host has a part in it: write the name of one, as source or as destination"]


def _of_packet(packet: PacketTest) -> list[str]:
    found = []
    if (packet.destination is None) == (packet.asked is None):
        found.append("write either 'destination', or 'asked': the packet then goes to the address that is given")
    if packet.destination is not None and packet.destination.version != packet.source.version:
        found.append("source and destination are of different families: no packet has both")
    if packet.resolver is not None and packet.asked is None:
        found.append("'resolver' has asked for a name: write 'asked' as well, or remove it")
    return found


_TEST: Validator[Expectation] = Stepwise(_read, _SECTION.schema)
TESTS = sequence(_TEST, at_most=MOST_TESTS)
"""All policy tests, in the order of the text."""
