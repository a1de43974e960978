"""``var/run/akjobd.sock``: what commands and the page ask of akjobd."""
