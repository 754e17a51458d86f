"""Tests for `realmgw.allocation.pool`."""
