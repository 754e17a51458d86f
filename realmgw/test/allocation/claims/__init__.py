"""Tests for `realmgw.allocation.claims`."""
