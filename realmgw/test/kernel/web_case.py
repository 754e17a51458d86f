"""What tests of the reverse proxy share: web servers at private hosts, and requests of clients."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import GATEWAY

PATIENCE = 60.0  # seconds
UPGRADE = "/.well-known/acme-challenge/upgrade"
"""Asked for this, a web server speaks another protocol from then on: an echo."""
MALFORMED = (
    "HTTP/1.1", "HTTP/1.1\r\nHost: {name}\r\nHost: {other}", "HTTP/1.1\r\nHost: {name},{other}",
    "HTTP/1.1\r\nHost: {name}, {other}", "HTTP/1.1\r\nHost: who@{name}", "HTTP/1.1\r\nHost: {name}:http",
    "HTTP/1.1\r\nHost: {name}:80:80", "HTTP/1.1\r\nHost: {name}\0", "HTTP/1.1\r\nHost: {name} x",
    "HTTP/1.1\r\nHost: {name}/x", "HTTP/1.1\r\nHost: [{name}]", "HTTP/1.1\r\nHost: {name}..",
    "HTTP/1.0\r\nHost: {name}\r\nTransfer-Encoding: chunked",
)  # fmt: skip
"""Versions with header fields that do not say which host is meant, or where the request ends."""
AMBIGUOUS = (
    "Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length: 4\r\nContent-Length: 0",
    "Content-Length: 4, 0", "Content-Length: +4", "Content-Length: 0x4", "Content-Length : 4", "Content-Length: -1",
    "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked, identity", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:\r\n chunked", "X: y\rTransfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked",
    "\0Transfer-Encoding: chunked", "Transfer_Encoding: chunked", "Expect: 100-continue\r\nTransfer-Encoding: cow",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked;a=b", "Transfer-Encoding: ", "Content-Length:",
    "Content-Length: 5_0", "Content-Length: \x0b5", "Content-Length: 99999999999999999999",
    "Content-Length: 18446744073709551621", "Content-Length: 5\r\r\nX: y", "X: y\r\n\tTransfer-Encoding: chunked",
    "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\0",
)  # fmt: skip
"""Header fields of which two servers may think differently where the request ends (RFC 9112, 6.3 and 11.2)."""
PREAMBLE = b"\r\n\r\n\0\r\nQUIT\n"
"""What the PROXY protocol, version 2, begins with."""


class Origin:
    """A web server: says where it is, who asks, by which headers, and who the PROXY protocol says that it is.

    It is made where the host is: `testbed.call("test_gwa", Origin, "192.168.0.100", 80)`.

    Args:
        address: Where it listens.
        port: The same.
        certificate: The files of its certificate and key; None: no TLS.

    Attributes:
        heard: All octets of requests, in the order in which they came.
    """

    def __init__(self, address: str, port: int, certificate: tuple[Path, Path] | None = None) -> None:
        self._where, self.heard = f"{address}:{port}", bytearray()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context is not None and certificate is not None:
            self._context.load_cert_chain(*certificate)
        self._listening = socket.create_server((address, port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more connections."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(60.0)
            told = _proxied(connection)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            text = b""
            while more := connection.recv(65536):
                text += more
                self.heard += more
                while b"\r\n\r\n" in text:
                    request, _, text = text.partition(b"\r\n\r\n")
                    if b" %s " % UPGRADE.encode() in request:
                        _echo(connection)
                    forwarded = re.findall(rb"(?i)\r\n(x-forwarded-for|forwarded): ([^\r]*)", request)
                    said = " ".join((self._where, told, *(f"{name.decode()}={by.decode()}" for name, by in forwarded)))
                    body = said.encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def _echo(connection: socket.socket) -> None:
    """Says whatever is said, to the end."""
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    while said := connection.recv(65536):
        connection.sendall(said)


def _proxied(connection: socket.socket) -> str:
    """Whom the PROXY protocol names; `-` if it is not spoken, or names nobody."""
    if not connection.recv(1, socket.MSG_PEEK).startswith(PREAMBLE[:1]):
        return "-"
    head = connection.recv(16, socket.MSG_WAITALL)
    assert head.startswith(PREAMBLE)
    addresses = connection.recv(int.from_bytes(head[14:16], "big"), socket.MSG_WAITALL)
    return socket.inet_ntoa(addresses[:4]) if addresses else "-"  # the proxy itself, for a look


def request(host: str, target: str = "/", *more: str) -> bytes:
    """A request of HTTP/1.1."""
    return "\r\n".join((f"GET {target} HTTP/1.1", f"Host: {host}", *more, "", "")).encode()


def answer(connection: socket.socket) -> tuple[int, str, str]:
    """Status, headers and body of what is answered; 0 where nothing is."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = connection.recv(65536)
        if not more:
            return 0, "", ""
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: ([0-9]+)", head)
    while len(body) < int(found[1] if found else 0):
        body += connection.recv(65536)
    return int(head.split()[1]), head.decode(), body.decode()


def hello(name: str | None) -> bytes:
    """What a client says first by TLS, for a name or for none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    handshake = context.wrap_bio(coming, going, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return going.read()


def hiding(hello: bytes) -> bytes:
    """The same ClientHello with one more extension, Encrypted Client Hello of the outer kind, or what looks like it."""
    encrypted = b"\0\0\1\0\1\x2a" + b"".join(len(each).to_bytes(2, "big") + each for each in (bytes(32), bytes(160)))
    extension = b"\xfe\x0d" + len(encrypted).to_bytes(2, "big") + encrypted
    place = 44 + hello[43]  # behind record, message, version, random and session
    place += 2 + int.from_bytes(hello[place : place + 2], "big")
    place += 1 + hello[place]
    length = int.from_bytes(hello[place : place + 2], "big") + len(extension)
    body = hello[9:place] + length.to_bytes(2, "big") + hello[place + 2 :] + extension
    message = hello[5:6] + len(body).to_bytes(3, "big") + body
    return hello[:3] + len(message).to_bytes(2, "big") + message


class WebTestCase(RealmTestCase):
    """A gateway with the proxy, asked by clients."""

    certificate: ClassVar[str] = ""
    """The certificate of whoever signs those of hosts."""

    def shown(self) -> Any:
        """How the proxy is."""
        return ask(self.gateway.control, "webproxy/show")

    def until(self, happens: Callable[[], object]) -> None:
        """Waits."""
        end = time.monotonic() + PATIENCE
        while not happens():
            self.assertLess(time.monotonic(), end, "it does not happen")
            time.sleep(0.02)

    def connect(self, port: int = 80) -> socket.socket:
        """A client's connection to the proxy."""
        with self.testbed.inside("public"):
            connection = socket.create_connection((GATEWAY, port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def get(self, host: str, *more: str, target: str = "/") -> tuple[int, str, str]:
        """What is answered to a request on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request(host, target, *more))
            return answer(connection)

    def secure(self, name: str) -> ssl.SSLSocket:
        """A connection by TLS; whose certificate is not the host's is refused."""
        return ssl.create_default_context(cafile=self.certificate).wrap_socket(self.connect(443), server_hostname=name)
