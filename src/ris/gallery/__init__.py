"""What is searched: the catalogue, the spaces, and what is asked of them."""
