"""Tests for `realmgw.subscribers.remote`."""
