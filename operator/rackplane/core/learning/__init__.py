"""What jobs of one name are known to draw, from telemetry of their earlier runs."""
