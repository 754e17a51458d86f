"""The settings of alerts: where an intrusion detection system tells them, and what is done about which."""

from __future__ import annotations

import enum
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from pathlib import PurePath

import attrs

from realmgw.config.addresses import endpoint, network
from realmgw.config.document import Node, Problems
from realmgw.config.labels import Label
from realmgw.config.parts import Part
from realmgw.config.steps import Steps
from realmgw.config.validators import (
    Section,
    Stepwise,
    boolean,
    choice,
    integer,
    key,
    matching,
    number,
    parsed,
    reading,
    remembered,
    sequence,
)  # fmt: skip
from realmgw.config.values import Network
from realmgw.system.endpoints import Endpoint

ALERTS_PORT = 12346
"""Where alerts come by UDP, if no port is written."""
MOST_RULES = 256
"""So many rules at most are gone through for an alert."""
LONGEST_BAN = 604_800.0  # seconds


class Action(enum.Enum):
    """What is done about an alert."""

    COUNT = "count"
    """Nothing: it is counted, and shown."""
    END = "end"
    """Its flow ends, in both directions."""
    BAN = "ban"
    """Nothing of the client's reaches a host for a while, if his address is not forged; the flow ends as well."""
    BLAME = "blame"
    """It counts against the reputation of whoever asked for the client, likewise."""


@attrs.frozen
class AlertRule:
    """What is done about some alerts: all that is written of them has to hold."""

    actions: tuple[Action, ...] = key(sequence(choice(Action), at_least=1))
    """What is done."""
    signatures: tuple[int, ...] = key(sequence(integer(1, 2**32 - 1), at_most=10_000), ())
    """Numbers of signatures (`signature_id`); empty: any."""
    severity: int | None = key(integer(1, 255), None)
    """As severe as this at least: this number or a smaller one, since 1 is the most severe; None: any."""
    categories: tuple[str, ...] = key(sequence(parsed(str), at_most=1000), ())
    """Whole names of categories, in any case of letters; empty: any."""


@attrs.frozen
class Alerts:
    """Alerts of an intrusion detection system, as lines of Suricata's EVE."""

    socket: PurePath | None = key(parsed(PurePath), None)
    """A unix socket (stream) that we listen at; None: there is none."""
    group: str | None = key(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", "the name of a group of users"), None)
    """A group of users that may write to it; None: only who runs the gateway, and root."""
    udp: Endpoint | None = key(remembered(Label.ALERTS, parsed(partial(endpoint, default=ALERTS_PORT))), None)
    """Where they come by UDP; None: they do not."""
    senders: tuple[Network, ...] = key(
        sequence(parsed(network), at_least=1), (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    )
    """From where they are taken by UDP."""
    file: PurePath | None = key(parsed(PurePath), None)
    """A file that they are written to, which may be rotated; None: there is none."""
    rules: tuple[AlertRule, ...] = key(sequence(Section(AlertRule), at_most=MOST_RULES), ())
    """The first one that holds counts; about others nothing is done."""
    audit: bool = key(boolean, False)
    """It is only told what would be done."""
    ban_time: float = key(number(1.0, LONGEST_BAN), 600.0)  # seconds
    """For how long somebody is banned."""
    bans_per_minute: int = key(integer(1, 10_000), 60)
    """More are not banned within a minute."""
    never_ban: tuple[Network, ...] = key(sequence(parsed(network), at_most=10_000), ())
    """Who is never banned, whatever he does."""

    @property
    def has_source(self) -> bool:
        """Whether alerts can come from anywhere."""
        return any(each is not None for each in (self.socket, self.udp, self.file))

    def has(self, action: Action) -> bool:
        """Whether that is ever done."""
        return any(action in rule.actions for rule in self.rules)


def _sense(node: Node, problems: Problems) -> Steps[Alerts | None]:
    """The section; what is written of it by itself has to have some use."""
    alerts = yield from reading(_SECTION, node, problems)
    if alerts is not None and not alerts.has_source:
        problems.add(node, "alerts come from nowhere: write 'socket', 'udp' or 'file'")
    elif alerts is not None and alerts.group is not None and alerts.socket is None:
        problems.add(
            node, "'group' is of no use without 'socket': write the 'socket' that it may write to, or remove it"
        )
    return alerts


_SECTION = Part(Alerts)
ALERTS = Stepwise(_sense, _SECTION.schema)
