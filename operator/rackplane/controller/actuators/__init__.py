"""What sets power caps outside Kubernetes."""
