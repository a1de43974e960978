"""The pages: complete HTML from the server, for people."""
