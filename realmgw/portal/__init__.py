"""The page for guests: LAN hosts that are no subscribers, whose HTTP comes here."""
