"""Tests for `realmgw.datapath.netlink`."""
