"""What a machine was told and what it asked for, as lines of JSON, and the same once more from such lines."""
