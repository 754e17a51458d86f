"""Tests for the SYN proxies' room."""
