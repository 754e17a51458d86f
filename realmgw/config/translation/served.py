"""Rules of iptables about what comes in to the gateway itself: those of INPUT, ADMIN_POLICY, DHCP, HTTP and DNS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import attrs

from realmgw.config.translation import iptables, recognition
from realmgw.config.translation.iptables import OWN, REFUSED, TUNNEL, Said, text
from realmgw.config.translation.recognition import PORTED, PORTS, SERVICES, STATE
from realmgw.config.translation.wording import Wording

_CLIENT = "68"  # from which DHCP clients ask
_RATES = {
    "POLICY_DNS_LAN_GLOBAL_LIMIT": "lan_rate",
    "POLICY_DNS_WAN_WHITELIST": "white_rate",
    "POLICY_DNS_WAN_WKGREYLIST": "well_known_rate",
    "POLICY_DNS_WAN_GREYLIST": "rate",
}
_LISTS = {"POLICY_DNS_WAN_WHITELIST": "white_list", "POLICY_DNS_WAN_WKGREYLIST": "well_known"}


def _is_service(chain: str) -> bool:
    return chain in SERVICES or chain.startswith("POLICY_DNS")


class Served:
    """What becomes of them."""

    def __init__(
        self,
        words: Wording,
        leads: Mapping[str, Sequence[Said]],
        leads_on: Callable[[Said], bool],
        jumps: Callable[[Said], bool],
    ) -> None:
        """With nothing said.

        Args:
            words: Gets what they become.
            leads: The rules that lead to a chain.
            leads_on: Tells whether a rule leads to another chain.
            jumps: The same, and has it noted if conditions are lost thereby.
        """
        self._words = words
        self._leads = leads
        self._leads_on = leads_on
        self._jumps = jumps
        self._lacks = words.lacks
        self._dropped: set[int | None] = set()
        self.turn: list[Said] = []
        """All rules of these, in the order in which packets meet them."""
        self.begun: set[str] = set()
        """The chains of which there was a rule."""

    def input(self, said: Said) -> None:
        """A rule of INPUT."""
        if self._jumps(said):
            return
        name = text(iptables.node_of(said, "in-interface"))
        of_sides = {each for names in self._words.sides.values() for each in names}
        if said.target == "ACCEPT" and said.only("in-interface") and said.is_of_any_side and name not in of_sides:
            for by in self._words.by(said) if said.matches and name != "lo" else ():
                self._words.manages(said, by)
            if said.matches:
                return
        self.rest(said)

    def rest(self, said: Said) -> None:
        """What comes in to the gateway itself, and is of no service; what nothing is said of passes."""
        if self._jumps(said) or (said.target in ("ACCEPT", "RETURN") and said.is_about_all):
            return
        if said.target in ("DROP", *REFUSED) and not said.matches and said.goes in (None, OWN):
            self._side_is_dropped(said)
        elif said.target == "ACCEPT" and self._is_closed(said):
            self._lacks(said.place, "a service that it is about, too, is closed by then: write it before that one")
        else:
            self._words.own(said, "services")

    def _side_is_dropped(self, said: Said) -> None:
        if said.came in self._dropped:
            self._lacks(said.place, "no packet comes here: an earlier rule decides about all of that side")
            return
        self._dropped.add(said.came)
        is_followed = self._is_followed(said)
        if is_followed and not any(_is_service(chain) for chain in self.begun):
            sides = (said.came,) if said.came is not None else tuple(self._words.sides)
            for by in (name for side in sides for name in self._words.sides.get(side, ())):
                self._words.own_by(said, by, "services")
            return
        if is_followed:
            why = "they are asked nevertheless: write it before all services, or behind all rules"
            self._lacks(said.place, why, " for what rules behind it accept")
        said_by_now = [word for word in SERVICES.values() if self._decided(word)]
        for side in said.sides:
            for word in (*said_by_now, "others"):  # what a service says nothing of is none that it accepts
                self._words.say(side, self._policing(said), "services", word)
        for by in self._words.sides.get(TUNNEL, ()) if said.came in (None, TUNNEL) else ():
            self._words.own_by(said, by, "services")

    def _decided(self, word: str) -> dict[str, str]:
        """What is said of a service, by side."""
        found = self._words.section("services").get(word, {})
        return {side: text(verdict) for side, verdict in found.items()}

    def _is_closed(self, said: Said) -> bool:
        """Whether a rule is about a service, too, that was closed on one of its sides before."""
        asked = recognition.destinations(said)
        return any(
            any(self._decided(word).get(side, "accept") != "accept" for side in said.sides)
            for word in SERVICES.values()
            if not asked or asked & PORTS[word]
        )

    def _is_followed(self, said: Said) -> bool:
        """Whether rules that packets meet later accept something of that side, which they do not come to."""
        names = {name for side, of_it in self._words.sides.items() if said.came in (None, side) for name in of_it}
        at = next(index for index, each in enumerate(self.turn) if each is said)
        for each in islice(self.turn, at + 1, None):
            by = text(iptables.node_of(each, "in-interface"))
            accepts = _is_service(each.leads_to) or (each.target == "ACCEPT" and not each.is_about_all)
            of_side = None in (each.came, said.came) or each.came == said.came
            if accepts and each.begins and of_side and (not by or by in names):
                return True
        return False

    def _policing(self, said: Said) -> str:
        return "accept" if said.target == "ACCEPT" else "drop" if said.target == "DROP" else "reject"

    def service(self, said: Said) -> None:
        """DHCP and HTTP: a side that nothing accepts is dropped by the last rule."""
        word = SERVICES[said.chain]
        if self._jumps(said):
            return
        led = set[str]()
        for lead in self._leads[said.chain]:
            ports = recognition.destinations(lead)
            led.update(lead.sides if ports == set() or (ports and ports & PORTS[word]) else ())
        sides = [name for name in said.sides if name in led]
        asked = recognition.destinations(said, _CLIENT)
        is_other = asked and not asked & PORTS[word]
        decided = [name for name in sides if name in self._decided(word) and not is_other]
        accepts = recognition.accepts_all(said, word)
        drops = said.target in ("DROP", *REFUSED) and not said.matches
        is_whole = said.goes in (None, OWN) and (accepts or drops)
        if decided and not (is_whole and (asked == set() or decided != sides)):
            self._lacks(said.place, "an earlier rule decides about the service on that side: write it before that one")
        elif is_whole:
            for name in sides:
                self._words.say(name, self._policing(said), "services", word)
            self._beyond(said, word)
        else:
            for each in self._within(said):
                self._words.own(each, "services")

    def _within(self, said: Said) -> Iterator[Said]:
        """A rule with what leads to its chain; ports of its own are some of those that lead there."""
        asked, names = recognition.destinations(said, _CLIENT), {each.name for each in said.matches}
        came, found = said.came, False
        for lead in self._leads[said.chain]:
            led = recognition.destinations(lead)
            more = [each for each in lead.matches if not (asked and each.name in PORTED)]
            if asked is None or led is None or names.intersection(each.name for each in more) - {"protocol", *STATE}:
                break
            if (not asked or not led or asked <= led) and (None in (came, lead.came) or came == lead.came):
                left = tuple(each for each in more if each.name not in names)
                found = True
                yield attrs.evolve(said, matches=(*said.matches, *left), came=lead.came if came is None else came)
        if not found:
            self._lacks(
                said.place, "it asks for other ports than what leads to its chain: write a rule with those left"
            )

    def _beyond(self, said: Said, word: str) -> None:
        """What else leads to the chain of a service: other ports, and sides that services do not tell apart."""
        for each in self._within(said):
            asked = recognition.destinations(each, _CLIENT) or set()
            if asked and not asked & PORTS[word]:
                self._words.own(each, "services")
            elif not asked or not asked <= PORTS[word]:
                ports = " and ".join(sorted(PORTS[word]))
                self._lacks(said.place, f"the service is at {ports}: write a rule for the others", " for other ports")
            elif said.came in (None, TUNNEL):
                for by in self._words.sides.get(TUNNEL, ()):
                    self._words.own_by(each, by, "services")

    def dns(self, said: Said) -> None:
        """The buckets of DNS."""
        listed = said.listed if said.only("set") and said.is_of_any_side else None
        drops = said.target == "DROP"
        rate = recognition.bucket(said, self._leads_on(said)) if said.chain in _RATES else None
        if listed and listed[1:] == ("src", False) and said.target in _LISTS:
            self._words.prefixes(said, "services", "dns", _LISTS[said.target])
        elif listed and listed[1:] == ("src", False) and drops and said.chain == "POLICY_DNS_WAN_BLACKLIST":
            self._words.prefixes(said, "services", "dns", "black_list")
        elif rate is not None:
            self._words.say(_RATES[said.chain], rate, "services", "dns")
            if said.option("hashlimit", "hashlimit-mode") != ["srcip"]:
                self._lacks(said.place, f"its limit is of all senders together: here {rate} a second are each one's")
        elif drops and said.chain == "POLICY_DNS_TUN" and not said.matches:
            for each in self._within(said):
                for by in self._words.sides.get(TUNNEL, ()):
                    self._words.own_by(each, by, "services")
        elif not self._is_of_any_bucket(said):
            self._lacks(said.place, "no bucket of DNS does that: see policy.pipeline.services.dns")

    def _is_of_any_bucket(self, said: Said) -> bool:
        """Whether the buckets have it so, or it was noted what they have instead."""
        answers = text(iptables.member(iptables.node_of(said, "u32"), "u32"))
        if said.match("string") is not None:
            self._lacks(said.place, "the DNS server refuses names that are of no zone of its own: write zones")
        elif said.match("hashlimit") is not None and not self._leads_on(said):
            why = "a bucket has a rate a second of each sender: write that, or a rule of services.rules with this limit"
            self._lacks(said.place, why)
        elif said.target == "DROP" and said.is_about_all:
            if said.chain not in self.begun:  # what is beyond the rate is dropped in any case
                self._lacks(said.place, "no query would pass: where that is meant, write a rule of services.rules")
        elif said.target != "DROP" or answers != recognition.RESPONSES or not said.only("u32", *STATE):
            return self._jumps(said) or (said.is_about_all and said.target in ("ACCEPT", "RETURN"))
        return True
