"""Reading the log stream back: for the commands and the page."""
