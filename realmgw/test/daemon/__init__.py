"""Tests of `realmgw.daemon`."""
