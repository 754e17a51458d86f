"""Tests of the page for guests."""
