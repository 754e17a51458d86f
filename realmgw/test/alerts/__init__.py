"""Tests for `realmgw.alerts`."""
