"""The `realmgw` command: a process of its own, which asks a running gateway, or does without one."""
