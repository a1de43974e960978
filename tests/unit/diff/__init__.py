"""Tests of akjob.diff."""
