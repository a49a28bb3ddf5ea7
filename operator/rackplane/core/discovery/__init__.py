"""Racks and NVLinkDomains from the labels of nodes: what they say, and what of it may be written."""
