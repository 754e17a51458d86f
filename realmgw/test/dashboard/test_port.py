"""Tests for `realmgw.dashboard.port`: who gets what, and who gets nothing."""

from __future__ import annotations

import re

from twisted.logger import capturedLogs

from realmgw.config.limits import DASHBOARD_CONNECTIONS
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus
from realmgw.dashboard.pages import POLICY, pages
from realmgw.dashboard.port import OF_ONE, OFFERED
from realmgw.test.dashboard.looking import TOKEN, LookingTestCase

SAID = "flows/kill: nothing can be changed here: dashboard.actions says so"
OWN = "Origin: http://localhost"


class PageTests(LookingTestCase):
    """What everybody gets: the page has no secrets."""

    def test_its_files_are_served_with_a_strict_policy(self) -> None:
        """To whoever asks by a name of ours."""
        for path, kind in (("/", "text/html"), ("/dashboard.js", "text/javascript"), ("/dashboard.css", "text/css")):
            said = self.ask(f"GET {path}").value()
            head, _, body = said.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), path)
            self.assertIn(f"content-type: {kind}; charset=utf-8".encode(), head.lower())
            self.assertIn(POLICY.encode(), head)
            self.assertEqual(body, pages()[path].body)
        self.assertEqual(self.said("POST /", OWN)[0], 405)

    def test_nothing_of_it_is_forbidden_by_its_own_policy(self) -> None:
        """Nothing from elsewhere, no script and no style in the markup, nothing that makes markup of text."""
        html, style, script = (pages()[path].body.decode() for path in ("/", "/dashboard.css", "/dashboard.js"))
        for text in (html, style, script):
            self.assertEqual(set(re.findall(r"\w+://[^\s\"']+", text)) - {"http://www.w3.org/2000/svg"}, set())
        self.assertIsNone(re.search(r"<script(?! src=\"/)|<style|\sstyle=|\son\w+=|@import|url\(", html + style))
        self.assertIsNone(re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", script))

    def test_every_control_of_it_has_a_label(self) -> None:
        """And every part a name."""
        html = pages()["/"].body.decode()
        for each in re.findall(r"<(?:input|select)\b(?![^>]*hidden)[^>]*id=\"(\w+)\"", html):
            self.assertIn(f'<label for="{each}">', html)
        for name in re.findall(r"aria-labelledby=\"([\w-]+)\"", html):
            self.assertIn(f'id="{name}"', html)

    def test_others_names_are_not_ours(self) -> None:
        """Whatever DNS says of them."""
        for line in ("GET /", "GET /live", "POST /session"):
            status, told = self.said(line, OWN, host="evil.example")
            self.assertEqual((status, told["detail"]), (421, "this is not known by that name here"))
        self.assertEqual(self.factory.counts()["refused"], 3)


class SessionTests(LookingTestCase):
    """Who has shown the token."""

    def test_the_token_begins_a_session(self) -> None:
        """By a cookie that no script and no other site has anything of."""
        fields = OWN, f"Authorization: Bearer {TOKEN}"
        head = self.ask("POST /session", *fields).value().decode()
        self.assertRegex(head, r"(?i)set-cookie: realmgw-dashboard=[0-9a-f]{48}; Path=/; HttpOnly; SameSite=Strict\r\n")
        self.assertNotIn(TOKEN, head)
        self.assertEqual(self.said("GET /session"), (200, {"may": False, "token": True, "actions": True}))
        self.assertEqual(self.said("GET /session", self.enter())[1]["may"], True)

    def test_what_is_no_token_is_refused_and_told_to_the_log(self) -> None:
        """With who it was, and without what was shown."""
        with capturedLogs() as logged:
            status, told = self.said("POST /session", OWN, "Authorization: Bearer something-else-altogether")
        self.assertEqual((status, told["detail"]), (401, "that is not the token"))
        [event] = logged
        self.assertEqual(event["who"], "127.0.0.1 port 40000")
        self.assertNotIn("altogether", str(event))
        self.assertEqual(self.factory.counts()["denied"], 1)

    def test_other_pages_begin_and_end_none(self) -> None:
        """Not even with the token."""
        shown = f"Authorization: Bearer {TOKEN}"
        for fields in ((shown,), (shown, "Origin: http://evil.example"), (shown, OWN, "Sec-Fetch-Site: cross-site")):
            self.assertEqual(self.said("POST /session", *fields)[0], 403)
        cookie = self.enter()
        self.assertEqual(self.said("DELETE /session", cookie)[0], 403)
        self.assertEqual(self.said("GET /session", cookie)[1]["may"], True)

    def test_who_leaves_has_none_any_more(self) -> None:
        """And his page is told nothing more."""
        cookie = self.enter()
        _, page = self.look(cookie)
        self.assertEqual(self.said("DELETE /session", cookie, OWN)[0], 200)
        self.assertEqual(self.said("GET /session", cookie)[1]["may"], False)
        self.clock.advance(1.0)
        self.assertIn(b"Your session is over.", page.value())
        self.assertTrue(page.disconnecting)

    def test_strangers_get_nothing(self) -> None:
        """Whatever they ask for."""
        for line in ("GET /live", "GET /v1/plan", "POST /v1/reload", "GET /v1/nothing", "GET /nothing"):
            self.assertEqual(self.said(line, OWN)[0], 401, line)
        self.assertEqual(self.commands.asked, [])
        self.assertEqual(self.factory.live.readers, 0)


class CommandTests(LookingTestCase):
    """What the page has done."""

    def test_the_offered_ones_are_commands_and_nobodys_privilege(self) -> None:
        """Each of them is used by the page."""
        script = pages()["/dashboard.js"].body.decode()
        for path in OFFERED:
            self.assertFalse(COMMANDS[path].privileged)
            self.assertIn(f'"{path}"', script)

    def test_what_only_tells_is_told(self) -> None:
        """With its parameters."""
        cookie = self.enter()
        self.assertEqual(self.said("GET /v1/subscribers/show?name=a%20b%26c", cookie), (200, {"answer": 42}))
        self.assertEqual(self.commands.asked, [("subscribers/show", {"name": "a b&c"})])

    def test_what_changes_something_is_done_and_logged_with_who(self) -> None:
        """By its own page."""
        cookie = self.enter()
        with capturedLogs() as logged:
            said = self.said("POST /v1/reputation/set?who=192.0.2.53&reputation=0", cookie, OWN)
        self.assertEqual(said, (200, {"answer": 42}))
        [event] = logged
        self.assertEqual(event["command"], "reputation/set who='192.0.2.53' reputation='0'")
        self.assertEqual(event["who"], "127.0.0.1 port 40000, session 1")
        self.assertEqual((self.factory.counts()["commands"], self.factory.counts()["changes"]), (1, 1))

    def test_nothing_is_changed_by_a_look_or_from_elsewhere(self) -> None:
        """Nor where the configuration says so."""
        cookie, changed = self.enter(), "/v1/flows/kill?host=a"
        self.assertEqual(self.said(f"GET {changed}", cookie, OWN)[0], 400)
        self.assertEqual(self.said(f"POST {changed}", cookie)[0], 403)
        self.assertEqual(self.said(f"POST {changed}", cookie, "Origin: http://evil.example")[0], 403)
        self.assertEqual(self.said("POST /v1/plan", cookie, OWN)[0], 400)
        self.factory.is_changing = False
        status, told = self.said(f"POST {changed}", cookie, OWN)
        self.assertEqual((status, told["detail"]), (403, SAID))
        self.assertEqual(self.commands.asked, [])

    def test_others_are_not_offered(self) -> None:
        """Neither those that only root may have done, nor what there is not."""
        cookie = self.enter()
        for path in ("purge?name=gw", "config", "flows/watch", "trace?src=a", "dance", "../session", "x" * 1000):
            self.assertEqual(self.said(f"POST /v1/{path}", cookie, OWN)[0], 404, path)
        self.assertEqual(self.commands.asked, [])

    def test_what_can_not_be_done_is_told(self) -> None:
        """By whose fault it is; one of ours is logged."""
        cookie = self.enter()
        self.commands.answers["subscribers/show"] = CommandError(ExitStatus.NOT_FOUND, "there is no subscriber")
        self.assertEqual(self.said("GET /v1/subscribers/show?name=z", cookie)[0], 404)
        self.commands.answers["plan"] = ValueError("ours")
        self.assertEqual(self.said("GET /v1/plan", cookie)[0], 500)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.said("GET /v1/plan?" + "&".join(f"a{i}=1" for i in range(99)), cookie)[0], 400)
        self.assertEqual(self.said("GET /v1/plan?a=%ff", cookie)[0], 400)

    def test_by_a_unix_socket_without_a_token(self) -> None:
        """Its permissions have said who may."""
        self.access.demand(None)
        protocol, transport = self.connect(unix=True)
        with capturedLogs() as logged:
            protocol.dataReceived(
                b"POST /v1/reload HTTP/1.1\r\nHost: localhost:8\r\nOrigin: http://localhost:8\r\n\r\n"
            )

        self.assertIn(b"200 OK", transport.value())
        self.assertEqual(logged[0]["who"], "somebody")


class BoundTests(LookingTestCase):
    """Connections."""

    def test_open_pages_have_places_of_their_own(self) -> None:
        """And are not cut after a while, as others are."""
        cookie = self.enter()
        _, page = self.look(cookie)
        crowd = [self.connect()[1] for _ in range(OF_ONE + 1)]
        self.assertEqual([each.aborted for each in crowd], [False] * OF_ONE + [True])
        self.assertLess(OF_ONE, DASHBOARD_CONNECTIONS)
        self.clock.pump([1.0] * 20)
        self.assertEqual((page.aborted, crowd[0].aborted), (False, True))
