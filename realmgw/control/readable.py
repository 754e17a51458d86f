"""What a gateway reads, and whether the user that it runs as can, when root looks. Edge: files, users and groups."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import attrs

from realmgw.config import layers
from realmgw.config.dns import NameList
from realmgw.config.document import Problems
from realmgw.config.pipeline import PrefixList
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.control.examined import answered, attempt
from realmgw.control.permissions import is_root
from realmgw.errors import PlatformError
from realmgw.system.disk import stranger

_LISTS = layers.ZONES, layers.POLICIES, layers.FRAGMENTS
_LOOK, _PASS = stat.S_IROTH, stat.S_IXOTH
_WORDS = {_LOOK: ("read", "g+r"), _PASS: ("looked into", "g+x"), _LOOK | _PASS: ("listed", "g+rx")}


@attrs.frozen
class User:
    """Somebody, as the kernel compares him with the permissions of files."""

    number: int
    """His."""
    name: str
    """What he is called, or his number."""
    group: str
    """His own group, likewise."""
    groups: Collection[int]
    """All of his groups."""

    @classmethod
    def of(cls, number: int) -> User:
        """The user with a number."""
        try:
            found = pwd.getpwuid(number)
            group = grp.getgrgid(found.pw_gid).gr_name
            return cls(number, found.pw_name, group, os.getgrouplist(found.pw_name, found.pw_gid))
        except KeyError:
            return cls(number, str(number), "GROUP", ())

    def may(self, path: Path, wanted: int) -> bool:
        """Whether he may do something with what is there: bits as of others. What says so in another way is believed.

        Raises:
            OSError: It can not be looked at.
        """
        found = path.stat()
        with suppress(OSError):  # a file system may have no such thing
            if "system.posix_acl_access" in os.listxattr(path):
                return True
        shift = 6 if found.st_uid == self.number else 3 if found.st_gid in self.groups else 0
        return found.st_mode >> shift & wanted == wanted


def unreadable(main: Path, settings: Settings, do: Callable[[Blocking], Any]) -> list[str]:
    """What is said of files that the gateway reads, and its own user can not; nothing where he is not known.

    He is taken to be the one whose the state folder is. Where HAProxy is to be begun, his unit lets him read everything
    (CAP_DAC_OVERRIDE).

    Args:
        main: The main file.
        settings: What is written; its paths are not relative.
        do: Makes the calls that may block.
    """
    if not is_root() or settings.webproxy.enabled:
        return []
    lines = list[str]()
    try:
        owner = answered(do, settings.state, lambda: stranger(settings.state))
    except PlatformError:
        return []  # which is told elsewhere
    if owner is not None:
        every = closed(User.of(owner), main, settings)
        attempt(lines, lambda: lines.extend(answered(do, main, lambda: list(every))), f"{main}: ")
    return lines


def closed(user: User, main: Path, settings: Settings) -> Iterator[str]:
    """A line for all that a user can not read in the same folder, or for the folder that he can not look into."""
    known, found, shut = dict[Path, bool](), dict[tuple[Path, int], list[Path]](), set[Path]()
    for path, wanted in _read(main, settings):
        if path.parent not in shut and (met := _first(user, path, wanted, known)) is not None:
            shut.add(path)
            where, bits = met
            found.setdefault((where.parent, bits), []).append(where)
    for (_, bits), paths in found.items():
        every = list(dict.fromkeys(paths))
        more, (word, mode) = f" and {len(every) - 1} more there" if len(every) > 1 else "", _WORDS[bits]
        yield (
            f"{every[0]}{more} can not be {word} by user {user.name}, whose {settings.state} is: if the gateway runs as"
            f" that, chgrp {user.group} and chmod {mode}"
        )


def _first(user: User, path: Path, wanted: int, known: dict[Path, bool]) -> tuple[Path, int] | None:
    """What keeps a user from a file or folder: it, or the first folder on the way, and what he had to be able to."""
    for each in (*reversed(path.absolute().parents), *reversed(path.resolve().parents)):
        if each not in known:
            known[each] = _may(user, each, _PASS)
        if not known[each]:
            return each, _PASS
    return None if _may(user, path, wanted) else (path, wanted)


def _may(user: User, path: Path, wanted: int) -> bool:
    try:
        return user.may(path, wanted)
    except OSError:
        return True  # what is not there, or can not be looked at, is told elsewhere


def _read(main: Path, settings: Settings) -> Iterator[tuple[Path, int]]:
    """Files and folders that a start reads, with what has to be allowed there."""
    yield main, _LOOK
    own = [Path(main.parent, each) for each in settings.drop_ins]
    of_kinds = {kind: [each / kind for each in own] for kind in _LISTS}
    of_kinds[layers.POLICIES] += map(Path, settings.policies)
    for folders in (*of_kinds.values(), list(map(Path, settings.subscribers))):
        yield from ((each, _LOOK | _PASS) for each in folders)
        yield from ((each, _LOOK) for each in layers.files(folders, Problems(str(main))))
    yield from ((Path(each), _LOOK) for each in _named(settings))


def _named(value: Any) -> Iterator[PurePath]:
    """The files that settings name for what is in them: keys, tokens, certificates, lists."""
    for field in attrs.fields(type(value)):
        each = getattr(value, field.name)
        if isinstance(each, PurePath):
            if field.name.endswith("_file") or isinstance(value, NameList | PrefixList):
                yield each
        elif isinstance(each, tuple):
            for one in each:
                if attrs.has(type(one)):
                    yield from _named(one)
        elif attrs.has(type(each)):
            yield from _named(each)
