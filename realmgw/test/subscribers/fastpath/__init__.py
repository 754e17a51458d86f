"""Tests for `realmgw.subscribers.fastpath`."""
