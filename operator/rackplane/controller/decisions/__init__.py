"""What was decided of gangs and what followed from it: in the log, and in a ring buffer that people can ask."""
