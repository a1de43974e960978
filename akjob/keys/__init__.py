"""What a key of a job file is: its name, reader, default, meaning and schema; and the readers of plain values."""
