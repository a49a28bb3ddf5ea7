"""policy/v1 PodDisruptionBudgets: their rules, the controller that counts, and evictions."""
