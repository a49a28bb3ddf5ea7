"""Other projects' descriptions of the same facility: their files in, our objects out, and the other way round."""
