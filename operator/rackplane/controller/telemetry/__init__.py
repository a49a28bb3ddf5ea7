"""What nodes really draw, as a Prometheus knows it, beside what is reserved for them."""
