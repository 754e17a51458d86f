"""What is done against those who ask in the name of others, or too often."""
