"""Why a gang cannot start, and what would help: in parts and in words."""
