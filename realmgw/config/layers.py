"""Drop-ins: files whose keys are laid over those of the main file.

In each layer there may be folders: `zones.d` (files of zones), `policies.d` (files of policies) and `realmgw.d` (files
of any keys of the main file). All files of one kind are taken in the order of their names. A file in a later layer
replaces those of its name in earlier ones; an empty one, or a link to /dev/null, only takes them away.

Edge: folders.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from collections.abc import Mapping as AbstractMapping
from pathlib import Path, PurePath

from realmgw.config.document import Mapping, Node, Problems, Scalar, Sequence
from realmgw.config.steps import Steps
from realmgw.config.validators import Section, Validator, is_null, shape

ZONES, POLICIES, SUBSCRIBERS, FRAGMENTS = "zones.d", "policies.d", "subscribers.d", "realmgw.d"
"""The folders of a layer."""
MOST_FOLDERS = 1000
"""So many folders of one kind a main file may name."""
SUFFIX = ".yaml"
"""Of every file that counts."""


def files(
    folders: Iterable[Path],
    problems: Problems,
    suffix: str = SUFFIX,
    named: AbstractMapping[Path, Node] | None = None,
    needed: Container[Path] = (),
) -> list[Path]:
    """The files of some folders that count, in their order; a folder that is not there has none, and each is read once.

    Args:
        folders: Those of later layers last.
        problems: Gets what the operating system refuses.
        suffix: Of those that count.
        named: Where folders, or those around them, are named in the main file; None: nowhere.
        needed: Folders that have to be there.
    """
    places = named or {}
    by_name: dict[str, Path] = {}
    for folder in reversed(dict.fromkeys(reversed(tuple(folders)))):  # one that is named twice has its later place
        by_name.update((path.name, path) for path in _content(folder, problems, places, needed) if counts(path, suffix))
    return [by_name[name] for name in sorted(by_name) if not is_mask(by_name[name])]


def _content(
    folder: Path, problems: Problems, named: AbstractMapping[Path, Node], needed: Container[Path]
) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        if folder in needed or not isinstance(error, FileNotFoundError):
            place = named.get(folder) or named.get(folder.parent)
            problems.add(place, f"the folder {folder} can not be read: {error.strerror}")
        return []


def counts(path: PurePath, suffix: str = SUFFIX) -> bool:
    """Whether a file is one of those that count: editors leave others behind."""
    return path.suffix == suffix and not path.name.startswith(".")


def is_mask(path: Path) -> bool:
    """Whether a file is a link to /dev/null."""
    return path.is_symlink() and path.is_char_device()


def paths(root: Node, key: str, default: Iterable[PurePath]) -> list[PurePath]:
    """A list of paths of the main file that is needed before the rest of it is understood.

    What is wrong with it is told later, by the schema.
    """
    if not isinstance(root, Mapping) or key not in root.pairs:
        return list(default)
    return [PurePath(item.text) for item in written(root, key) if isinstance(item, Scalar) and not is_null(item)]


def written(root: Node, key: str) -> list[Node]:
    """The paths of a list of the main file as nodes, in the same way."""
    node = root.pairs.get(key, (None, None))[1] if isinstance(root, Mapping) else None
    return node.items[:MOST_FOLDERS] if isinstance(node, Sequence) else []


def single(root: Node, key: str) -> PurePath | None:
    """A path of the main file, in the same way; None when there is none."""
    node = root.pairs.get(key, (None, None))[1] if isinstance(root, Mapping) else None
    return PurePath(node.text) if isinstance(node, Scalar) and not is_null(node) else None


def under(key: str, node: Node) -> Mapping:
    """A document that has a node as its only value."""
    word = Scalar(node.line, node.column, key, True, node.source)
    return Mapping(node.line, node.column, {key: (word, node)}, node.source)


def merged(base: Node, over: Node, problems: Problems, validator: Validator[object] | None = None) -> Steps[Node]:
    """The document with another one laid over it.

    Mappings are merged key by key, at every depth. A single value or a list takes the place of what was there; so does
    a mapping that takes the place of something else. A mapping whose value is left empty changes nothing. A key is the
    same by its former name, in sections of the document and in those that stand in them.

    Args:
        base: Is not changed.
        over: Has precedence.
        problems: Gets what can not be laid over a document.
        validator: What the document must be, as far as it is known.
    """
    if is_null(over):
        return base
    if not isinstance(over, Mapping):
        problems.add(over, f"{shape(over)} stands here: write a mapping, {{key: value}}")
        return base
    return (yield from _laid_over(base, over, validator))


def _laid_over(base: Node | None, over: Node, validator: Validator[object] | None) -> Steps[Node]:
    if not isinstance(over, Mapping):
        return over if base is None or not is_null(over) else base
    if not isinstance(base, Mapping):
        return over
    pairs, keys = dict(base.pairs), validator.keys if isinstance(validator, Section) else {}
    names = _other_names(validator) if isinstance(validator, Section) else {}
    for word, (key, value) in over.pairs.items():
        other = names.get(word, word)
        former = pairs.get(word) if other in over.pairs else pairs.pop(other, pairs.get(word))
        below = keys.get(word) or keys.get(other)
        said = former[1] if former else None
        pairs[word] = key, (yield from _laid_over(said, value, below.validator if below else None))
        yield None
    return Mapping(base.line, base.column, pairs, base.source)


def _other_names(section: Section[object]) -> dict[str, str]:
    """The former name of each key that has one, and the other way round."""
    return {**section.former, **{word: former for former, word in section.former.items()}}


def all_of(root: Node, fragments: list[Node], problems: Problems, validator: Validator[object]) -> Steps[Node]:
    """A document with many laid over it, one after the other; nothing is left in the list of these."""
    fragments.reverse()
    while fragments:
        root = yield from merged(root, fragments.pop(), problems, validator)
    return root
