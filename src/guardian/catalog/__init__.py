"""What is watched: model files, the parameters that counting goes by, and which hold when."""
