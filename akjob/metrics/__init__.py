"""Metrics for Prometheus: what the ledger counts, what the jobs are, and how akjobd is, as text."""

from akjob.metrics.exposition import render
from akjob.metrics.facts import MetricFacts, gather
from akjob.metrics.jobs import Selection, render_jobs

__all__ = ["MetricFacts", "Selection", "gather", "render", "render_jobs"]
