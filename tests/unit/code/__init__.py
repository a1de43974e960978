"""Unit tests of the room ``code``."""
