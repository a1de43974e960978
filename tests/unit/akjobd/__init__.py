"""akjobd."""
