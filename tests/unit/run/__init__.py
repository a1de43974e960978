"""Tests of the run room that need no process."""
