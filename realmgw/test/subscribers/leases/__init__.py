"""Tests for `realmgw.subscribers.leases`."""
