"""docs/benchmarks.md and its plots, out of the result files and nothing else."""
