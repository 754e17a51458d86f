"""From the command line of `twistd realmgw` to its services. Edge: files, the clock, the collector, the log."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from twisted.application.service import IService
from twisted.logger import Logger

from realmgw import config
from realmgw.config.haproxy import with_user
from realmgw.config.readers import Readers
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, now
from realmgw.control.examination import around, refuse
from realmgw.control.running import Running
from realmgw.daemon.service import refusing
from realmgw.datapath.dualstack import served
from realmgw.errors import PlatformError
from realmgw.subscribers.files.folders import Folders
from realmgw.subscribers.reach import NOWHERE, Around
from realmgw.tap.composition import compose
from realmgw.tap.kept import last_good_of
from realmgw.tap.options import Options

HASTE = 0.25  # seconds
"""So long a start waits for a file system whose files the gateway can begin without."""

_log = Logger()


@refusing("realmgw")
def make_service(options: Options) -> IService:
    """Make the gateway of a configuration file.

    Args:
        options: The parsed command line.

    Returns:
        All services in their order; nothing is started, bound or changed yet.

    Raises:
        SystemExit: Neither the main file nor the last good one can be used, or the machine lacks something; the
            message has every problem.
    """
    path, do = Path(options["config"]), Readers().wait
    loaded = config.load_or_last_good(path, do=do)
    options.log.configure(loaded.settings.logging)
    for line in refuse(loaded.settings, do, Readers(HASTE).wait).wrong:
        _log.warn("{line}", line=line)
    if loaded.from_last_good:
        _log.critical("the configuration can not be used: this is the last good one. Problems:")
    for problem in loaded.problems:
        _log.critical("{problem}", problem=problem)
    running = read(path, with_user(served(loaded.settings)), around(loaded.settings), do)
    running.problems = loaded.problems
    return compose(running, options, config.secrets(loaded.settings))


def read(path: Path, settings: Settings, around: Around = NOWHERE, do: Callable[[Blocking], Any] = now) -> Running:
    """Read the subscribers; those of files that can not be used, as they were when they were good last.

    Args:
        path: The main file.
        settings: What it says.
        around: What is around the gateway.
        do: Makes the calls that may block.
    """
    last_good = last_good_of(path, settings)
    try:
        kept = do(Blocking(str(settings.state), last_good.sources))
    except (PlatformError, OSError) as error:
        _log.warn("what subscriber files said last is not known: {error}", error=error)
        kept = {}
    running = Running(path, settings, Folders(time.time, monotonic, last_good.text), around=around)
    gc.disable()  # it would walk through the growing directory again and again
    try:
        running.begin(kept, do)
    finally:
        gc.freeze()  # what was read stays
        gc.enable()
    running.folders.settle()
    for problem in running.registry.problems:
        _log.warn("subscribers: {problem}", problem=problem)
    return running
