"""Many small models of one shape trained as one."""
