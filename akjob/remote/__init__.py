"""Many machines: what carries runs to the nodes of a cluster."""
