"""Tests for `realmgw.datapath.capture`."""
