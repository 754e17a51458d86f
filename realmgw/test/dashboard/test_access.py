"""Tests for `realmgw.dashboard.access`."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dashboard.access import COOKIE, LIFE, MOST_SESSIONS, Access, is_own

TOKEN = "0123456789abcdef-secret"


def made(token: str | None = TOKEN) -> Access:
    """One with a name, whose chance counts."""
    numbers = count(1)
    access = Access(
        lambda octets: next(numbers).to_bytes(octets, "big"), ["192.0.2.7", "2001:db8::7", "gw.example.org"]
    )
    access.demand(token)
    return access


class SessionTests(SynchronousTestCase):
    """Who has shown the token."""

    def test_who_shows_the_token_has_a_session_for_a_while(self) -> None:
        """Which has a number, for the log."""
        access = made()
        key = access.enter(f"Bearer {TOKEN}", now=10.0)
        cookies = f"other=1; {COOKIE}={key}"
        found = access.session(cookies, now=10.0 + LIFE - 1.0)
        assert found is not None
        self.assertEqual((found.number, access.entered, access.denied), (1, 1, 0))
        self.assertTrue(access.may(cookies, now=11.0))
        self.assertFalse(access.may(cookies, now=10.0 + LIFE))
        self.assertFalse(access.may(cookies, now=11.0), "it is over for good")

    def test_others_have_none(self) -> None:
        """Whatever they show, and whatever cookie they make up."""
        access = made()
        for shown in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer \u20ac", f"bearer{TOKEN}"):
            self.assertIsNone(access.enter(shown, now=0.0), shown)
        self.assertEqual(access.denied, 7)
        for cookies in ("", f"{COOKIE}=", f"{COOKIE}=00", f"{COOKIE}=None", "\x00=;;==", f'{COOKIE}="'):
            self.assertFalse(access.may(cookies, now=0.0), cookies)

    def test_nothing_is_shown_where_there_is_no_token(self) -> None:
        """Not even nothing makes a session."""
        access = made(None)
        self.assertTrue(access.may("", now=0.0))
        self.assertIsNone(access.session("", now=0.0))

    def test_another_token_ends_all_sessions(self) -> None:
        """The same one does not."""
        access = made()
        cookies = f"{COOKIE}={access.enter(f'Bearer {TOKEN}', now=0.0)}"
        access.demand(TOKEN)
        self.assertTrue(access.may(cookies, now=1.0))
        access.demand("another-token-of-some-length")
        self.assertFalse(access.may(cookies, now=1.0))

    def test_who_leaves_has_left(self) -> None:
        """Others stay."""
        access = made()
        one, two = (f"{COOKIE}={access.enter(f'Bearer {TOKEN}', now=0.0)}" for _ in range(2))
        access.leave(one)
        access.leave("")
        self.assertEqual([access.may(each, now=1.0) for each in (one, two)], [False, True])

    def test_there_are_so_many_at_most(self) -> None:
        """The oldest one goes."""
        access = made()
        every = [f"{COOKIE}={access.enter(f'Bearer {TOKEN}', now=0.0)}" for _ in range(MOST_SESSIONS + 2)]
        self.assertEqual([access.may(each, now=1.0) for each in every], [False, False, *[True] * MOST_SESSIONS])

    @given(st.text())
    def test_any_cookie_can_be_read(self, cookies: str) -> None:
        """Nothing is raised."""
        self.assertFalse(made().may(cookies, now=0.0))


class NameTests(SynchronousTestCase):
    """For whom a request is, and from whose page."""

    def test_it_is_known_by_its_names(self) -> None:
        """With a port or without: whoever comes by a tunnel has another one."""
        access = made()
        for host in (
            "localhost",
            "localhost:8080",
            "127.0.0.1:12347",
            "[::1]:9",
            "192.0.2.7",
            "[2001:db8::7]",
            "GW.example.org.:1",
        ):
            self.assertTrue(access.is_ours(host), host)
        for host in ("", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.0.2.8", "[::2]"):
            self.assertFalse(access.is_ours(host), host)

    def test_only_its_own_page_may_change_anything(self) -> None:
        """A browser says whose page has made a request."""
        for host, origin, site in (
            ("localhost:1", "http://localhost:1", ""), ("GW:2", "https://gw:2", "same-origin"),
        ):  # fmt: skip
            self.assertTrue(is_own(host, origin, site), origin)
        for host, origin, site in (
            ("localhost:1", "", ""), ("localhost:1", "null", ""), ("localhost:1", "http://localhost:2", "same-site"),
            ("localhost:1", "http://localhost:1", "cross-site"), ("localhost:1", "http://evil.example", ""),
            ("localhost", "http://[", ""), ("localhost", "http://a]b", ""), ("", "http://", ""), ("", "localhost", ""),
        ):  # fmt: skip
            self.assertFalse(is_own(host, origin, site), origin)
