"""The queue: who is next, what is reserved for whom, who is stopped for whom, and what counts against quotas."""
