"""Subscribers in drop-in folders: what changed is read again, and what was good last is kept."""
