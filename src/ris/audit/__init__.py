"""What is wrong in a labelled collection: leaks between splits, wrong labels, outliers, spoilt pictures."""
