"""What the API server does to pods: defaults, admission, validation, updates, status, binding, eviction."""
