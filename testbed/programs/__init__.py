"""What is run: the demonstration, the benchmarks, the tables of the documents."""
