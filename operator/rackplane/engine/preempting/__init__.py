"""Whom to stop so that a gang can start: per domain the cheapest set of victims, of these the cheapest of all."""
