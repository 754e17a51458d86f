"""Tests for `realmgw.system.worker`."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from realmgw.system.worker import WorkerThread


class WorkerThreadTests(TestCase):
    """`WorkerThread`: the worker of a running gateway."""

    @inlineCallbacks
    def test_calls_are_made_in_one_thread_that_is_not_the_reactors(self) -> Generator[Deferred[Any], Any, None]:
        """A network namespace, a netlink socket and libnftables belong to a thread."""
        worker = WorkerThread(cast(IReactorFromThreads, reactor), "realmgw-test")
        before = worker.call(threading.get_ident)
        worker.start()
        threads = [(yield before), (yield worker.call(threading.get_ident)), (yield worker.call(threading.get_ident))]
        worker.stop()
        self.assertEqual(len(set(threads)), 1)
        self.assertNotIn(threading.get_ident(), threads)
