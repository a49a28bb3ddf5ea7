"""Which gangs to cap or stop when limits are exceeded: the cheapest set that is enough, in the field's order."""
