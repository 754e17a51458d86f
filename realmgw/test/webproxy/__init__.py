"""Tests for the room of the reverse proxy."""
