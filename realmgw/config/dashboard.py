"""The settings of the dashboard: a page for operators, where it is served, and who may see it."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath

import attrs

from realmgw.config.addresses import place
from realmgw.config.document import Node, Problems
from realmgw.config.labels import Label
from realmgw.config.steps import Steps
from realmgw.config.validators import (
    Section,
    Stepwise,
    boolean,
    key,
    matching,
    name,
    parsed,
    reading,
    remembered,
    sequence,
)  # fmt: skip
from realmgw.config.values import Places
from realmgw.system.endpoints import Endpoint

DASHBOARD_PORT = 12347
"""At an address without a port."""
MOST_PLACES = 16
"""So many places it is served at."""
_place = partial(place, default=DASHBOARD_PORT, example="/run/realmgw/dashboard.sock")


@attrs.frozen
class DashboardTls:
    """The dashboard by HTTPS, at all of its addresses."""

    name: str = key(name)
    """The name in the certificate, which operators come by."""
    certificate_file: PurePath = key(parsed(PurePath))
    """The certificate and those between it and its root, PEM."""
    key_file: PurePath = key(parsed(PurePath))
    """Its private key, PEM, without a passphrase."""


@attrs.frozen
class Dashboard(Places):
    """A page that shows what goes on."""

    listen: tuple[Endpoint | PurePath, ...] = key(
        sequence(remembered(Label.DASHBOARD, parsed(_place)), at_least=1, at_most=MOST_PLACES)
    )
    """Where: addresses, port 12347 if none is written, and unix sockets by their paths."""
    token_file: PurePath | None = key(parsed(PurePath), None)
    """A file with the token that whoever comes has to show; None: the permissions of the unix sockets say who may."""
    tls: DashboardTls | None = key(Section(DashboardTls), None)
    """The addresses are served by HTTPS; None: they are of this machine only."""
    group: str | None = key(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", "the name of a group of users"), None)
    """A group of users that may use the unix sockets; None: only who runs the gateway, and root."""
    actions: bool = key(boolean, True)
    """Whether anything can be changed by it."""


def _sense(node: Node, problems: Problems) -> Steps[Dashboard | None]:
    """The section; nobody reads along, and nobody sees it who was not meant to."""
    found = yield from reading(_SECTION, node, problems)
    if found is None:
        return None
    public = next((each.address for each in found.endpoints if not each.address.is_loopback), None)
    if public is not None and found.tls is None:
        problems.add(node, f"whoever is between could read along at {public}: write 'tls', or 127.0.0.1, or ::1")
    if found.endpoints and found.token_file is None:
        problems.add(node, "whoever reaches its addresses would see it: write 'token_file', or a unix socket only")
    if found.tls is not None and not found.endpoints:
        problems.add(node, "'tls' is for addresses, and 'listen' has none: write one, or remove it")
    if found.group is not None and not found.sockets:
        problems.add(node, "'group' is for unix sockets, and 'listen' has none: write one, or remove it")
    return found


_SECTION = Section(Dashboard)
DASHBOARD = Stepwise(_sense, _SECTION.schema)
