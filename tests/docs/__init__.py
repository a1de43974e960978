"""The documentation: what is generated, what its blocks do, where its links lead."""
