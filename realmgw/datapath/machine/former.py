"""What kernel settings were before the gateway changed them, and what a purge puts back of that.

They are remembered before they are changed, and the first value counts, however often the gateway starts. They are in
force until the next boot, in one network namespace; what was remembered of another is of no use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from realmgw.datapath.machine import sysctls
from realmgw.errors import MalformedError


@attrs.frozen
class NetworkNamespace:
    """Where kernel settings are in force: a network namespace, between two starts of the machine."""

    boot: str
    """Since which start of the machine (/proc/sys/kernel/random/boot_id)."""
    namespace: str
    """Its cookie, which no other has in the same boot, as hexadecimal digits."""


@attrs.frozen
class Former:
    """What is remembered."""

    where: NetworkNamespace
    """Of which settings."""
    values: Mapping[str, int]
    """By key: what it was before we came, whether we changed it or not."""

    def text(self) -> bytes:
        """As it is written to a file."""
        return json.dumps({**attrs.asdict(self.where), "values": dict(self.values)}).encode()

    @classmethod
    def parse(cls, text: bytes) -> Former:
        """What was written.

        Raises:
            MalformedError: That is something else.
        """
        try:
            said = json.loads(text)
            values = {str(key): int(value) for key, value in said["values"].items()}
            return cls(NetworkNamespace(str(said["boot"]), str(said["namespace"])), values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedError(f"it does not say what kernel settings were: {error!r}") from error


@attrs.frozen
class Restoring:
    """What a purge does about kernel settings."""

    first: Mapping[str, int]
    """To be set before anything of ours goes, since it closes the machine: nothing is forwarded any more."""
    last: Mapping[str, int]
    """To be set when all is gone, unless it is so by then, or the kernel has it no more."""
    notes: tuple[str, ...]
    """What stays, and why; one line each."""


def remembering(former: Mapping[str, int], present: Mapping[str, int], *, standing: bool) -> dict[str, int]:
    """What to remember at a start.

    Args:
        former: What is remembered already.
        present: What the settings are now, and will be changed.
        standing: Our table stands already: an earlier start may have changed the settings, and not remembered them
            (its disk was full, say). Those that are as we want them may have been anything before.
    """
    unknown = {key for key, value in present.items() if standing and _is_ours(key, value)}
    return {**{key: value for key, value in present.items() if key not in unknown}, **former}


def _is_ours(key: str, value: int) -> bool:
    if sysctls.ACCEPT_RA.fullmatch(key):
        return value == sysctls.ALSO_ROUTERS
    return value == {**sysctls.REQUIRED, **sysctls.COUNTED, **sysctls.REQUIRED6}.get(key)


def restoring(former: Mapping[str, int], present: Mapping[str, int], *, found: bool, found6: bool = False) -> Restoring:
    """What to do at a purge.

    Args:
        former: What is remembered; a key that is missing may have been anything.
        present: What the settings are now.
        found: Whether anything of ours stands; if not, settings of which nothing is remembered are left alone.
        found6: Whether anything of IPv6 does.
    """
    changes: dict[str, int] = {}
    notes: list[str] = []
    counted = {key: ours for key, ours in sysctls.COUNTED.items() if key in former}
    for key, ours in {**sysctls.REQUIRED, **counted}.items():
        name, value, before = sysctls.dotted(key), present.get(key), former.get(key)
        if value is None or (before is None and not found):
            continue
        if value != ours:
            if before not in (None, value):
                notes.append(f"{name} stays {value}: somebody else has set it since")
        elif before is None:
            notes.append(_unknown(key))
            changes |= {key: 0} if key == sysctls.FORWARDING else {}
        elif before != ours:
            changes[key] = before
        elif key == sysctls.FORWARDING:
            notes.append(f"{name} stays {value}, as it was before: the machine routes, and no rule of ours limits what")
    first = {key: value for key, value in changes.items() if key == sysctls.FORWARDING}
    last = {key: value for key, value in changes.items() if key not in first}
    following = {key: value for key, value in former.items() if sysctls.FOLLOWING.fullmatch(key)}
    if not first:  # the machine goes on routing, but not what comes in by these
        first = {key: value for key, value in following.items() if value == 0}
    elif former.get(sysctls.FORWARDING) in first.values():
        last |= following
    of_ipv6 = _restoring6(former, present, found6)
    return Restoring({**first, **of_ipv6.first}, {**last, **of_ipv6.last}, (*notes, *of_ipv6.notes))


def _restoring6(former: Mapping[str, int], present: Mapping[str, int], found: bool) -> Restoring:
    """The same of IPv6, which may never have been in use."""
    key, following = sysctls.FORWARDING6, {k: v for k, v in former.items() if sysctls.FOLLOWING6.fullmatch(k)}
    heeded = {k: v for k, v in former.items() if sysctls.ACCEPT_RA.fullmatch(k) and present.get(k) != v}
    before, value = former.get(key), present.get(key)
    if before is None or value is None:
        return Restoring({key: 0}, heeded, (_unknown(key),)) if found and value == 1 else Restoring({}, heeded, ())
    name = sysctls.dotted(key)
    if before == value:
        as_before = f"{name} stays {value}, as it was before: the machine routes, and no rule of ours limits what"
        first = {each: number for each, number in following.items() if number == 0}
        return Restoring(first, heeded, (as_before,) if value else ())
    if value != 1:
        return Restoring({}, heeded, (f"{name} stays {value}: somebody else has set it since",))
    return Restoring({key: before}, {**following, **heeded}, ())


def _unknown(key: str) -> str:
    name, what = sysctls.dotted(key), "what it was before the gateway is not known"
    if key in (sysctls.FORWARDING, sysctls.FORWARDING6):
        return f"{name} is 0 now: {what}, and no rule of ours limits what is routed; set it to 1 if others need it"
    return f"{name} stays {sysctls.REQUIRED[key]}: {what}"
