"""Pods as kube-scheduler judges them: what they ask, what nodes still take, and what other pods leave to them."""
