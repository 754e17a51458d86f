"""What is kept on disk, and who listens to what others keep for it. Edge: files, threads, the clock, chance."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path
from time import monotonic

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw import config
from realmgw.allocation.reputation.disk import ReputationFile
from realmgw.allocation.reputation.records import Book
from realmgw.allocation.service import ReputationService
from realmgw.config.readers import Readers
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.control.apply import Reloader
from realmgw.control.running import Running
from realmgw.control.service import RepositoryService
from realmgw.subscribers.files.disk import LastGood
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.service import LeaseService
from realmgw.subscribers.remote.client import rest_repository
from realmgw.subscribers.service import KEEP_TIME, LastGoodService
from realmgw.system.disk import Hold
from realmgw.system.worker import WorkerThread
from realmgw.tap.context import Context

ROWS = 2
"""So many times `allocation.max_groups` reputations are kept: groups, and the clients that they named."""

_log = Logger()


def last_good_of(path: Path, settings: Settings) -> LastGood:
    """Where it is kept what subscriber files said when they were good last."""
    return LastGood(config.state_file(path, settings.state, "subscribers").with_suffix(".sqlite"))


def subscribers(context: Context) -> LastGoodService:
    """Keeps what is in force of subscriber files for the next start."""
    running, reader = context.running, Readers(KEEP_TIME)
    last_good = last_good_of(running.path, running.settings)
    return LastGoodService(
        lambda: running.registry.units,
        lambda force: reader.call(
            Blocking(str(running.settings.state), partial(last_good.keep, force)), context.reactor
        ),
        context.telling("last good subscribers"),
        context.reactor,
    )


def held(running: Running) -> Hold:
    """What says that this gateway has what is kept of it, whatever namespace it is in."""
    path = config.state_file(running.path, running.settings.state, "held")
    return Hold(path, f"what is kept of {running.path} in {running.settings.state}")


def web_proxy(running: Running) -> Path:
    """What the paths of the web proxy's files begin with."""
    return config.state_file(running.path, running.settings.state, "webproxy")


def flow_records(running: Running) -> Path:
    """The file of records of flows, where the settings name none."""
    return config.state_file(running.path, running.settings.state, "flows").with_suffix(".jsonl")


def reputations(context: Context, book: Book) -> ReputationService:
    """Keeps what the book has; the disk has a thread of its own, so that the kernel need not wait for it."""
    settings, reactor = context.settings, context.reactor
    path = config.state_file(context.running.path, settings.state, "reputation").with_suffix(".sqlite")
    file = ReputationFile(path, time.time, ROWS * settings.allocation.max_groups)
    return ReputationService(book, file, WorkerThread(reactor, "realmgw-disk"), reactor, monotonic)


def resize(service: ReputationService, settings: Settings) -> None:
    """From now on, as many are kept as these settings say."""
    service.configure(ROWS * settings.allocation.max_groups)


def leases(context: Context) -> LeaseService:
    """What is registered by dynamic update; in force, as far as it is known, before anything starts."""
    running, reactor = context.running, context.reactor
    path = config.state_file(running.path, running.settings.state, "leases").with_suffix(".sqlite")
    thread = WorkerThread(reactor, "realmgw-leases")
    service = LeaseService(running, Journal(path, time.time), thread, reactor, time.time, context.telling("leases"))
    service.restore(Readers(KEEP_TIME).wait)
    return service


def repositories(context: Context, reloader: Reloader) -> list[RepositoryService]:
    """What listens to the policy database, if there is one."""
    settings = context.settings
    url = settings.repository.url
    if url is None:
        return []
    repository = rest_repository(
        settings.repository, Path(settings.state), context.reactor, random.random, context.telling("repository")
    )
    context.running.believe = repository.accept
    return [RepositoryService(repository, partial(reloader.tell, url))]


def keep(context: Context, settings: Settings) -> Deferred[None]:
    """Keep settings as the last good ones; the disk may take its time."""
    return context.kernel_thread.call(config.keep, context.running.path, settings)


def keep_first(context: Context) -> None:
    """Keep the settings that came to run, if they are the written ones: the next start may want them."""
    if not context.running.problems:
        keep(context, context.settings).addErrback(_not_kept)


def _not_kept(failure: Failure) -> None:
    _log.warn("not kept for the next start: {why}", why=failure.getErrorMessage())
