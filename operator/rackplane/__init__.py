"""Rackplane: places gang-scheduled AI training jobs on GPU racks by fabric, power and cooling."""

__version__ = "0.1.0"
