"""Tests of what monitoring systems are told."""
