"""`tannoy doctor`: what is wrong with a cluster, from what its nodes tell, and from a look at Redis."""
