"""Server cookies: the vectors of RFC 9018, what is believed and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.dns.codec.cookies import MOST_REMEMBERED, Cookies

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = bytes.fromhex("2464c4abcf10c957")
ADDRESS = "198.51.100.100"


class CookiesTestCase(SynchronousTestCase):
    """A server with a time of day and a shared secret."""

    def setUp(self) -> None:
        """It is 2019-06-01 12:00:00 UTC or so, as in the RFC."""
        self.wall = 1559731985.0
        self.bought = 0
        self.cookies = self.make(SECRET)

    def make(self, *shared: bytes, rotation: float = 86400.0) -> Cookies:
        """A server."""
        return Cookies(settings.Cookies(rotation=rotation), shared, self.buy, lambda: self.wall, now=0.0)

    def buy(self, count: int) -> bytes:
        """Other octets each time."""
        self.bought += 1
        return bytes((self.bought,)) * count


class Rfc9018Tests(CookiesTestCase):
    """Appendix A."""

    def test_learns_a_new_server_cookie(self) -> None:
        """A.1: from a client cookie."""
        made = self.cookies.reply(CLIENT, ADDRESS, now=0.0)
        self.assertEqual(made.hex(), "2464c4abcf10c957010000005cf79f111f8130c3eee29480")

    def test_renews_one_that_is_old_and_valid(self) -> None:
        """A.2: the same client half an hour and more later."""
        old = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
        self.wall = 1559734385.0
        self.assertTrue(self.cookies.proves(old, ADDRESS, now=0.0))
        made = self.cookies.reply(old, ADDRESS, now=0.0)
        self.assertEqual(made.hex(), "2464c4abcf10c957010000005cf7a871d4a564a1442aca77")

    def test_believes_one_with_reserved_octets(self) -> None:
        """A.3: another client; the reserved octets are hashed as they came, and ours are 0."""
        old = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
        self.wall = 1559727985.0
        self.assertTrue(self.cookies.proves(old, "203.0.113.203", now=0.0))
        self.wall = 1559734700.0
        self.cookies.proves(old, "203.0.113.203", now=301.0)
        made = self.cookies.reply(old, "203.0.113.203", now=301.0)
        self.assertEqual(made.hex(), "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e")

    def test_believes_the_secret_before(self) -> None:
        """A.4: a client of IPv6, while the secret is changed."""
        old = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
        after = bytes.fromhex("445536bcd2513298075a5d379663c962")
        before = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715")
        address = "2001:db8:220:1:59de:d0f4:8769:82b8"
        self.wall = 1559741961.0
        cookies = self.make(after, before)
        self.assertTrue(cookies.proves(old, address, now=0.0))
        self.assertFalse(self.make(after).proves(old, address, now=0.0))
        self.wall = 1559741961.0
        self.assertEqual(
            self.make(after).reply(old, address, now=0.0).hex(), "22681ab97d52c298010000005cf7c609a6bb79d16625507a"
        )


class ValidityTests(CookiesTestCase):
    """What is believed."""

    def setUp(self) -> None:
        """Somebody has a cookie."""
        super().setUp()
        self.cookie = self.cookies.reply(CLIENT, ADDRESS, now=0.0)
        self.made = self.wall
        self.now = 0.0

    def proves(self, age: float = 0.0, address: str = ADDRESS, now: float | None = None) -> bool:
        """Whether it is believed `age` seconds after it was made; it is not remembered, unless `now` is told."""
        self.wall = self.made + age
        self.now += 301.0
        return self.cookies.proves(self.cookie, address, now=self.now if now is None else now)

    def test_believes_it_for_an_hour(self) -> None:
        """And not a second longer (RFC 9018 section 4.3)."""
        self.assertEqual([self.proves(age) for age in (0, 1800, 3600, 3601)], [True, True, True, False])

    def test_believes_one_of_a_fast_clock(self) -> None:
        """Five minutes from the future."""
        self.assertEqual([self.proves(age) for age in (-300, -301)], [True, False])

    def test_believes_it_beyond_the_end_of_the_counter(self) -> None:
        """The seconds are counted modulo 2**32."""
        self.wall = self.made = 2.0**32 - 10
        self.cookie = self.cookies.reply(CLIENT, ADDRESS, now=0.0)
        self.assertEqual([self.proves(age) for age in (20, 3601)], [True, False])

    def test_believes_nobody_else(self) -> None:
        """Another address, another client cookie, another octet anywhere."""
        self.assertFalse(self.proves(address="198.51.100.101"))
        for at in range(len(self.cookie)):
            changed = self.cookie[:at] + bytes((self.cookie[at] ^ 1,)) + self.cookie[at + 1 :]
            self.assertFalse(self.cookies.proves(changed, ADDRESS, now=0.0), at)

    def test_believes_no_other_length(self) -> None:
        """Nor a client cookie alone."""
        for option in (CLIENT, self.cookie[:-1], self.cookie + b"\0", b""):
            self.assertFalse(self.cookies.proves(option, ADDRESS, now=0.0))

    def test_gives_the_same_one_back_while_it_is_young(self) -> None:
        """It is compared; after half an hour there is a fresh one."""
        self.assertTrue(self.proves(1800, now=0.0))
        self.assertEqual(self.cookies.reply(self.cookie, ADDRESS, now=0.0), self.cookie)
        self.assertTrue(self.proves(1801, now=301.0))
        self.assertNotEqual(self.cookies.reply(self.cookie, ADDRESS, now=301.0), self.cookie)

    def test_does_not_remember_for_ever(self) -> None:
        """A cookie that is compared again and again ends like any other."""
        self.assertTrue(self.proves(now=0.0))
        self.assertTrue(self.proves(3601, now=299.0))
        self.assertFalse(self.proves(3601, now=300.0))

    def test_remembers_so_many(self) -> None:
        """Beyond that it begins anew."""
        for number in range(MOST_REMEMBERED + 10):
            address = f"192.0.{number >> 8}.{number & 255}" if number < 1 << 16 else f"198.51.100.{number & 255}"
            self.assertTrue(self.cookies.proves(self.cookies.reply(CLIENT, address, now=0.0), address, now=0.0))
        self.assertLessEqual(len(self.cookies._known), MOST_REMEMBERED)

    @given(st.binary(max_size=48))
    def test_believes_no_octets_at_random(self, option: bytes) -> None:
        """Of any length."""
        self.assertFalse(self.make(SECRET).proves(option, ADDRESS, now=0.0))

    @given(st.binary(min_size=8, max_size=40), st.ip_addresses().map(str))
    def test_believes_what_it_gave(self, option: bytes, address: str) -> None:
        """To whatever address, for whatever client cookie."""
        cookies = self.make(SECRET)
        self.assertTrue(cookies.proves(cookies.reply(option, address, now=0.0), address, now=0.0))

    def test_knows_addresses_with_a_scope(self) -> None:
        """As sockets give those of a link."""
        cookie = self.cookies.reply(CLIENT, "fe80::1%2", now=0.0)
        self.assertTrue(self.cookies.proves(cookie, "fe80::1%2", now=0.0))


class RotationTests(CookiesTestCase):
    """Secrets of our own."""

    def test_believes_the_one_before_for_as_long_again(self) -> None:
        """And cookies are made with the new one at once."""
        cookies = self.make(rotation=1000.0)
        first = cookies.reply(CLIENT, ADDRESS, now=0.0)
        second = cookies.reply(CLIENT, ADDRESS, now=1000.0)
        self.assertNotEqual(first, second)
        self.assertTrue(cookies.proves(first, ADDRESS, now=1999.0))
        self.assertFalse(cookies.proves(first, ADDRESS, now=2400.0))

    def test_makes_other_cookies_than_other_servers(self) -> None:
        """Nobody is told the secret."""
        cookie = self.make().reply(CLIENT, ADDRESS, now=0.0)
        self.assertFalse(self.make().proves(cookie, ADDRESS, now=0.0))

    def test_is_as_told_from_a_reload_on(self) -> None:
        """Other secrets, none, or no cookies at all; what our own secret made is believed again afterwards."""
        cookies = self.make()
        own = cookies.reply(CLIENT, ADDRESS, now=0.0)
        self.assertTrue(cookies.proves(own, ADDRESS, now=0.0))
        cookies.configure(settings.Cookies(enabled=False), (SECRET,), now=1.0)
        self.assertFalse(cookies.enabled)
        self.assertFalse(cookies.proves(own, ADDRESS, now=1.0))
        cookies.configure(settings.Cookies(), (), now=2.0)
        self.assertTrue(cookies.proves(own, ADDRESS, now=2.0))
