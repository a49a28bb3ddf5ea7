"""Who manages which field of an object: sets of fields, how values compare and merge, managers, server-side apply."""
