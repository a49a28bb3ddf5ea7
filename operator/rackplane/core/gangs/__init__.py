"""One gang: what is asked for, its way from a Job to placed pods and back, and what is written of it."""
