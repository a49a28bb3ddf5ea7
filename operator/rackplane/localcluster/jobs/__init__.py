"""batch/v1 Jobs: what the API server demands of them, and the controller that runs their pods."""
