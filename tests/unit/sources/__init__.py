"""Tests of what makes jobs due besides the calendar."""
