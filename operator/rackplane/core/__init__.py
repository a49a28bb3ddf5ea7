"""The state machine between the watches and the writes: events in, instructions out.

It knows what Jobs, pods and Gangs are and does no I/O. `Machine` in `machine.py` is the way in.
"""
