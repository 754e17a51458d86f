"""The tests of realmgw: they mirror the rooms one to one."""

from __future__ import annotations

import contextlib

with contextlib.suppress(ImportError):  # some tests do without
    from hypothesis import settings

    # A machine may be busy: how long an example takes says nothing. Everything else stays as it is.
    settings.register_profile("realmgw", settings(deadline=None))
    settings.load_profile("realmgw")
