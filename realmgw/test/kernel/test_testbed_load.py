"""The load generator of the testbed, against an answerer of our own: what it counts is what happened."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from realmgw.test import programs
from realmgw.test.kernel import requirements

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.programs import answers
    from testbed.realm.topology import Testbed

PATIENCE = 30.0  # seconds
"""No run here takes nearly so long."""

Said = str | dns.rcode.Rcode | None
"""What a name is answered with: an address, a code, or nothing at all."""


class Answerer:
    """A DNS server on the loopback interface, as a context manager.

    Attributes:
        port: Its UDP port.
        asked: The names asked for, in order, repeated queries included.
        kinds: For which type each time.
    """

    def __init__(self, say: Callable[[str], Said]) -> None:
        """Answers, once entered, each name with what `say` says."""
        self._say = say
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.asked: list[str] = []
        self.kinds: list[str] = []

    def __enter__(self) -> Answerer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            self.asked.append(str(query.question[0].name))
            self.kinds.append(dns.rdatatype.to_text(query.question[0].rdtype))
            said = self._say(self.asked[-1])
            if said is not None:
                self._socket.sendto(_answer(query, said), client)


def _answer(query: dns.message.Message, said: str | dns.rcode.Rcode) -> bytes:
    answer = dns.message.make_response(query)
    if isinstance(said, dns.rcode.Rcode):
        answer.set_rcode(said)
    else:
        kind = query.question[0].rdtype
        said = said if kind == dns.rdatatype.A else "::1"
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 0, "IN", kind, said))
    return answer.to_wire()


class BuildTests(SynchronousTestCase):
    """What is compiled, by a compiler that says what it makes, and makes nothing of it."""

    skip = programs.missing_modules("testbed", "pyroute2") or programs.missing("make")
    compiler = '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n: >"$2"; echo "${2##*/}"\n'

    def setUp(self) -> None:
        """Copies the sources."""
        self.folder = Path(self.mktemp()).absolute()
        shutil.copytree(generator.SOURCES, self.folder / "load")
        (self.folder / "cc").write_text(self.compiler)
        (self.folder / "cc").chmod(0o755)

    def made(self, *words: str) -> set[str]:
        """What make makes."""
        argv = ["make", "--silent", "--directory", "load", "BUILD=../build", "CC=../cc", *words]
        return set(subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, check=True).stdout.split())

    def test_what_was_made_otherwise_is_made_again(self) -> None:
        """Of other sources, or with other options, whatever the times of files say; and nothing is made twice."""
        everything = self.made()
        self.assertTrue({"flows", "strays", "dns.o", "base.o"} <= everything, everything)
        self.assertEqual(self.made(), set())
        for path in (self.folder / "build").iterdir():
            os.utime(path, (2e9, 2e9))
        self.assertEqual(self.made(), set())
        source = self.folder / "load" / "dns.h"
        source.write_text(f"{source.read_text()}\n")
        os.utime(source, (1, 1))
        self.assertEqual(self.made(), everything)
        self.assertEqual(self.made("CFLAGS=-g"), everything)


class LoadTests(SynchronousTestCase):
    """`flows`, with `echo` as its hosts: every address of the loopback interface is one."""

    skip = programs.missing_modules("testbed", "pyroute2") or programs.missing("make", "cc")

    def setUp(self) -> None:
        """Builds the programs and starts the hosts on a free port."""
        generator.build()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host_port = probe.getsockname()[1]
        self.hosts = subprocess.Popen([generator.BUILD / "echo", str(self.host_port)], stdin=subprocess.DEVNULL)
        self.addCleanup(self.hosts.wait)
        self.addCleanup(self.hosts.kill)
        self._await_hosts()

    def _await_hosts(self) -> None:
        while self.hosts.poll() is None:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.host_port), PATIENCE).close()
                return

    def flows(self, server: Answerer, names: dict[str, str], *options: str) -> dict[str, Any]:
        """Runs the generator and returns its result."""
        path = generator.write_names(Path(self.mktemp()), names)
        arguments = ["--server", "127.0.0.1", "--server-port", str(server.port), "--names", str(path)]
        arguments += ["--port", str(self.host_port), "--seed", "1", *options]
        done = subprocess.run(
            [generator.BUILD / "flows", *arguments], capture_output=True, timeout=PATIENCE, check=True
        )
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def test_counts_flows_that_reach_their_host(self) -> None:
        """By UDP and by TCP, a flow to the host behind the name is a success, and nothing else happened."""
        for via in ("udp", "tcp"):
            with Answerer(lambda _: "127.0.0.7") as server:
                result = self.flows(server, {"a.example.org": "127.0.0.7"}, "--via", via, "--flows", "20")
            self.assertEqual((result["started"], result["ok"], len(server.asked)), (20, 20, 20))
            self.assertFalse(any(result["lost"].values()))

    def test_counts_flows_of_ipv6(self) -> None:
        """Who comes by IPv6 asks for AAAA, and comes there; a host of another address is another host."""
        for via in ("udp", "tcp"):
            with Answerer(lambda _: "127.0.0.7") as server:
                hosts = {"a.example.org": "127.0.0.7,::1", "b.example.org": "127.0.0.7,::2"}
                result = self.flows(server, hosts, "--via", via, "--flows", "10", "--ipv6", "1")
            self.assertEqual((set(server.kinds), result["ok"]), ({"AAAA"}, 5))
            self.assertEqual((result["lost"]["misdelivered"], result["ipv6"]["ok"]), (5, 5))

    def test_asks_for_both_families(self) -> None:
        """Of dual-stack clients, each asks for both and comes by one; the other answer is followed by nobody."""
        with Answerer(lambda _: "127.0.0.7") as server:
            options = ("--flows", "40", "--ipv6", "0.5", "--dual")
            result = self.flows(server, {"a.example.org": "127.0.0.7,::1"}, *options)
        self.assertEqual((server.kinds.count("A"), server.kinds.count("AAAA")), (40, 40))
        self.assertEqual(result["ipv4"]["ok"] + result["ipv6"]["ok"], 40)
        self.assertTrue(10 < result["ipv6"]["ok"] < 30, result)

    def test_an_address_of_the_other_family_is_refused(self) -> None:
        """Clients of IPv6 where those of IPv4 are asked for, and the reverse; addresses by chance are of IPv6."""
        flows, strays = ("flows", "--server", "127.0.0.1", "--names", "none"), ("strays", "--rate", "1")
        for words, said in (
            ((*flows, "--sources", "::1"), "--sources are of IPv4, and --sources6 of IPv6"),
            ((*flows, "--sources6", "127.0.0.1"), "--sources are of IPv4, and --sources6 of IPv6"),
            ((*strays, "--sources", "127.0.0.0/24"), "--sources 127.0.0.0/24: a prefix is of IPv6"),
        ):
            argv = [str(generator.BUILD / words[0]), *words[1:]]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(said, done.stderr)

    def test_notices_another_host(self) -> None:
        """A flow that another host answers is mis-delivered, by UDP and by TCP."""
        for via in ("udp", "tcp"):
            with Answerer(lambda _: "127.0.0.8") as server:
                result = self.flows(server, {"a.example.org": "127.0.0.7"}, "--via", via, "--flows", "5")
            self.assertEqual((result["ok"], result["lost"]["misdelivered"]), (0, 5))

    def test_asks_again_and_gives_up(self) -> None:
        """A query without answer is repeated as often as told; then the flow is lost for want of an answer."""
        with Answerer(lambda _: None) as server:
            options = ("--flows", "1", "--query-timeout", "50", "--retries", "2")
            result = self.flows(server, {"a.example.org": "127.0.0.7"}, *options)
        self.assertEqual((result["lost"]["no_answer"], result["asked_again"], len(server.asked)), (1, 2, 3))

    def test_an_answer_to_the_repeated_query_will_do(self) -> None:
        """A flow whose second query is answered comes through, and its time begins with the first one."""
        with Answerer(lambda _: "127.0.0.7" if len(server.asked) > 1 else None) as server:
            options = ("--flows", "1", "--query-timeout", "100", "--retries", "1")
            result = self.flows(server, {"a.example.org": "127.0.0.7"}, *options)
        self.assertEqual((result["ok"], result["asked_again"]), (1, 1))
        self.assertGreaterEqual(result["resolve_us"]["p50"], 98_000)

    def test_counts_refusals_by_code(self) -> None:
        """An answer with a code is a loss, counted under its code."""
        with Answerer(lambda _: dns.rcode.SERVFAIL) as server:
            result = self.flows(server, {"a.example.org": "127.0.0.7"}, "--flows", "3")
        self.assertEqual((result["lost"]["failed"], result["codes"]), (3, {"2": 3}))

    def test_counts_connections_that_are_refused(self) -> None:
        """A reset of the connection, or an ICMP error to the datagram, is a loss of its own kind."""
        for via in ("udp", "tcp"):
            with Answerer(lambda _: "127.0.0.7") as server:
                self.hosts.kill()
                self.hosts.wait()
                result = self.flows(server, {"a.example.org": "127.0.0.7"}, "--via", via, "--flows", "2")
            self.assertEqual(result["lost"]["refused"], 2)

    def test_nobody_follows_idle_queries(self) -> None:
        """Idle queries are asked and answered, and are neither flows nor losses."""
        with Answerer(lambda _: "127.0.0.7") as server:
            options = ("--rate", "50", "--idle", "200", "--seconds", "0.5")
            result = self.flows(server, {"a.example.org": "127.0.0.7"}, *options)
        self.assertEqual(result["ok"], result["started"])
        self.assertEqual(len(server.asked), result["started"] + result["idle"]["started"])
        self.assertGreater(result["idle"]["started"], 2 * result["started"])

    def test_clients_take_their_delay(self) -> None:
        """The delay before the first packet is log-normal: half of the clients wait longer than the median."""
        with Answerer(lambda _: "127.0.0.7") as server:
            options = ("--flows", "200", "--outstanding", "200", "--delay", "40,260")
            result = self.flows(server, {"a.example.org": "127.0.0.7"}, *options)
        waits = [result["total_us"][share] - result["resolve_us"][share] for share in ("p50", "longest")]
        self.assertEqual(result["ok"], 200)
        self.assertTrue(30_000 < waits[0] < 55_000, waits)
        self.assertTrue(100_000 < waits[1] < 500_000, waits)

    def test_a_process_that_is_gone_is_no_figure(self) -> None:
        """Asked for the CPU time of a process that does not exist, it says so and gives no result."""
        gone = subprocess.Popen(["true"])
        gone.wait()
        with Answerer(lambda _: "127.0.0.7") as server, self.assertRaises(subprocess.CalledProcessError) as caught:
            self.flows(server, {"a.example.org": "127.0.0.7"}, "--cpu", str(gone.pid))
        self.assertIn(f"process {gone.pid}".encode(), caught.exception.stderr)

    def test_strays_are_queries_too(self) -> None:
        """By raw sockets, for names of the file, at the rate that was asked for; nobody waits for answers."""
        if (lacking := requirements.missing_for_testbed()) is not None:
            raise SkipTest(lacking)
        with Answerer(lambda _: None) as server:
            hosts = {"a.example.org": "127.0.0.7", "b.example.org": "127.0.0.7"}
            names = generator.write_names(Path(self.mktemp()), hosts)
            words: dict[str, object] = {"sources": "127.9.0.1+250", "targets": "127.0.0.1", "port": server.port}
            words |= {"kind": "query", "names": names, "rate": 1000, "seconds": 0.3}
            arguments = [str(word) for key, value in words.items() for word in (f"--{key}", value)]
            done = subprocess.run(
                [generator.BUILD / "strays", *arguments, "--fixed"], capture_output=True, timeout=PATIENCE, check=True
            )
        self.assertTrue(290 <= json.loads(done.stdout)["sent"] <= 310, done.stdout)
        self.assertGreater(len(server.asked), 280)
        self.assertEqual(set(server.asked), {"a.example.org.", "b.example.org."})


class AnswersTests(SynchronousTestCase):
    """`bench --answers`, in short: what its rows ask a gateway for is answered as they say."""

    skip = requirements.missing_for_gateway()

    def test_each_kind_of_question_is_answered_and_nothing_is_lost(self) -> None:
        """One round; each first answer is looked at, and all others are like it."""
        with Testbed(f"a{os.getpid()}-", hosts=answers.HOSTS, routed=[answers.POOL["addresses"]]) as testbed:
            with answers.gateway(testbed) as gateway:
                for question in answers.QUESTIONS:
                    answered, lost, _ = testbed.call("public", answers.ask, question, 0.05)
                    self.assertGreater(answered, 0, question.title)
                    self.assertEqual(lost, 0, question.title)
            self.assertIsNone(gateway.process)
