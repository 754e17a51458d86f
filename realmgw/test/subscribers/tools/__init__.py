"""Tests for `realmgw.subscribers.tools`."""
