"""Tests of akjob.jobset."""
