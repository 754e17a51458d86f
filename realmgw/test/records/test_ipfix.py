"""Records as IPFIX, read by their templates."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.records.ipfix import LONGEST, data, fitting, message
from realmgw.records.record import Record
from realmgw.test.records.ipfix_reader import Reader

CAME = Record(
    "ends", 1_795_778_324.743, 1_795_778_321.731, "in", "tcp", "web.example.org.", ("gold",), "www.example.org.",
    "192.168.0.11", 8080, "192.0.2.3", 80, "203.0.113.5", 40112, True, 6, 1164, 5, 9164, "6a0f3c5100012",
)  # fmt: skip
BEGUN = CAME._replace(
    direction="out", protocol="47", host=None, via="192.0.2.1", port=0, via_port=0, client_port=0, trace_id=None,
    start=None,
)  # fmt: skip
DIRECT = CAME._replace(via=None, via_port=None, address="2001:db8:1::1", client="2001:db8::5")
REVERSE = 29305


def read(*records: Record, before: Record | None = None) -> Reader:
    """What a collector reads."""
    made = Reader()
    sent = [data(each, before) for each in records]
    made.message(message(7, 1_795_778_325.9, 2**32 + 5, sent, templates=True))
    return made


class RecordTests(SynchronousTestCase):
    """What is in a record."""

    def test_a_client_who_came(self) -> None:
        """He is the source; what is translated is told after it, and what the host has sent is in reverse."""
        made = read(CAME)
        self.assertEqual(made.headers, [(10, 1_795_778_325, 5, 7)])
        client, pool, host = (ip_address(each).packed for each in ("203.0.113.5", "192.0.2.3", "192.168.0.11"))
        self.assertEqual(made.records, [{
            (0, 8): client, (0, 12): pool, (0, 225): client, (0, 226): host,
            (0, 152): 1_795_778_321_731, (0, 153): 1_795_778_324_743, (0, 4): 6, (0, 61): 0, (0, 136): 1,
            (0, 7): 40112, (0, 11): 80, (0, 227): 40112, (0, 228): 8080, (0, 1): 1164, (0, 2): 6,
            (REVERSE, 1): 9164, (REVERSE, 2): 5, (0, 137): 0x6A0F3C5100012, (0, 371): b"web.example.org.",
        }])  # fmt: skip

    def test_what_a_host_began(self) -> None:
        """It is the source, with its own address; nobody's has no name, what is not known is 0, or when it ended."""
        [found] = read(BEGUN).records
        ends = [ip_address(found[0, element]).exploded for element in (8, 12, 225, 226)]
        self.assertEqual(ends, ["192.168.0.11", "203.0.113.5", "192.0.2.1", "203.0.113.5"])
        self.assertEqual([found[0, element] for element in (4, 61, 7, 11, 137)], [47, 1, 0, 0, 0])
        self.assertEqual((found[0, 1], found[REVERSE, 1], found[0, 371]), (9164, 1164, b""))
        self.assertEqual(found[0, 152], found[0, 153])

    def test_both_families_in_one_message(self) -> None:
        """Each by its template; what is not translated is the same behind the gateway."""
        made = read(CAME, DIRECT, BEGUN)
        self.assertEqual(len(made.records), 3)
        [found] = [each for each in made.records if (0, 27) in each]
        self.assertEqual(found[0, 28], ip_address("2001:db8:1::1").packed)
        self.assertEqual((found[0, 282], found[0, 281]), (found[0, 28], found[0, 27]))

    def test_what_was_told_before_is_not_told_again(self) -> None:
        """Of a flow that lasts, each record has what was carried since."""
        lasts = CAME._replace(event="lasts", packets_in=4, octets_in=164, packets_out=None, octets_out=None)
        self.assertEqual(read(lasts).records[0][0, 136], 2)
        [found] = read(CAME, before=lasts).records
        self.assertEqual([found[0, 1], found[0, 2], found[REVERSE, 1], found[REVERSE, 2]], [1000, 2, 9164, 5])

    def test_names_of_any_length_and_what_was_not_counted(self) -> None:
        """A long one is cut."""
        [found] = read(CAME._replace(host="x" * 300, octets_in=None)).records
        self.assertEqual((found[0, 371], found[0, 1]), (b"x" * 255, 0))

    def test_no_message_is_longer_than_it_may_be(self) -> None:
        """As many records as fit are in it, of both families, and at least one."""
        sent = [data(each._replace(host="x" * 254)) for each in (DIRECT, CAME) for _ in range(40)]
        while sent:
            count = fitting(sent)
            made = message(7, 0.0, 0, sent[:count], templates=False)
            self.assertTrue(LONGEST - 2 * len(sent[0].octets) < len(made) <= LONGEST or count == len(sent), len(made))
            del sent[:count]
