"""The room of messages."""
