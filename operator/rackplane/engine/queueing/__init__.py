"""Who may have how much, and who is asked next: quotas, shares and order, without a word of Kubernetes."""
