"""The tests of realmgw: they mirror the rooms one to one."""
