"""One line of the log stream: how it is made, and sent until it is acknowledged."""
