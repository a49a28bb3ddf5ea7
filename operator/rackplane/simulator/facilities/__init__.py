"""New facilities: a few figures in, the custom resources of a campus out."""
