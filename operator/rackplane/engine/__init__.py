"""The engine: what fits where, by fabric, power and cooling.  Pure: no I/O, no clock, no Kubernetes."""
