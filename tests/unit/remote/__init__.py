"""Tests of what carries runs to nodes."""
