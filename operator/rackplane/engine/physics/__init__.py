"""Watts and heat: the power graph, cooling, every loss, and the limits they make of a facility."""
