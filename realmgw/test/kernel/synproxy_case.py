"""What tests of the SYN proxy node share: a client, a router that the node runs on, and a server; real packets.

The router is the namespace that the test's thread is in. Nothing has a name, so nothing is left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from pyroute2.ethtool.ioctl import IoctlEthtool
from twisted.trial.unittest import SynchronousTestCase

from realmgw.synnode.command import command_line
from realmgw.synproxy.codec import Key, Operation, Request, ResponseReader, TcpOptions, encode
from realmgw.test.checkout import CHECKOUT
from realmgw.test.kernel import requirements
from realmgw.test.kernel.namespace import enter, fresh_namespace

PATIENCE = 20.0  # seconds
"""How long anything may take."""
AGAIN = 0.3  # seconds
"""So long after a SYN there is another one, if nothing was answered."""
SYN_ACK = 0x12
"""Its flags."""
CLIENT, CLIENT6 = "198.51.100.1", "2001:db8:1::1"
SERVER, SERVER6 = "203.0.113.5", "2001:db8:3::5"
PORT = 12345
"""Of the control protocol."""
LINKS = f"""
ip link add r0 type veth peer name c0 netns $client
ip link add r1 type veth peer name s0 netns $server
for link in r0 r1; do ip link set $link up; done
ip address add 198.51.100.254/24 dev r0; ip address add 2001:db8:1::fe/64 dev r0 nodad
ip address add 192.0.2.254/24 dev r1; ip address add 2001:db8:2::fe/64 dev r1 nodad
nsenter --net=$client sh -ec '
  ip link set c0 up; ip address add {CLIENT}/24 dev c0; ip address add {CLIENT6}/64 dev c0 nodad
  ip route add default via 198.51.100.254; ip -6 route add default via 2001:db8:1::fe'
nsenter --net=$server sh -ec '
  ip link set s0 up; ip address add 192.0.2.1/24 dev s0; ip address add 2001:db8:2::1/64 dev s0 nodad
  ip address add {SERVER}/32 dev lo; ip address add {SERVER6}/128 dev lo
  ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8:2::fe'
ip route add 203.0.113.0/24 via 192.0.2.1; ip -6 route add 2001:db8:3::/64 via 2001:db8:2::1
echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose
"""
SETTINGS: Mapping[str, Any] = {
    "outside": ["r0"],
    "guarded": ["203.0.113.0/24", "2001:db8:3::/64"],
    "state": "state",
    "control": {"socket": "control.sock"},
}
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_SYN_OPTIONS = bytes.fromhex("020405b4 0402 080a00000001 00000000 01 03030a")


def key(address: str, port: int = 0, protocol: int = 0) -> Key:
    """A key of the control protocol."""
    return Key(ip_address(address).packed, port, protocol)


def mod(address: str, port: int, options: TcpOptions, protocol: int = 0) -> Request:
    """A request that sets something."""
    return Request(Operation.MOD, key(address, port, protocol), options)


class SynproxyTestCase(SynchronousTestCase):
    """Three namespaces and a folder for each test.

    Attributes:
        folder: Where the configuration is.
        main: The main file.
    """

    skip = requirements.missing_for_testbed() or requirements.missing_ipv6()

    def setUp(self) -> None:
        """The links, and a configuration."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.client, self.server = (stack.enter_context(_namespace()) for _ in range(2))
        stack.enter_context(fresh_namespace())
        self.router = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, self.router)
        places = {"client": self.client, "server": self.server}
        named = {name: f"/proc/{os.getpid()}/fd/{fd}" for name, fd in places.items()}
        subprocess.run(["sh", "-ec", LINKS], check=True, stdin=subprocess.DEVNULL, env={**os.environ, **named})
        # As cards have it, and the SYN proxy of IPv6 needs it: what comes by a veth pair is looked at like what comes
        # by a wire only if its other end leaves segmentation to the sender.
        _set_offload("r0", "generic-receive-offload", 1)
        with self.at(self.client):
            _set_offload("c0", "tcp-segmentation-offload", 0)
        self.folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.main = self.folder / "synproxy.yaml"
        self.main.write_text(json.dumps(SETTINGS))

    @contextlib.contextmanager
    def at(self, namespace: int) -> Iterator[None]:
        """Works in another namespace than the router's."""
        enter(namespace)
        try:
            yield
        finally:
            enter(self.router)

    def node(self, *options: str) -> subprocess.Popen[str]:
        """A node that serves."""
        process = self.begin(*options)
        self.until(lambda: process.poll() is not None or self.is_served())
        self.assertIsNone(process.poll(), process.poll() is not None and process.communicate()[0])
        return process

    def begin(self, *options: str) -> subprocess.Popen[str]:
        """A node that begins to start."""
        twistd = str(Path(sys.executable).with_name("twistd"))
        return self.spawn(twistd, "--nodaemon", "realmgw-synproxy", "--config", str(self.main), *options)

    def spawn(self, *command: str) -> subprocess.Popen[str]:
        """A process of ours in the router; it is killed when the test is over."""
        process = subprocess.Popen(
            command, cwd=self.folder, text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.addCleanup(_end, process)
        return process

    def command(self, *arguments: str) -> tuple[int, str]:
        """What `realmgw-synproxy` ends with, and what it says."""
        done = CliRunner().invoke(command_line, ["--config", str(self.main), *arguments])
        return done.exit_code, done.output

    def is_served(self) -> bool:
        """Whether the control protocol is."""
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=1.0).close()
        except OSError:
            return False
        return True

    def say(self, *requests: Request, gateway: str = "127.0.0.1") -> list[bool]:
        """What a gateway is answered; the kernel has it by then."""
        answers: list[bool] = []
        reader = ResponseReader()
        here = gateway, 0
        with socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE, source_address=here) as connection:
            connection.sendall(b"".join(map(encode, requests)))
            while len(answers) < len(requests):
                answers += reader.receive(connection.recv(65536))
        return answers

    def until(self, happens: Callable[[], bool]) -> None:
        """Waits."""
        end = time.monotonic() + PATIENCE
        while not happens():
            self.assertLess(time.monotonic(), end, "it does not happen")
            time.sleep(0.02)

    def listening(self, address: str, port: int) -> socket.socket:
        """A server's socket."""
        with self.at(self.server):
            listening = socket.create_server((address, port), family=_family(address))
        self.addCleanup(listening.close)
        listening.settimeout(PATIENCE)
        return listening

    def connected(self, listening: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new connection, over which the server's first word has come."""
        address = listening.getsockname()
        with self.at(self.client):
            near = socket.socket(listening.family)
        self.addCleanup(near.close)
        near.settimeout(PATIENCE)
        near.connect(address)
        far, _ = listening.accept()
        self.addCleanup(far.close)
        far.settimeout(PATIENCE)
        far.sendall(b"welcome")
        self.assertEqual(near.recv(100), b"welcome")
        return near, far

    def assert_flows(self, near: socket.socket, far: socket.socket) -> None:
        """Octets go both ways."""
        near.sendall(b"ping")
        self.assertEqual(far.recv(100), b"ping")
        far.sendall(b"pong")
        self.assertEqual(near.recv(100), b"pong")

    def sniffer(self, namespace: int, interface: str, address: str) -> socket.socket:
        """Hears the packets of an interface, those of the address's family."""
        with self.at(namespace):
            heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self.addCleanup(heard.close)
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        with self.at(namespace):
            heard.bind((interface, _ETHERTYPES[ip_address(address).version]))
        heard.settimeout(PATIENCE)
        return heard

    def offered(self, address: str, port: int) -> dict[int, bytes]:
        """The TCP options of the SYN-ACK that a SYN is answered with, by their kinds."""
        source = CLIENT if ip_address(address).version == 4 else CLIENT6
        with contextlib.closing(self.sniffer(self.client, "c0", address)) as heard:
            heard.settimeout(AGAIN)
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                self.send_syns([(source, 4711)], address, port)
                with contextlib.suppress(TimeoutError):
                    while (segment := tcp_of(heard.recv(2000)))[13] & 0x3F != SYN_ACK:
                        pass
                    return dict(tcp_options(segment))
        raise self.failureException("there is no SYN-ACK")

    def send_syns(self, sources: list[tuple[str, int]], address: str, port: int) -> None:
        """Sends SYNs that ask for everything, from whatever addresses and ports."""
        destination = ip_address(address)
        with self.at(self.client):
            family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
            raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with contextlib.closing(raw):
            for source, source_port in sources:
                packet = syn(ip_address(source).packed, destination.packed, source_port, port)
                raw.sendto(packet, (address, 0))


def syn(source: bytes, destination: bytes, source_port: int, port: int) -> bytes:
    """A SYN with its header of IPv4 or IPv6."""
    length = 20 + len(_SYN_OPTIONS)
    head = struct.pack("!HHIIBBHHH", source_port, port, 7, 0, length // 4 << 4, 2, 64240, 0, 0) + _SYN_OPTIONS
    pseudo = source + destination + struct.pack("!HBBHH", 0, 0, 6, 0, length)
    total = sum(struct.unpack(f"!{(len(pseudo) + length) // 2}H", pseudo + head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    segment = head[:16] + struct.pack("!H", ~total & 0xFFFF) + head[18:]
    if len(source) == 4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 6, 0) + source + destination + segment
    return struct.pack("!IHBB", 6 << 28, length, 6, 64) + source + destination + segment


def tcp_of(packet: bytes) -> bytes:
    """The TCP segment of a packet; zeros where there is none."""
    if packet[0] >> 4 == 4:
        return packet[(packet[0] & 15) * 4 :] if packet[9] == 6 else bytes(20)
    return packet[40:] if packet[6] == 6 else bytes(20)


def tcp_options(segment: bytes) -> Iterator[tuple[int, bytes]]:
    """The options of a segment: kind and value."""
    left = segment[20 : (segment[12] >> 4) * 4]
    while left:
        if left[0] < 2:
            left = left[1:]
        else:
            yield left[0], left[2 : left[1]]
            left = left[left[1] :]


@contextlib.contextmanager
def _namespace() -> Iterator[int]:
    """A file descriptor of a new network namespace, which this thread is not in."""
    with fresh_namespace():
        made = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield made
    finally:
        os.close(made)


def _set_offload(interface: str, name: str, value: int) -> None:
    control = IoctlEthtool(interface)
    try:
        control.set_offload_flag(name, value)
    finally:
        control.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
