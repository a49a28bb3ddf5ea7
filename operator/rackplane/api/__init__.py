"""The API group `rackplane.dev/v1alpha1`: models, names of labels, and what a user may write.

The models are in one module a kind (`rackplane.api.rack` and so on) and together in `rackplane.api.kinds`.
`rackplane.api.decode` turns raw objects into models, `rackplane.api.crd` turns models into
CustomResourceDefinitions.
"""
