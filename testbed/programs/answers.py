"""What an answer costs in the gateway, by what is asked for, next to a negative answer: a table of `testbed/bench`.

One resolver asks one gateway, closed loop, with the kinds of questions in turn and in alternating order, so that
whatever else the machine does falls on all of them alike. No client comes: nothing is measured but answers.
docs/benchmark.md tells how to read the table.
"""

from __future__ import annotations

import socket
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial

import attrs
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from testbed.measuring import cpu_noise, figures
from testbed.measuring.rounds import Verdict
from testbed.realm.gateway import ZONE, Gateway, Service, Subscriber
from testbed.realm.topology import CLIENT, GATEWAY, Testbed, TestbedError

WINDOW = 64
"""So many questions are under way at any time."""
TIMEOUT = 0.3  # seconds
"""After so long without any answer, those under way are given up, and counted as lost."""
HOSTS = 100
"""Private hosts, asked for in turn where an address is reserved."""
MOST = 100_000
"""So many clients of a host may be expected at once."""
POOL = {"addresses": "100.64.16.0/20", "attachment": "routed"}
"""The circular pool: enough that no reservation ever waits."""
LIMIT = 1.25
"""How many times the CPU of a negative answer the answers may cost that are the same for whoever asks."""
PORTED = Service(f"web.{ZONE}", protocol=6, port=80, proxy_required=True)
"""What is reached by the service pool."""
_ALIKE = slice(2, 8)  # of a message: flags, and the counts of questions and answers


@attrs.frozen
class Question:
    """A kind of question."""

    title: str
    """What the table calls it."""
    names: tuple[str, ...]
    """Asked for in turn."""
    kind: str
    """The type, by its name."""
    rcode: str = "NOERROR"
    """What the answer says."""
    answers: bool = True
    """Whether it has records of that type."""
    same: bool = True
    """Whether whoever asks is told the same, so that it shall cost no more than a negative answer."""


NEGATIVE = Question("no such name", (f"nobody.{ZONE}",), "A", "NXDOMAIN", answers=False)
"""What the others are compared with."""
QUESTIONS = (
    NEGATIVE,
    Question("no such type", (f"h1.{ZONE}",), "AAAA", answers=False),
    Question("an address, reserved", tuple(f"h{number}.{ZONE}" for number in range(HOSTS)), "A", same=False),
    Question("the zone's A", (ZONE,), "A"),
    Question("the zone's SOA", (ZONE,), "SOA"),
    Question("the zone's NS", (ZONE,), "NS"),
    Question("a name server's A", (f"ns1.{ZONE}",), "A"),
    Question("proxy_required, A", (PORTED.fqdn,), "A"),
    Question("proxy_required, AAAA", (PORTED.fqdn,), "AAAA", answers=False),
)
"""In the order of the table."""


@attrs.frozen
class Round:
    """What came of one round of questions."""

    answered: int
    """Questions that were answered as they should be."""
    lost: int
    """The others."""
    seconds: float
    """How long it took."""
    cpu: float
    """CPU time of the gateway meanwhile, in seconds."""
    others: float = 0.0
    """What others used of the machine, in cores."""

    @property
    def cost(self) -> float:
        """CPU time of an answer, in microseconds.

        Raises:
            TestbedError: There was none.
        """
        if not self.answered:
            raise TestbedError("no question was answered")
        return self.cpu / self.answered * 1e6


def bodies(question: Question) -> list[bytes]:
    """Queries without their IDs, one of each name.

    Args:
        question: What is asked for.
    """
    return [bytes(dns.message.make_query(name, question.kind).to_wire()[2:]) for name in question.names]


def ask(question: Question, seconds: float) -> tuple[int, int, float]:
    """Asks the gateway for so long, from this thread's namespace.

    Args:
        question: What.
        seconds: How long.

    Returns:
        How many were answered, how many not, and the seconds that it took.

    Raises:
        TestbedError: The first answer is not what it should be.
    """
    queries = bodies(question)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind((CLIENT, 0))
        asker.connect((GATEWAY, 53))
        asker.settimeout(TIMEOUT)
        alike = _first(asker, question, queries[0])
        return _blast(asker, queries, alike, seconds)


def _first(asker: socket.socket, question: Question, query: bytes) -> bytes:
    """Flags and counts that every answer to a question shall have."""
    asker.send(b"\0\0" + query)
    try:
        message = asker.recv(4096)
    except TimeoutError:
        raise TestbedError(f"{question.title}: no answer") from None
    said = dns.message.from_wire(message)
    has = any(rrset.rdtype == dns.rdatatype.from_text(question.kind) for rrset in said.answer)
    rcode = dns.rcode.to_text(said.rcode())
    if (rcode, has, bool(said.flags & dns.flags.TC)) != (question.rcode, question.answers, False):
        raise TestbedError(f"{question.title}: not as it should be: {rcode}, {said.answer}")
    return message[_ALIKE]


def _blast(asker: socket.socket, queries: Sequence[bytes], alike: bytes, seconds: float) -> tuple[int, int, float]:
    """The closed loop itself; see `ask`."""
    answered = lost = sent = under_way = 0
    begin, many = time.monotonic(), len(queries)
    end = begin + seconds
    while time.monotonic() < end:
        while under_way < WINDOW:
            sent += 1
            asker.send((sent & 0xFFFF).to_bytes(2, "big") + queries[sent % many])
            under_way += 1
        try:
            while under_way > WINDOW // 2:
                answer = asker.recv(4096)
                under_way -= 1
                if answer[_ALIKE] == alike:
                    answered += 1
                else:
                    lost += 1
        except TimeoutError:
            lost, under_way = lost + under_way, 0
    return answered, lost, time.monotonic() - begin


def _measured(testbed: Testbed, process: int, question: Question, seconds: float) -> Round:
    """One round."""
    with cpu_noise.Watch((process,)) as watch:
        before = cpu_noise.time_of(process)
        answered, lost, taken = testbed.call("public", ask, question, seconds)
        cpu = cpu_noise.time_of(process) - before
    return Round(answered, lost, taken, cpu, watch.others)


def gateway(testbed: Testbed) -> Gateway:
    """A gateway of which all of it can be asked, and that wants nobody to prove anything; it is not started yet.

    Args:
        testbed: With `HOSTS` hosts, to which `POOL` is routed.
    """
    hosts = [Subscriber(f"h{number}.{ZONE}", address, limit=MOST) for number, address in enumerate(testbed.hosts)]
    hosts[0] = attrs.evolve(hosts[0], services=(PORTED,))
    policy = {"policy": {"system_load": list[str](), "challenges": dict[str, bool]()}}
    return Gateway(testbed, hosts, circular=[POOL], settings=policy)


Rounds = dict[str, list[Round]]
"""Title of the question -> its rounds."""


def measure(testbed: Testbed, process: int, rounds: int, seconds: float) -> Rounds:
    """Asks all questions in turn, in alternating order.

    Args:
        testbed: Where the gateway runs, on the machine's last core.
        process: Its number.
        rounds: How often.
        seconds: How long each time.
    """
    cpu_noise.set_apart(True, process)
    results: Rounds = {question.title: [] for question in QUESTIONS}
    for number in range(rounds):
        for question in QUESTIONS if number % 2 == 0 else QUESTIONS[::-1]:
            taken = cpu_noise.quietest(partial(_measured, testbed, process, question, seconds))
            results[question.title].append(taken)
        print(f"    round {number + 1} of {rounds}", file=sys.stderr)
    return results


def ratio(results: Rounds, title: str) -> float:
    """How many times a negative answer's CPU an answer costs: the median of the rounds' ratios.

    Args:
        results: What was measured.
        title: Of the question.
    """
    pairs = zip(results[title], results[NEGATIVE.title], strict=True)
    return statistics.median(one.cost / other.cost for one, other in pairs)


def judge(results: Rounds) -> list[Verdict]:
    """What is the same for whoever asks costs as little as a negative answer, and none is lost.

    Args:
        results: What was measured.
    """
    verdicts = []
    for question in QUESTIONS:
        if question.same and question is not NEGATIVE:
            factor = ratio(results, question.title)
            target = f"{question.title}: at most {LIMIT:g} times the CPU of a negative answer"
            verdicts.append(Verdict(target, f"{factor:.2f} times", factor <= LIMIT))
    lost = sum(each.lost for rounds in results.values() for each in rounds)
    answered = sum(each.answered for rounds in results.values() for each in rounds)
    verdicts.append(Verdict("every question is answered", f"{lost} lost of {answered + lost}", lost == 0))
    return verdicts


HEAD = ("asked for", "us/answer: min", "median", "ratio", "answers/s", "core", "others", "lost")
"""Titles of the table."""


def _row(results: Rounds, title: str) -> list[str]:
    rounds = results[title]
    costs = [each.cost for each in rounds]
    return [
        title,
        f"{min(costs):.1f}",
        f"{statistics.median(costs):.1f}",
        f"{ratio(results, title):.2f}",
        f"{statistics.median(each.answered / each.seconds for each in rounds):,.0f}".replace(",", " "),
        f"{statistics.median(each.cpu / each.seconds for each in rounds) * 100:.0f} %",
        f"{max(each.others for each in rounds):.2f}",
        f"{sum(each.lost for each in rounds)}",
    ]


def report(quick: bool) -> tuple[str, bool]:
    """Measures all kinds of answers.

    Args:
        quick: For a short run, whose figures are less steady.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    rounds, seconds = (3, 0.5) if quick else (6, 1.0)
    with Testbed("answers-", hosts=HOSTS, routed=[POOL["addresses"]]) as testbed, gateway(testbed) as running:
        results = measure(testbed, running.pid, rounds, seconds)
    verdicts = judge(results)
    text = "\n".join(
        [
            figures.machine() + f"- rounds: {rounds}, {seconds:g} s each, in alternating order\n",
            figures.table(HEAD, [_row(results, question.title) for question in QUESTIONS]),
            figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts]),
        ]
    )
    return text, all(verdict.met for verdict in verdicts)
