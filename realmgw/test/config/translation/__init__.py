"""Tests for `realmgw.config.translation`."""
