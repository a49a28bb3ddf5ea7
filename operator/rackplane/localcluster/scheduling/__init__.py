"""What kube-scheduler's default profile decides: which nodes fit a pod, which fits best, who has to make way."""
