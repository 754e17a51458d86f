"""Tests of the DNS service with real sockets: clients that close their connections while a query waits."""

from __future__ import annotations

import socket

import dns.rcode
from twisted.internet import reactor, threads
from twisted.internet.task import deferLater

from realmgw.errors import Reason
from realmgw.test.dns.test_service import Client, ServiceTestCase, framed, query


class ClosingTests(ServiceTestCase):
    """Who hangs up."""

    async def test_has_nothing_wait_for_a_client_that_has_closed(self) -> None:
        """Be it only his side of the connection, where he is told that there is no address."""
        service = self.start()
        self.allocator.refusal = Reason.EXHAUSTED

        def client() -> list[int]:
            with Client(self.wan_port) as connection:
                connection.send(framed(query(id=1)))
            with Client(self.wan_port) as connection:
                connection.send(framed(query(id=2)))
                connection.socket.shutdown(socket.SHUT_WR)
                return [answer.rcode() for answer in connection.answers()]

        self.assertEqual(await threads.deferToThread(client), [dns.rcode.SERVFAIL])
        while service.wan.streams:
            await deferLater(reactor, 0.01)
        self.assertEqual((self.allocator.held, service.wan.view.counts.refused[Reason.GONE]), ({}, 2))
