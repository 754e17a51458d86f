"""Tests for `realmgw.subscribers.files`."""
