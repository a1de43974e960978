"""Tests of what a key is."""
