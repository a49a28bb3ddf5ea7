"""The agent on a node: it holds the node's GPUs to the power cap that Rackplane has written."""
