"""The portal's requests: what the bounded HTTP has read becomes a question, and its answer a response.

A guest who was registered comes by a new connection, which is not redirected any more, since there is one request on
each; and a browser keeps none for later.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from realmgw.config.limits import PORTAL_CONNECTIONS
from realmgw.portal.answers import Answers, Asked, Kind, target
from realmgw.system.endpoints import Endpoint, plain_address
from realmgw.system.http import ShortFactory, ShortRequest

OF_ONE = 16
"""So many connections one guest may have at once."""


class PortalFactory(ShortFactory):
    """Makes connections of guests, as many as there may be.

    Args:
        reactor: Twisted's.
        is_known: Whether an address, packed, is a subscriber's.
        answers: Answers requests.
    """

    def __init__(self, reactor: Any, is_known: Callable[[bytes], object], answers: Answers) -> None:
        super().__init__(reactor, PORTAL_CONNECTIONS, OF_ONE)
        self.answers = answers
        self._is_known = is_known
        self._kinds = dict.fromkeys(Kind, 0)

    def asked(self, request: ShortRequest) -> None:
        channel = request.channel
        at = cast(Any, channel).getHost()
        host, path = target(request.field("Host"), request.path.decode("latin-1"))
        asked = Asked(
            method=request.method.decode("latin-1"),
            host=host,
            path=path,
            languages=request.field("Accept-Language"),
            address=str(ip_address(channel.client)),
            at=Endpoint(plain_address(at.host), at.port),
            known=self._is_known(channel.client) is not None,
        )
        answer = self.answers.answer(asked)
        self._kinds[answer.kind] += 1
        request.reply(answer.status, answer.headers, answer.body)

    def counts(self) -> dict[str, int]:
        return {**super().counts(), **{kind.value: count for kind, count in self._kinds.items()}}
