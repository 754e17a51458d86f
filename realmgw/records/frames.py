"""What a gateway tells its recorder (`realmgw.daemon.frames`). Pure."""

CHANNEL = 3
"""Which of the recorder's files is the socket at which conntrack tells of ends."""
HOSTS, OPENED = "hosts", "opened"
"""Kinds of news, behind the first, which says what to do and who is around."""
