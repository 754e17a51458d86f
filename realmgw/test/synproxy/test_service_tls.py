"""The service and the file of certificates: what a reload makes of one that was renewed in place."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.internet.defer import Deferred, maybeDeferred

from realmgw.allocation.allocator import Allocator
from realmgw.config.steps import Blocking
from realmgw.synproxy.service import SynproxyService
from realmgw.test.subscribers.authority import Authority
from realmgw.test.synproxy.test_port import HOST, NAME, SOON, PortTestCase
from realmgw.test.synproxy.test_table import settings


class RenewedTests(PortTestCase):
    """A proxy whose certificate is signed by another authority than before."""

    def authority(self) -> Authority:
        """A new one."""
        folder = Path(self.mktemp())
        folder.mkdir()
        return Authority(folder)

    async def test_certificates_that_were_renewed_in_place_count_after_a_reload(self) -> None:
        """For who is connected already, from his next connection on."""
        former, latter = self.authority(), self.authority()
        file = Path(self.mktemp()).absolute()
        file.write_bytes(former.path.read_bytes())
        public, private = latter.issue(NAME)
        port = self.listen(ssl.DefaultOpenSSLContextFactory(str(private), str(public)))
        how = settings(f", ca_file: {file}, reconnect: 0.1", proxies=f"'{HOST}:{port}#{NAME}'")
        allocator = Allocator(how.allocation, how.pools.networks, now=0.0)
        service = SynproxyService(how, allocator, self.real, elsewhere, lambda _lines: None)
        await maybeDeferred(service.startService)
        self.addCleanup(service.stopService)
        await self.until(lambda: "TLS: " in str(service.show()[0]["error"]))
        file.write_bytes(latter.path.read_bytes())
        service.configure(how)
        await self.until(lambda: service.show()[0]["state"] == "in step")
        file.write_bytes(former.path.read_bytes())
        service.configure(how)
        connection: Any = self.site.connections[-1].transport
        self.real.callLater(SOON, connection.abortConnection)
        await self.until(lambda: "TLS: " in str(service.show()[0]["error"]))


def elsewhere(blocking: Blocking) -> Deferred[Any]:
    """Reads at once."""
    return maybeDeferred(blocking.call)
