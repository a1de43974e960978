"""The tests of akjob.schedule."""
