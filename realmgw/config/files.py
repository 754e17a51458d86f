"""From files to settings: the only part of this room that reads the file system. Edge: files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TypeVar

import attrs

from realmgw.config import consistency, layers, policy_schema, prefixlists, translation
from realmgw.config.document import Mapping, Node, Problems, Scalar, discarding, parse, parsing
from realmgw.config.pipeline import PrefixList
from realmgw.config.places import node, placing
from realmgw.config.schema import GATEWAY
from realmgw.config.settings import Interfaces, NameList, Network, Pools, Settings
from realmgw.config.steps import Blocking, Steps, finish, now
from realmgw.config.validators import reading
from realmgw.errors import ConfigurationError
from realmgw.system import disk

MAX_MAIN_FILE = 2**20  # octets
"""The longest main file, and the longest of every other that is laid over it."""

_Text = tuple[Path, bytes | None, Problems]
"""A file, its text, and what is wrong with reading it."""
T = TypeVar("T")


def load(path: Path, do: Callable[[Blocking], Any] = now) -> Settings:
    """Reads the main file and its drop-ins. Subscriber files are read by `realmgw.subscribers.files.folders`.

    Args:
        path: The file; relative paths in it start at its folder.
        do: Makes the calls that may block.

    Raises:
        ConfigurationError: They cannot be used; every problem is in it.
    """
    return finish(loading(path), do)


def loading(path: Path) -> Steps[Settings]:
    """`load` in steps."""
    found = yield from _loading_partly(path)
    if found.settings is None or found.problems:
        raise ConfigurationError(found.problems)
    return found.settings


@attrs.frozen
class Partly:
    """A main file as far as it can be used."""

    settings: Settings | None
    """All that is good; what is not, or is missing, has a default. None: the zones are not good."""
    problems: tuple[str, ...] = ()
    """Everything that is wrong; empty: the settings are what is written."""
    left_out: tuple[str, ...] = ()
    """The keys of the main file that could not be used."""


def load_partly(path: Path, do: Callable[[Blocking], Any] = now) -> Partly:
    """Reads the main file and its drop-ins, for somebody who wants to look at what stands there besides its problems.

    Args:
        path: As in `load`.
        do: The same.
    """
    return finish(_loading_partly(path), do)


def _loading_partly(path: Path) -> Steps[Partly]:
    problems = Problems(str(path))
    said = yield from _read(path, partial(text, path, MAX_MAIN_FILE, problems), problems, None)
    root = None if said is None else (yield from parsing(said, problems))
    places, written_at = _places(path, root), dict[str, str]()
    if isinstance(root, Mapping):
        root = yield from layers.all_of(root, (yield from _fragments(places, problems)), problems, GATEWAY)
    if isinstance(root, Mapping):
        written_at = yield from placing(root, str(path))
    settings = None if root is None else (yield from reading(GATEWAY, root, problems))
    yield from consistency.checking(problems)
    if root is None and not problems.found:
        problems.add(None, f"the file is empty: write {', '.join(key for key in GATEWAY.keys)}")
    left_out: tuple[str, ...] = ()
    if settings is None and isinstance(root, Mapping):
        settings, left_out = yield from _good_of(root)
    yield from discarding(root, problems)
    if settings is not None:
        settings = attrs.evolve(located(settings, path.parent), places=written_at)
        settings = yield from filling(settings, problems)
        named = settings.subscribers
        folders = yield from _read(path, partial(_subscribers, places, named), problems, named)
        settings = attrs.evolve(settings, subscribers=folders, outdated=tuple(problems.outdated))
    return Partly(settings, problems.lines(), left_out)


def filling(settings: Settings, problems: Problems) -> Steps[Settings]:
    """Reads the lists of prefixes that are in files of their own.

    Args:
        settings: Their paths are not relative.
        problems: Gets what is wrong with a file, by its own name.

    Returns:
        The settings with all lists filled.
    """
    pipeline, count = settings.policy.pipeline, 0
    for where, each in pipeline.lists():
        key = node(settings.places, f"policy.pipeline.{where}.file")
        listed = yield from prefixlists.ordering([*each.prefixes, *(yield from _prefixes(where, each, key, problems))])
        count += listed.count
        pipeline = pipeline.filled(where, attrs.evolve(each, listed=listed))
    if count > prefixlists.MOST_PREFIXES:
        most = prefixlists.MOST_PREFIXES
        place = node(settings.places, "policy.pipeline")
        problems.add(place, f"the lists of policy.pipeline have {count} prefixes together: write at most {most}")
    return attrs.evolve(settings, policy=attrs.evolve(settings.policy, pipeline=pipeline))


def _prefixes(where: str, said: PrefixList, key: Scalar | None, problems: Problems) -> Steps[list[Network]]:
    """What stands in the file of a list, if there is one; that it can not be read is told at the key that names it."""
    if said.file is None:
        return []
    own = Problems(str(said.file))
    try:
        content = yield Blocking(str(said.file), partial(disk.read, Path(said.file), prefixlists.LONGEST))
    except OSError as error:
        (own if key is None else problems).add(
            key, f"policy.pipeline.{where}: {said.file} can not be read: {error.strerror}"
        )
        content = None
    found = [] if content is None else (yield from prefixlists.reading(content, own))
    problems.include(own)
    return found


def _read(main: Path, call: Callable[[], T], problems: Problems, otherwise: T) -> Steps[T]:
    """What a call returns that reads files; something else where they do not answer, and a problem says so.

    All that belongs to a main file is one place: what does not answer keeps all of it from being read.
    """
    try:
        result: T = yield Blocking(str(main), call)
    except OSError as error:
        problems.add(None, f"can not be read: {error.strerror}")
        return otherwise
    return result


def _good_of(root: Mapping) -> Steps[tuple[Settings | None, tuple[str, ...]]]:
    """What of a main file can be used, key by key; and the keys that can not."""
    good: dict[str, Any] = {"name": "gateway.invalid.", "interfaces": Interfaces("", ()), "pools": Pools(())}
    left_out = []
    for word, (_, value) in root.pairs.items():
        own, key = Problems(""), GATEWAY.keys.get(word)
        found = None if key is None else (yield from reading(key.validator, value, own))
        yield None
        if found is None or own.found:
            left_out.append(word)
        else:
            good[word] = found
    return (Settings(**good) if "zones" in good else None), tuple(left_out)


def refuse_unreadable(path: Path) -> None:
    """Refuse a main file of which not even the text can be read.

    Raises:
        ConfigurationError: Why.
    """
    problems = Problems(str(path))
    text(path, MAX_MAIN_FILE, problems)
    if problems.found:
        raise ConfigurationError(problems.lines())


@attrs.frozen
class _Places:
    """Where drop-ins are looked for."""

    main: Path
    """The main file."""
    layers: list[Path]
    """Folders with folders of drop-ins."""
    policies: list[Path]
    """Further folders of policy files."""
    named: dict[Path, Node] = attrs.Factory(dict)
    """Where these are named, if they are."""

    @property
    def needed(self) -> frozenset[Path]:
        """Those folders of policy files that would not be looked for, were they not named."""
        return frozenset(self.policies).difference(layer / layers.POLICIES for layer in self.layers)


def _places(main: Path, root: Node | None) -> _Places:
    """Taken from the main file alone: a drop-in can not say where drop-ins are."""
    folder = main.parent
    default: tuple[PurePath, ...] = attrs.fields(Settings).drop_ins.default or ()
    if root is None:
        return _Places(main, [], [])
    items = (item for word in ("drop_ins", "policies") for item in layers.written(root, word))
    return _Places(
        main,
        [folder / layer for layer in layers.paths(root, "drop_ins", default)],
        [folder / layer for layer in layers.paths(root, "policies", ())],
        {folder / item.text: item for item in items if isinstance(item, Scalar)},
    )


def _fragments(places: _Places, problems: Problems) -> Steps[list[Node]]:
    """The drop-ins as parts of a main file, in the order in which they are laid over it."""
    zones = yield from _documents(places, [layer / layers.ZONES for layer in places.layers], problems)
    found: list[Node] = [layers.under("zones", root) for root in zones]
    folders = [*(layer / layers.POLICIES for layer in places.layers), *places.policies]
    theirs: list[Node] = []
    policies = yield from _documents(places, folders, problems, theirs)
    translated = yield from translation.translating(theirs, problems)
    if translated is not None:  # what is written in our words is laid over it
        found.append(layers.under("policy", layers.under("pipeline", translated)))
    for root in policies:
        policy = policy_schema.fragment(root, problems)
        if policy is not None:
            found.append(layers.under("policy", policy))
    for root in (yield from _documents(places, [layer / layers.FRAGMENTS for layer in places.layers], problems)):
        _refuse_places(root, problems)
        found.append(root)
    return found


def _documents(
    places: _Places, folders: Iterable[Path], problems: Problems, theirs: list[Node] | None = None
) -> Steps[list[Node]]:
    """What the files of some folders say, without the empty ones.

    Args:
        places: Where drop-ins are.
        folders: Them.
        problems: Gets what is wrong.
        theirs: Of policy files: gets those that have rules for other programs, which are left out of what is returned.
    """
    unread = () if theirs is None else policy_schema.UNREAD
    found = []
    none: list[_Text] = []
    texts = partial(_texts, folders, problems, places)
    for path, content, own in (yield from _read(places.main, texts, problems, none)):
        if problems.are_many(1, str(path)):
            break
        root = None if content is None else (yield from parsing(content, own, source=str(path), unread=unread))
        problems.include(own)
        if root is not None:
            found.append(root)
        if theirs is not None and content is not None and policy_schema.has_rules(root):
            theirs += yield from reading_rules(content, str(path), problems)
    return found


def reading_rules(content: bytes, source: str, problems: Problems) -> Steps[list[Node]]:
    """What a policy file says to other programs, as these read it.

    Args:
        content: The file's.
        source: Its name.
        problems: Gets what can not be read, as what has no translation.

    Returns:
        It; nothing, where it can not be read.
    """
    own = Problems(source)
    root = yield from parsing(content, own, source=source, last_counts=True)
    for line, column, text in own.found:
        problems.outdate(Scalar(line, column, "", True, source), f"not translated, and not in force: {text}")
    return [] if root is None or own.found else [root]


def _texts(folders: Iterable[Path], problems: Problems, places: _Places) -> list[_Text]:
    """The files of some folders, each with its text and what is wrong with reading it."""
    found = layers.files(folders, problems, named=places.named, needed=places.needed)
    own = ((path, Problems(str(path))) for path in found)
    return [(path, text(path, MAX_MAIN_FILE, each), each) for path, each in own]


def _refuse_places(root: Node, problems: Problems) -> None:
    for word in ("drop_ins", "policies"):
        if isinstance(root, Mapping) and word in root.pairs:
            problems.add(root.pairs[word][0], f"{word!r} says where files like this one are: write it in the main file")


def _subscribers(places: _Places, named: Iterable[PurePath]) -> tuple[PurePath, ...]:
    """The layers' folders of subscribers, where there are some, and then those that are named."""
    named = list(named)
    found = [each for layer in places.layers if (each := layer / layers.SUBSCRIBERS).is_dir()]
    return tuple(dict.fromkeys([*(each for each in found if each not in named), *named]))


def located(settings: T, folder: PurePath) -> T:
    """The settings with every path that is relative starting at a folder."""
    found: T = _located(settings, folder)
    return found


def _located(value: Any, folder: PurePath) -> Any:
    if isinstance(value, PurePath):
        return folder / value
    if isinstance(value, tuple):
        is_placed = bool(value) and isinstance(value[0], PurePath | NameList)
        return tuple(_located(each, folder) for each in value) if is_placed else value
    if not attrs.has(type(value)):
        return value
    parts = {field.name: getattr(value, field.name) for field in attrs.fields(type(value)) if field.init}
    return attrs.evolve(value, **{word: _located(each, folder) for word, each in parts.items()})


def read(
    path: Path, limit: int, problems: Problems, *, source: str | None = None, unread: Collection[str] = ()
) -> Node | None:
    """Reads and parses a YAML file.

    Args:
        path: The file.
        limit: How many octets it may have; no more of it is read.
        problems: Gets what is wrong, the operating system's refusals included.
        source: The nodes' `source`.
        unread: Keys whose values are for other programs, see `document.parse`.

    Returns:
        The document; None when it is empty, or when it can not be used and a problem says so.
    """
    found = text(path, limit, problems)
    return None if found is None else parse(found, problems, source=source, unread=unread)


def text(path: Path, limit: int, problems: Problems) -> bytes | None:
    """Reads a file; None when that is not possible, and a problem says so. The arguments are those of `read`."""
    try:
        return disk.read(path, limit)
    except FileNotFoundError:
        problems.add(None, "there is no such file")
    except OSError as error:
        problems.add(None, f"can not be read: {error.strerror}")
    return None
