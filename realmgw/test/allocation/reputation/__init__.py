"""Tests for `realmgw.allocation.reputation`."""
