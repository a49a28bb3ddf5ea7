"""What becomes of gangs that run when nodes are lost under them."""
