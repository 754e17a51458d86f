"""JSON merge patches (RFC 7396)."""

from __future__ import annotations


def merged(target: object, patch: object) -> object:
    """The target after a merge patch; neither of them is changed.

    Args:
        target: A JSON value.
        patch: Members with null are removed, objects are merged, everything else replaces what there is.
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
