"""Tests for `realmgw.config.consistency`."""
