"""What machines report of the facility: read from HTTP, one file for each shape, and written to the objects."""
