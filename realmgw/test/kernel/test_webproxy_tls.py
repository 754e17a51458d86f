"""TLS that ends at the reverse proxy, with the real HAProxy: certificates that come, change, are broken, and go."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from typing import Any, ClassVar

from realmgw.config import load
from realmgw.config.certificates import MOST_NAMES, MOST_TOLD
from realmgw.control.examination import examine
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST
from realmgw.test.kernel.web_case import Origin, WebTestCase, answer, hello, request
from realmgw.test.subscribers.authority import Authority

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, Subscriber
    from testbed.realm.topology import CLIENT, GATEWAY

NAME, WILD, BARE, PASSED = "www.one.gwa.demo", "any.wild.one.gwa.demo", "bare.one.gwa.demo", "passed.one.gwa.demo"
DOWN = "down.wild.one.gwa.demo"
UNRECOGNIZED = b"\x15\x03\x03\x00\x02\x02\x70"
"""The alert `unrecognized_name`, fatal."""


def settings() -> dict[str, Any]:
    """What the configuration says besides; the folder stands beside it."""
    pools = {"circular": [dict(ON_LINK_POOL), dict(ROUTED_POOL)], "service": [GATEWAY]}
    return {"webproxy": {"enabled": True, "certificates": "certificates", "connections": 1000}, "pools": pools}


class TerminationTests(WebTestCase):
    """A host with names whose TLS ends at the proxy, and one whose does not."""

    skip = requirements.missing_for_gateway() or programs.missing("haproxy", "curl")
    settings: ClassVar[dict[str, Any]] = {} if skip else settings()
    origins: ClassVar[list[Origin]] = []
    authority: ClassVar[Authority | None] = None

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Who lives behind the gateway."""
        ends = {"proxy_required": True, "http_port": 8080, "tls_termination": True}
        services = [{"fqdn": f"{name}.", **ends, "https_redirect": name == NAME} for name in (NAME, WILD, BARE)]
        services.append({"fqdn": f"{DOWN}.", **ends, "http_port": 8088})
        passed = {"fqdn": f"{PASSED}.", "proxy_required": True}
        return [Subscriber("one.gwa.demo.", FIRST, more={"SFQDN": [*services, passed]})]

    def setUp(self) -> None:
        """Certificates for two of the names, which HAProxy has."""
        super().setUp()
        self.folder = self.testbed.folder / "certificates"
        if self.authority is None:
            issued = self.testbed.folder / "issued"
            issued.mkdir()
            type(self).authority = Authority(issued)
            type(self).certificate = str(self.issuer.path)
            own = self.issuer.issue(PASSED)
            where = ((FIRST, 8080, None), (FIRST, 443, own))
            self.origins.extend(self.testbed.call("test_gwa", Origin, *each) for each in where)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        self.put("one.pem", NAME)
        self.put("wild.pem", "*.wild.one.gwa.demo")
        self.until(lambda: (self.shown()["state"], self.wrong()) == ("in step", []))

    @property
    def issuer(self) -> Authority:
        """Who signs."""
        assert self.authority is not None
        return self.authority

    def put(self, file: str, name: str, *more: str, expired: bool = False) -> None:
        """A new certificate in a file, in one go."""
        content = b"".join(path.read_bytes() for path in self.issuer.issue(name, *more, expired=expired))
        self.write(file, content)

    def write(self, file: str, content: bytes) -> None:
        """A file, in one go."""
        new = self.folder / f"{file}.new"
        new.write_bytes(content)
        new.chmod(0o600)
        new.rename(self.folder / file)

    def wrong(self) -> list[str]:
        """What is wrong with certificates."""
        return list(self.shown()["wrong"])

    def alert(self, name: str) -> bytes:
        """What is said first to who asks for a name."""
        with self.connect(443) as connection:
            connection.sendall(hello(name))
            return connection.recv(7)

    def number(self, name: str) -> object:
        """The number of the certificate that a name has; one that is not for it is refused."""
        with self.secure(name) as connection:
            return (connection.getpeercert() or {})["serialNumber"]

    def test_it_ends_at_the_proxy_and_the_host_is_asked_by_http(self) -> None:
        """With the client's address; by HTTP/2 for who can; the wildcard stands for one label."""
        for name in (NAME, WILD):
            with self.secure(name) as connection:
                connection.sendall(request(name.upper()))
                self.assertEqual(answer(connection)[2].lower(), f"{FIRST}:8080 - x-forwarded-for={CLIENT}")
        heard = bytes(self.origins[0].heard).lower()
        self.assertIn(b"\r\nx-forwarded-proto: https\r\n", heard)
        with self.secure(PASSED) as connection:
            connection.sendall(request(PASSED))
            self.assertEqual(answer(connection)[2], f"{FIRST}:443 -")
        asked = f"{NAME}:443:{GATEWAY}"
        asking = ["curl", "--silent", "--show-error", "--max-time", "5", "--http2", "--cacert", self.certificate,
                  "--resolve", asked, "--write-out", " %{http_version}", f"https://{NAME}/"]  # fmt: skip
        done = self.testbed.run("public", asking)
        self.assertEqual((done.stdout.partition(" ")[0], done.stdout[-2:]), (f"{FIRST}:8080", " 2"), done.stderr)

    def test_a_challenge_reaches_the_host_and_all_else_is_sent_to_https(self) -> None:
        """By HTTP, so that the host can have a certificate made."""
        status, head, _ = self.get(NAME, target="/path")
        self.assertEqual((status, f"location: https://{NAME}/path" in head), (308, True))
        status, _, body = self.get(NAME, target="/.well-known/acme-challenge/token")
        self.assertEqual((status, body.partition(" ")[0]), (200, f"{FIRST}:8080"))

    def test_a_name_without_a_certificate_never_has_anothers(self) -> None:
        """It is told so by TLS; upper case and a last dot are the same name. That there is none is told."""
        self.assertEqual(self.alert(BARE), UNRECOGNIZED)
        self.assertEqual(self.alert("a.b.wild.one.gwa.demo"), UNRECOGNIZED)
        for name in (NAME.upper(), f"{NAME}.", WILD):
            self.assertEqual(self.alert(name)[:3], b"\x16\x03\x03", name)
        shown = self.shown()
        self.assertEqual((shown["uncertified"], shown["counts"]["uncertified"]), ([BARE], 1))
        self.put("bare.pem", BARE)
        self.until(lambda: self.shown()["uncertified"] == [] and self.alert(BARE) != UNRECOGNIZED)
        (self.folder / "bare.pem").unlink()
        self.until(lambda: self.shown()["uncertified"] == [BARE] and self.alert(BARE) == UNRECOGNIZED)

    def test_another_name_than_tls_was_begun_with_is_misdirected(self) -> None:
        """Also where the same host has both; a browser asks again by a connection of its own."""
        before = self.shown()["counts"]["misdirected"]
        for host in (WILD, PASSED, "nobody.gwa.demo", ""):
            with self.secure(NAME) as connection:
                connection.sendall(request(host))
                self.assertEqual(answer(connection)[0], 421, host)
        counts = self.shown()["counts"]
        self.assertEqual(counts["misdirected"] - before, 4)
        self.assertGreaterEqual(counts["tls_ended"], 4)

    def test_certificates_change_without_a_start_and_what_is_broken_changes_nothing(self) -> None:
        """Connections go on. Half a file, another's key, one that has ended, no folder: the former one is used."""
        stays, former, starts = self.secure(NAME), self.number(NAME), self.shown()["counts"]["starts"]
        self.put("one.pem", NAME)
        self.until(lambda: not self.wrong() and self.number(NAME) != former)
        used, content = self.number(NAME), (self.folder / "one.pem").read_bytes()
        key = self.issuer.issue("other.example.org")[1].read_bytes()
        for harm in (
            lambda: self.write("one.pem", content[: len(content) // 2]),
            lambda: self.write("one.pem", content.partition(b"-----BEGIN PRIVATE")[0] + key),
            lambda: self.put("one.pem", NAME, expired=True),
            lambda: [each.rename(each.with_suffix(".off")) for each in self.folder.iterdir()],
            lambda: shutil.rmtree(self.folder),
        ):
            harm()
            self.assertTrue(self.wrong())
            self.assertEqual(self.number(NAME), used)
        self.assertIn("those from before are used", self.wrong()[0])
        stays.sendall(request(NAME))
        self.assertEqual(answer(stays)[0], 200)
        self.assertEqual(self.shown()["counts"]["starts"], starts)

    def test_as_many_names_as_are_taken_can_be_told(self) -> None:
        """Of as long a file's name as there may be; HAProxy also begins with them."""
        many = [f"{number:x}" for number in range(MOST_NAMES - 1)]
        long = [f"{number:030d}" for number in range(MOST_TOLD // 63 - 1)]
        for file, names in (("m" * 200 + ".pem", many), ("l" * 200 + ".pem", long)):
            self.put(file, BARE, *names)
            self.until(lambda: not self.wrong() and self.alert(BARE) != UNRECOGNIZED)
            self.begin_anew()
            self.assertEqual(self.alert(BARE)[:3], b"\x16\x03\x03")
            (self.folder / file).unlink()
            self.until(lambda: not self.wrong() and self.alert(BARE) == UNRECOGNIZED)

    def begin_anew(self) -> None:
        """HAProxy, after its end."""
        pid = self.shown()["pid"]
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.shown()["pid"] not in (pid, None))
        self.until(lambda: self.shown()["state"] == "in step")

    def test_after_a_start_it_has_what_it_had(self) -> None:
        """Also where the folder is gone; `check` says so."""
        used = self.number(NAME)
        shutil.rmtree(self.folder)
        found = examine(load(self.gateway.config), lambda blocking: blocking.call())
        self.assertEqual(
            [each for each in found.wrong if "certificates" in each],
            [f"webproxy.certificates: {self.folder} can not be read: No such file or directory"],
        )
        self.gateway.kill()
        self.gateway.start()
        self.until(lambda: self.shown()["state"] == "in step")
        self.assertEqual(self.number(NAME), used)
        self.assertEqual(self.alert(BARE), UNRECOGNIZED)

    def test_a_host_that_is_down_is_told_by_a_page_and_counted(self) -> None:
        """The same by HTTP, and where TLS ends; nobody keeps it."""
        before = self.shown()["counts"]["hosts_unreachable"]
        for ask in (self.get, self.get_by_tls):
            status, head, body = ask(DOWN)
            self.assertEqual((status, "<h1>Not reached</h1>" in body), (503, True), body)
            self.assertIn("\r\nretry-after: 10\r\ncache-control: no-store", head.lower())
        self.assertGreaterEqual(self.shown()["counts"]["hosts_unreachable"] - before, 2)

    def get_by_tls(self, name: str) -> tuple[int, str, str]:
        """What is answered to a request for a name, where TLS ends."""
        with self.secure(name) as connection:
            connection.sendall(request(name))
            return answer(connection)
