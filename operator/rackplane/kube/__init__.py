"""Access to a Kubernetes API server: requests, caches kept current by watches, and leader election.

Nothing in here knows what Rackplane is about.
"""
