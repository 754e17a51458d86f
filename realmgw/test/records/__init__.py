"""Tests for `realmgw.records`."""
