"""Tests for `realmgw.dashboard`."""
