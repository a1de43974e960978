"""Tests of the plug-in and of what tests of job files use."""
