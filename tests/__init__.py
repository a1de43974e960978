"""The tests of akjob."""
