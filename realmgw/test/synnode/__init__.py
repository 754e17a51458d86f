"""Tests for `realmgw.synnode`."""
