"""Tests of the room web: the page, the API and their logins."""
