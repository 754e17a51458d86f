"""JSON merge patches (RFC 7396)."""

from __future__ import annotations

from realmgw.config.document import MAX_DEPTH
from realmgw.errors import MalformedError


def merged(target: object, patch: object, depth: int = MAX_DEPTH) -> object:
    """The target after a merge patch; neither of them is changed.

    Args:
        target: A JSON value.
        patch: Members with null are removed, objects are merged, everything else replaces what there is.
        depth: How deep objects in the patch may be nested.

    Raises:
        MalformedError: They are nested deeper than any document may be.
    """
    if not isinstance(patch, dict):
        return patch
    if depth == 0:
        raise MalformedError(f"nested more than {MAX_DEPTH} deep: no document needs that")
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value, depth - 1)
    return result
