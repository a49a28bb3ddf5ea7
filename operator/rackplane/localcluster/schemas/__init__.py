"""Structural schemas of custom resources: what they may say, and what they do to objects.

Wording and order of the checks follow the apiextensions-apiserver, because clients and people read the messages.
"""
