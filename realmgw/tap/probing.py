"""What the service manager's watchdog goes by: questions and packets of our own, that come through. Edge: chance."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, gatherResults, succeed

from realmgw.admission.probing import QueueProbe
from realmgw.admission.service import AdmissionService
from realmgw.control.health import State
from realmgw.daemon.manager import Look
from realmgw.dns.probing import QueryProbe
from realmgw.dns.service import DnsService
from realmgw.tap.context import Context


def looking(context: Context, dns: DnsService, admission: AdmissionService) -> Look:
    """Whether queries are answered, and packets come through the queue.

    While the gateway is degraded it is not looked: what is wrong is known and told, and a restart would not mend it.
    """
    zone = lambda: context.settings.zones[0].name  # noqa: E731 - asked each time
    queries = QueryProbe((dns.wan, dns.lan, dns.local), zone, context.reactor, os.urandom)
    packet = QueueProbe(admission.port, context.reactor, os.urandom)

    def look(patience: float) -> Deferred[list[str]]:
        if context.health.state is State.DEGRADED:
            return succeed([])
        both = gatherResults([queries.look(patience), packet.look(patience)])
        return both.addCallback(lambda found: [*found[0], *found[1]])

    return look
