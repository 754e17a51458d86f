"""HAProxy's runtime API in memory: its map, and what it says; the kernel's tests hold the real one to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import error
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from realmgw.subscribers.model import Host, Service, Terms

ADDRESS = b"\xc0\0\2\1"
STAT = """# pxname,svname,qcur,scur,conn_tot,req_tot,ereq,dreq,dcon,stot,econ,bin,bout,
http,FRONTEND,,3,40,50,1,2,2,40,,1000,2000,
http-hosts,BACKEND,0,1,,,,0,,30,4,900,1900,
http-hosts-told,BACKEND,0,1,,,,0,,30,1,900,1900,
http-unknown,BACKEND,0,1,,,,0,,7,0,900,1900,
tls,FRONTEND,,5,60,,0,6,1,60,,3000,4000,
tls-hosts,BACKEND,0,1,,,,0,,30,2,900,1900,
tls-ending,BACKEND,0,1,,,,0,,20,0,900,1900,
https,FRONTEND,,2,20,25,2,1,0,20,,900,1900,
https-misdirected,BACKEND,0,1,,,,0,,5,0,900,1900,
tls-unknown,BACKEND,0,1,,,,0,,8,0,900,1900,
tls-nameless,BACKEND,0,1,,,,0,,9,0,900,1900,
tls-hidden,BACKEND,0,1,,,,0,,4,0,900,1900,
"""
"""What it has counted."""
SERVERS = "# pxname,svname,status,lastchg,check_status,check_code,last_chk,check_desc,\n"
UP, DOWN = "UP,7,L4OK,,,Layer4 check passed", 'DOWN,12,L7STS,503,"Try, later",Layer7 wrong status'
"""What it says of servers, and of one."""


def service(name: str, host: Host | None = None, **terms: Any) -> Service:
    """A service that is reached by the proxy, of a host of its own."""
    return Service(name, host or Host(1, name, ADDRESS), Terms(**{"proxy_required": True, **terms}))


class MemoryHaproxy:
    """What HAProxy does with what it is told.

    Attributes:
        entries: Its map.
        lines: What it was told, in order.
        refusal: What it says to each change; empty: it makes it.
        refused: What the file ends with whose certificate it does not take.
        broken: What the file ends with whose certificate has it reset the connection.
        pems: Its certificates, by their files.
        listed: Those of them that clients get.
        is_silent: It takes connections, and says nothing.
        servers: Those that it was brought, by backend and name, each with what it was told of it.
        enabled: Those of them that get clients.
        watched: Those that it looks at.
        busy: Those that can not be removed, as they have connections.
        states: What it says of them: `UP` where nothing else is said.
    """

    def __init__(self, entries: dict[str, str] | None = None) -> None:
        self.entries = entries or {}
        self.lines: list[str] = []
        self.refusal = ""
        self.is_silent = False
        self._next: dict[str, str] = {}
        self.refused = self.broken = "nothing"
        self.pems: dict[str, str] = {}
        self.listed: set[str] = set()
        self.servers: dict[str, str] = {}
        self.enabled: set[str] = set()
        self.watched: set[str] = set()
        self.busy: set[str] = set()
        self.states: dict[str, str] = {}

    def receive(self, line: str) -> str:
        """Its answer to a line."""
        self.lines.append(line)
        self.assert_led()
        if " ssl " in line:
            return f"{self._certify(*line.split(maxsplit=3))}\n"
        return "".join(f"{self._do(*command.split())}\n" for command in line.split(";"))

    def _show(self, words: tuple[str, ...]) -> str:
        if words[0] == "map":
            return "".join(f"0x1 {key} {value}\n" for key, value in self.entries.items())
        if words[2] == "3":
            return STAT
        rows = (f"{each.replace('/', ',')},{self.states.get(each, UP)},\n" for each in self.servers)
        return f"{SERVERS}http-hosts,host,no check,9,,,,,\n{''.join(rows)}\n"

    def _serve(self, verb: str, what: str, name: str, words: str) -> str:
        """With servers, of which only one that is there can be used, and only one that nobody uses can go."""
        if verb == "add":
            assert name not in self.servers, "it is there"
            self.servers[name] = words
            return "New server registered.\n"
        if name not in self.servers:
            return "No such server.\n"
        if verb == "enable":
            (self.enabled if what == "server" else self.watched).add(name)
        elif verb == "set":
            assert words == "state maint"
            self.enabled.discard(name)
        elif name in self.enabled or name in self.busy:
            return "Server still has connections attached to it, cannot remove it.\n"
        else:
            del self.servers[name]
            self.watched.discard(name)
            return "Server deleted.\n"
        return ""

    def assert_led(self) -> None:
        """Whatever its map leads to by a server of its own is there, and gets clients."""
        for name, route in self.entries.items():
            fields = route.split("/")
            for way, look in zip(("http", "tls"), fields[6:8], strict=False):
                assert look == "no" or f"{way}-hosts-{look}/{name}:{fields[8]}" in self.enabled, name

    def _certify(self, verb: str, _: str, what: str, rest: str) -> str:
        """With certificates, of which only one that was brought whole can be listed."""
        name, *more = rest.split()
        if verb == "show":
            return f"# {name}\n" + "".join(f"{file} a.example.org\n" for file in self.listed)
        if self.refusal:
            return self.refusal
        if verb == "abort":
            return "No ongoing transaction!\n"
        if what == "crt-list":
            file = more[0] if verb == "del" else more[1]
            if verb == "del":
                if file not in self.listed:
                    return "Can't delete the entry\n"
                self.listed.discard(file)
                return f"Entry '{file}' deleted\n"
            assert file in self.pems, "it is not there"
            if file.endswith(self.broken):
                raise ConnectionResetError
            if file.endswith(self.refused):
                return f"unable to load SSL certificate into SSL Context '{file}'.\nFailed!\n"
            self.listed.add(file)
            return "Success!\n"
        if verb == "del":
            assert name not in self.listed, "it is in use"
            return f"Certificate '{name}' deleted!\n" if self.pems.pop(name, None) else "it does not exist\n"
        self.pems[name] = rest.partition("<<\n")[2] if verb == "set" else self.pems.get(name, "")
        return "Success!\n" if verb == "commit" else ""

    def _do(self, verb: str, *words: str) -> str:
        if verb == "show":
            return self._show(words)
        if self.refusal:
            return self.refusal
        if words[0] in ("server", "health"):
            return self._serve(verb, words[0], words[1], " ".join(words[2:]))
        if verb == "prepare":
            self._next = {}
            return "New version created: 7\n"
        if verb == "commit":
            self.entries = self._next
            return ""
        is_next = words[1].startswith("@")
        into = self._next if is_next else self.entries
        name, *route = words[3:] if is_next else words[2:]
        if verb == "del":
            return "" if into.pop(name, None) else "Key not found."
        if (verb == "set") is not (name in into):
            return "entry not found." if verb == "set" else "it would stand twice"
        into[name] = route[0]
        return ""


class Wire(StringTransport):
    """A connection to its socket."""

    def __init__(self, protocol: Any, haproxy: MemoryHaproxy) -> None:
        super().__init__()
        self.protocol, self.haproxy, self.is_over = protocol, haproxy, False

    def pump(self) -> None:
        """It answers, in two pieces, and closes."""
        line = self.value().decode()
        if line.endswith("\n") and not self.haproxy.is_silent and not self.is_over:
            try:
                octets = self.haproxy.receive(line[:-1]).encode()
            except ConnectionResetError:
                self.is_over = True
                self.protocol.connectionLost(Failure(error.ConnectionLost()))
                return
            self.protocol.dataReceived(octets[: len(octets) // 2])
            self.protocol.dataReceived(octets[len(octets) // 2 :])
            self.abortConnection()

    def abortConnection(self) -> None:
        """At once."""
        if not self.is_over:
            self.is_over = True
            self.protocol.connectionLost(Failure(error.ConnectionDone()))


class MemoryProcess:
    """A process that was started."""

    def __init__(self, protocol: Any, pid: int) -> None:
        self.protocol, self.pid, self.signals = protocol, pid, list[str]()

    def end(self, status: int = 0, said: bytes = b"") -> None:
        """It says something, and ends."""
        self.protocol.errReceived(said)
        self.protocol.processEnded(Failure(error.ProcessTerminated(status)))

    def signalProcess(self, name: str) -> None:
        """It is told to end."""
        self.signals.append(name)


class MemoryMachine(MemoryReactorClock):
    """A reactor that starts processes in memory, and connects to what listens at unix sockets.

    Attributes:
        haproxy: Who listens; None: nobody does.
        started: What was started.
        commands: How.
        is_missing: Nothing can be started.
    """

    def __init__(self) -> None:
        super().__init__()
        self.haproxy: MemoryHaproxy | None = None
        self.is_missing = False
        self.started: list[MemoryProcess] = []
        self.commands: list[list[str]] = []
        self._wires: list[Wire] = []

    def spawnProcess(self, protocol: Any, program: str, command: list[str], **how: Any) -> MemoryProcess:
        """Start it."""
        del program, how
        if self.is_missing:
            raise FileNotFoundError(2, "No such file or directory")
        process = MemoryProcess(protocol, 100 + len(self.started))
        self.started.append(process)
        self.commands.append(command)
        protocol.transport = process
        return process

    def after(self, seconds: float) -> None:
        """Time passes."""
        for _ in range(round(seconds / 0.01)):
            self.advance(0.01)
            clients, self.unixClients[:] = list(self.unixClients), []
            for _path, factory, *_ in clients:
                if self.haproxy is None:
                    factory.clientConnectionFailed(None, Failure(error.ConnectionRefusedError()))
                    continue
                protocol = factory.buildProtocol(None)
                self._wires.append(Wire(protocol, self.haproxy))
                protocol.makeConnection(self._wires[-1])
            wires, self._wires = self._wires, []
            for wire in wires:
                wire.pump()
            self._wires += [wire for wire in wires if not wire.is_over]


PATH = Path("/var/lib/realmgw/webproxy-0123")
