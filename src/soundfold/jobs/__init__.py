"""Each verb's whole work, and the Python API: the place where the rooms meet. The command line only calls these."""
