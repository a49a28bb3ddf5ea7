"""The figures of every element: loads, headroom, the worst loss, stranded watts."""
