"""What nodes have left, and how they lie in racks and domains: arrays that events keep up to date."""
