"""Folders of existing deployments in our own words: subscribers in the plain style, policies in those of `policy`.

Such folders can be used as they are; whoever wants to go on in our style has them translated once. Comments are lost.

Edge: folders and files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from realmgw.config import layers, policy_schema
from realmgw.config.document import Mapping, Node, Problems
from realmgw.config.files import read, reading_rules
from realmgw.config.steps import finish
from realmgw.config.translation import translating
from realmgw.config.writing import Value, fields, text
from realmgw.errors import PlatformError
from realmgw.subscribers.files.listing import MAX_FILE
from realmgw.subscribers.schema import entries
from realmgw.subscribers.tools.writing import written
from realmgw.system import disk

PIPELINE = "pipeline.yaml"
"""The policy file with what was translated of rules for other programs."""
SUBSCRIBERS, POLICIES = "*subscriber.d", "*policy.d"
"""What the folders in a deployment's folder are called."""


@attrs.frozen
class Migration:
    """What a deployment's folder is in our words."""

    files: dict[Path, str]
    """By their places below the main file's folder: `subscribers.d/...`, `policies.d/...`."""
    notes: tuple[str, ...] = ()
    """What is not in them, since it has no translation: with its place, and what to write instead."""
    problems: tuple[str, ...] = ()
    """What can not be used; the files that it is in are left out."""


def migration(folder: Path) -> Migration:
    """Translates a folder; nothing is written.

    Args:
        folder: Has files of subscribers and policies, or folders of them named `*subscriber.d` and `*policy.d`.
    """
    problems = Problems(str(folder))
    translated = _Translated()
    paths = list(_paths(folder, problems))
    if not paths and not problems.found:
        problems.add(None, "there are no *.yaml files: write the folder of subscribers or policies, or the one above")
    for path in paths:
        own = Problems(str(path))
        root = read(path, MAX_FILE, own, unread=policy_schema.UNREAD)
        if root is not None:
            translated.add(path, root, own)
        problems.include(own)
    translated.add_rules(problems)
    return Migration(translated.files, tuple(problems.outdated), problems.lines())


def _paths(folder: Path, problems: Problems) -> Iterator[Path]:
    """The files of one deployment."""
    folders = [folder]
    for pattern in (SUBSCRIBERS, POLICIES):
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            names = ", ".join(each.name for each in found)
            problems.add(None, f"there are several gateways: translate one after the other ({names})")
        folders += found[:1]
    yield from layers.files(folders, problems)


class _Translated:
    """What has been translated."""

    def __init__(self) -> None:
        self.files: dict[Path, str] = {}
        self._rules: list[Path] = []

    def add(self, path: Path, root: Node, problems: Problems) -> None:
        """Translates a file, by what is in it."""
        if isinstance(root, Mapping) and any(word in root.pairs for word in policy_schema.ESTABLISHED):
            self._add_policy(path, root, problems)
        else:
            found = entries(root, problems)
            if not problems.found:
                self.files[Path(layers.SUBSCRIBERS, path.name)] = written(found)

    def _add_policy(self, path: Path, root: Mapping, problems: Problems) -> None:
        if policy_schema.has_rules(root):
            self._rules.append(path)
        said = policy_schema.fragment(root, problems)
        policy = None if said is None else policy_schema.POLICY(said, problems)
        if said is None or policy is None or problems.found or not said.pairs:
            return
        values = {word: value for word, value in fields(policy).items() if word in said.pairs}
        self.files[Path(layers.POLICIES, path.name)] = text(values)

    def add_rules(self, problems: Problems) -> None:
        """Translates the rules for other programs, of all files together."""
        roots = [
            root
            for path in self._rules
            for root in finish(reading_rules(disk.read(path, MAX_FILE), str(path), problems))
        ]
        before = len(problems.found)
        said = finish(translating(roots, problems))
        policy = None if said is None else policy_schema.POLICY(layers.under("pipeline", said), problems)
        if said is not None and policy is not None and len(problems.found) == before:
            every = fields(policy.pipeline)
            self.files[Path(layers.POLICIES, PIPELINE)] = text({"pipeline": _said(every, said)})


def _said(values: dict[str, Value], said: Mapping) -> dict[str, Value]:
    """What is written of some values; what stands in a list is whole."""
    found = {word: each for word, each in values.items() if word in said.pairs}
    for word, each in found.items():
        below = said.pairs[word][1]
        if isinstance(each, dict) and isinstance(below, Mapping):
            found[word] = _said(each, below)
    return found


def write(found: Migration, folder: Path) -> tuple[Path, ...]:
    """Writes what was translated; files that are there already are never touched.

    Args:
        found: As `migration` returned it.
        folder: The main file's.

    Returns:
        The files.

    Raises:
        PlatformError: One of them is there already, and nothing was written; or one can not be written.
    """
    paths = {folder / place: content for place, content in found.files.items()}
    _refuse_existing(paths)
    try:
        for path, content in paths.items():
            disk.create(path, [content.encode()])
    except FileExistsError as error:
        _refuse_existing([Path(error.filename)])
    return tuple(paths)


def _refuse_existing(paths: Iterable[Path]) -> None:
    existing = [str(path) for path in paths if path.exists()]
    if existing:
        raise PlatformError(f"{existing[0]} is there already: write another folder, or move it away")
